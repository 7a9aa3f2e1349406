/**
 * What the clusters of both demos have in common: an agent on each node, pods in namespaces of their own.
 *
 * @module
 */
import { join } from "node:path";
import {
  type Agent,
  type AgentOptions,
  drainAgent,
  type HybridAgentOptions,
  prepareAgent,
  startAgent,
} from "../harness/agent.ts";
import {
  addPodAtLast,
  type Attached,
  confFor,
  createPod,
  deletePodNamespace,
  delPod,
  type Pod,
} from "../harness/pod.ts";
import { allEnded } from "../harness/process.ts";

/** On a busy machine, and in User Mode Linux. */
const START_TIMEOUT_MS = 120_000;

export type DemoNode = { readonly name: string; readonly namespace: string };

export type DemoPod<Node extends DemoNode> = {
  readonly pod: Pod;
  readonly node: Node;
  readonly attached: Attached;
};

export type DemoNodes<Node extends DemoNode> = {
  readonly nodes: readonly Node[];
  /** By the name of their node. */
  readonly agents: ReadonlyMap<string, Agent>;
  readonly pods: readonly DemoPod<Node>[];
  readonly start: (node: Node) => Promise<void>;
  readonly add: (node: Node, index: number) => Promise<DemoPod<Node>>;
  readonly remove: (pod: DemoPod<Node>) => Promise<void>;
  /** Stops the agents and takes all that is theirs from the nodes and, where there is one, from the cloud. */
  readonly drain: () => Promise<void>;
  /** Ends the agents and removes the pods' namespaces. May be repeated. */
  readonly end: () => Promise<void>;
};

/** `name`: how the pods' namespaces begin. The options of an agent say where its files are. */
export function demoNodes<Node extends DemoNode>(
  name: string,
  nodes: readonly Node[],
  optionsOf: (node: Node) => AgentOptions | HybridAgentOptions,
): DemoNodes<Node> {
  const agents = new Map<string, Agent>();
  const pods: DemoPod<Node>[] = [];
  const stopAgents = async (): Promise<void> => {
    await Promise.all([...agents.values()].map((agent) => agent.stop()));
    agents.clear();
  };
  return {
    nodes,
    agents,
    pods,
    async start(node) {
      await prepareAgent(optionsOf(node));
      agents.set(node.name, await startAgent(optionsOf(node), START_TIMEOUT_MS));
    },
    async add(node, index) {
      const { cniConf, directory } = optionsOf(node);
      const podName = `web-${node.name}-${index}`;
      const pod: Pod = {
        name: podName,
        namespace: `${name}-${podName}`,
        containerId: `${podName}-sandbox`,
        conf: confFor(cniConf, join(directory, "run/agent.sock")),
      };
      await createPod(pod);
      try {
        const made: DemoPod<Node> = { pod, node, attached: await addPodAtLast(pod) };
        pods.push(made);
        return made;
      } catch (error) {
        await deletePodNamespace(pod);
        throw error;
      }
    },
    async remove(made) {
      await delPod(made.pod);
      await deletePodNamespace(made.pod);
      pods.splice(pods.indexOf(made), 1);
    },
    async drain() {
      await stopAgents();
      await allEnded(nodes.map(async (node) => drainAgent(optionsOf(node))));
    },
    async end() {
      await stopAgents();
      for (const { pod } of pods) await deletePodNamespace(pod);
    },
  };
}
