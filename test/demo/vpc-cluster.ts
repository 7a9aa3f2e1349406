/**
 * The cluster of the VPC's demo: two simulated nodes, an agent on each, pods in namespaces.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import {
  addPod,
  type Attached,
  confFor,
  createPod,
  deletePodNamespace,
  delPod,
  type Pod,
} from "../harness/pod.ts";
import { type SimNode, type Simulator, simulatorDown, simulatorUp } from "../harness/simulator.ts";

/** The seed's ConfigMap, filled in, with two waits shortened so that the demo takes less than a minute. */
const ENI_CONF = `
      {
       "version": "1",
       "max_pool_size": 5,
       "min_pool_size": 0,
       "vswitches": {"cn-hangzhou-h": ["vsw-pods-h1", "vsw-pods-h2"], "cn-hangzhou-i": ["vsw-pods-i1"]},
       "eni_tags": {"ack.aliyun.com":"c-demo"},
       "service_cidr": "172.21.0.0/20",
       "security_group": "sg-pods",
       "access_key": "",
       "access_secret": "",
       "vswitch_selection_policy": "ordered",
       "address_cooldown": "2s",
       "ip_pool_sync_period": "5s"
      }
`;

const CNI_CONF = `
      {
       "cniVersion": "0.3.0",
       "name": "terway",
       "type": "terway"
      }
`;

export type DemoPod = { readonly pod: Pod; readonly node: SimNode; readonly attached: Attached };

export type Cluster = {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly agents: Map<string, Agent>;
  readonly pods: DemoPod[];
  readonly optionsOf: (node: SimNode) => AgentOptions;
  readonly start: (node: SimNode) => Promise<void>;
  readonly add: (node: SimNode, index: number) => Promise<DemoPod>;
  readonly remove: (pod: DemoPod) => Promise<void>;
  /** Stops agents, gives ENIs back, removes namespaces, the simulator and the directory. May be repeated. */
  readonly drain: () => Promise<void>;
  readonly down: () => Promise<void>;
};

export async function openCluster(name: string, args: readonly string[]): Promise<Cluster> {
  const simulator = await simulatorUp(name, args).catch(async (error: unknown) => {
    // Who is stopped while it comes up leaves a part of it.
    await simulatorDown(name);
    throw error;
  });
  const directory = await mkdtemp(join(tmpdir(), "terway-demo-"));
  const agents = new Map<string, Agent>();
  const pods: DemoPod[] = [];
  const optionsOf = (node: SimNode): AgentOptions => ({
    namespace: node.namespace,
    directory: join(directory, node.name),
    eniConf: ENI_CONF,
    cniConf: CNI_CONF,
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  });
  const stopAgents = async (): Promise<void> => {
    await Promise.all([...agents.values()].map((agent) => agent.stop()));
    agents.clear();
  };
  return {
    simulator,
    directory,
    agents,
    pods,
    optionsOf,
    async start(node) {
      await prepareAgent(optionsOf(node));
      agents.set(node.name, await startAgent(optionsOf(node)));
    },
    async add(node, index) {
      const podName = `web-${node.name}-${index}`;
      const pod: Pod = {
        name: podName,
        namespace: `${name}-${podName}`,
        containerId: `${podName}-sandbox`,
        conf: confFor(CNI_CONF, join(directory, node.name, "run/agent.sock")),
      };
      await createPod(pod);
      try {
        const made: DemoPod = { pod, node, attached: await addPod(pod) };
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
      await Promise.all(simulator.nodes.map((node) => drainAgent(optionsOf(node))));
    },
    async down() {
      await stopAgents();
      for (const { pod } of pods) await deletePodNamespace(pod);
      await simulator.down();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
