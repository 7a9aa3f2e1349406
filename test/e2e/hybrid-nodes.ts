/**
 * Three on-premises nodes in two subnets with an agent each, and pods on them: what the end-to-end tests of hybrid mode share.
 *
 * @module
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OnPrem, openOnPrem } from "../../sim/onprem/onprem.ts";
import { threeNodes } from "../../sim/onprem/site.ts";
import { type HybridAgentOptions } from "../harness/agent.ts";
import { confFor, createPod, deletePodNamespace, type Pod } from "../harness/pod.ts";
import { networkSnapshot, type Snapshot } from "../harness/snapshot.ts";

export const NODES = ["node-1", "node-2", "node-3"] as const;
export type NodeName = (typeof NODES)[number];

/** `10-terway.conf`. */
const CNI_CONF = '{"cniVersion": "1.1.0", "name": "terway", "type": "terway"}';

/** The file: settings and records as a person writes them. */
export type Conf = {
  readonly network: Readonly<Record<string, unknown>>;
  readonly nodes: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[];
};

export type HybridNodes = AsyncDisposable & {
  readonly site: OnPrem;
  /** The path of the one file that all agents read. */
  readonly confPath: string;
  /** The network as it is at first: an overlay, /24 blocks 10.245.1.0 and so on. */
  readonly conf: Conf;
  /** Replaces the file by a rename. */
  readonly publish: (conf: Conf | string) => Promise<void>;
  readonly agent: (node: NodeName) => HybridAgentOptions;
  /** A pod's namespace. Removed in the end. */
  readonly pod: (name: string, node: NodeName) => Promise<Pod>;
  readonly snapshot: (node: NodeName) => Promise<Snapshot>;
};

/** `name` is a part of every name on the machine. `ipv6`: nodes and pods have it as well. */
export async function openHybridNodes(name: string, ipv6 = false): Promise<HybridNodes> {
  const directory = await mkdtemp(join(tmpdir(), "terway-e2e-"));
  const site = await openOnPrem(threeNodes({ name, ipv6, rpFilter: 1 }));
  const confPath = join(directory, "published", "network.jsonc");
  await mkdir(join(directory, "published"));
  const publish = async (conf: Conf | string): Promise<void> => {
    await writeFile(`${confPath}.new`, typeof conf === "string" ? conf : JSON.stringify(conf, undefined, 2));
    await rename(`${confPath}.new`, confPath);
  };
  const conf: Conf = {
    network: {
      podCIDRs: ["10.245.0.0/16", ...(ipv6 ? ["fd00:245::/104"] : [])],
      serviceCIDRs: ["172.21.0.0/20"],
      onPremNodeCIDRs: site.site.subnets.map(({ cidr }) => cidr),
    },
    nodes: NODES.map((node, at) => ({
      name: node,
      nodeIP: `${site.node(node).address}/24`,
      vtepMAC: `0a:58:00:00:00:0${at + 1}`,
      ...(ipv6 && { nodeIPv6: `${site.node(node).ipv6Address}/64` }),
      blocks: [`10.245.${at + 1}.0/24`, ...(ipv6 ? [`fd00:245::${at + 1}00/120`] : [])],
    })),
  };
  await publish(conf);
  for (const node of NODES) {
    await mkdir(join(directory, node, "eni-config"), { recursive: true });
    await writeFile(join(directory, node, "eni-config", "10-terway.conf"), CNI_CONF);
  }
  const agent = (node: NodeName): HybridAgentOptions => ({
    namespace: site.node(node).namespace,
    directory: join(directory, node),
    cniConf: CNI_CONF,
    hybridConf: confPath,
    nodeName: node,
  });
  const pods: Pod[] = [];
  return {
    site,
    confPath,
    conf,
    publish,
    agent,
    async pod(own, node) {
      const socket = join(directory, node, "run/agent.sock");
      const conf = confFor(CNI_CONF, socket);
      const pod = { name: own, namespace: `${name}-${own}`, containerId: `${own}-sandbox`, conf };
      await createPod(pod);
      pods.push(pod);
      return pod;
    },
    snapshot: (node) => networkSnapshot(["ip", "netns", "exec", site.node(node).namespace]),
    async [Symbol.asyncDispose]() {
      for (const pod of pods) await deletePodNamespace(pod);
      await site[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The file with other settings, and one record changed. */
export function changed(
  { network, nodes }: Conf,
  settings: Conf["network"],
  record?: { readonly name: NodeName; readonly change: Readonly<Record<string, unknown>> | undefined },
): Conf {
  return {
    network: { ...network, ...settings },
    nodes: nodes.flatMap((node) => {
      if (node.name !== record?.name) return [node];
      return record.change === undefined ? [] : [{ ...node, ...record.change }];
    }),
  };
}
