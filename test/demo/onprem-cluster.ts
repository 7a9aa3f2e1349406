/**
 * The cluster of the on-premises demo: three nodes in two subnets, the file that describes their hybrid network, an agent on
 * each node, pods in namespaces.
 *
 * @module
 */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bitsOf } from "../../proto/cidr6.ts";
import { type OnPrem, openOnPrem } from "../../sim/onprem/onprem.ts";
import { type OnPremNode, threeNodes } from "../../sim/onprem/site.ts";
import { type HybridAgentOptions } from "../harness/agent.ts";
import { type DemoNodes, demoNodes } from "./demo-nodes.ts";
import { openNetnsDirectory } from "./netns-directory.ts";

const CNI_CONF = '{ "cniVersion": "0.3.0", "name": "terway", "type": "terway" }';

/** All pods of the demo have addresses of this network. */
export const POD_CIDR = "10.245.0.0/16";

/** Keys of `network` in the file that the demo sets. */
export type Settings = {
  readonly mode: "Overlay" | "Underlay";
  readonly fallback: "None" | "VXLAN";
  readonly sourceNAT: boolean;
};

export type Cluster = Omit<DemoNodes<OnPremNode>, "end"> & {
  readonly site: OnPrem;
  readonly directory: string;
  /** Replaces the file that all agents watch. */
  readonly publish: (settings: Settings) => Promise<void>;
  /** Writes the first half of it only, as somebody who is interrupted. */
  readonly publishHalf: (settings: Settings) => Promise<void>;
  /** Ends agents, removes pods, network and directory. May be repeated. */
  readonly down: () => Promise<void>;
};

/** The node's part of `POD_CIDR`: 10.245.N.0/24 for node-N. */
export function blockOf(node: OnPremNode): string {
  return `10.245.${numberOf(node)}.0/24`;
}

/** The MAC of the node's VXLAN device. */
export function vtepMacOf(node: OnPremNode): string {
  return `0a:58:00:00:00:0${numberOf(node)}`;
}

export async function openCluster(name: string): Promise<Cluster> {
  const netnsDirectory = await openNetnsDirectory();
  const site = await openOnPrem(threeNodes({ name, rpFilter: 1 })).catch(async (error: unknown) => {
    await netnsDirectory.restore();
    throw error;
  });
  const { nodes } = site.site;
  const directory = await mkdtemp(join(tmpdir(), `terway-${name}-`));
  const hybridConf = join(directory, "hybrid.json");
  const optionsOf = (node: OnPremNode): HybridAgentOptions => ({
    namespace: node.namespace,
    directory: join(directory, node.name),
    cniConf: CNI_CONF,
    hybridConf,
    nodeName: node.name,
  });
  const { end, ...onNodes } = demoNodes(name, nodes, optionsOf);
  return {
    ...onNodes,
    site,
    directory,
    async publish(settings) {
      await writeFile(`${hybridConf}.new`, fileOf(settings, nodes));
      await rename(`${hybridConf}.new`, hybridConf);
    },
    async publishHalf(settings) {
      const text = fileOf(settings, nodes);
      await writeFile(hybridConf, text.slice(0, text.length / 2));
    },
    async down() {
      await end();
      await site[Symbol.asyncDispose]();
      await netnsDirectory.restore();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** As docs/hybrid-configuration.md describes it. The MTU is written down, so that pods keep theirs when `fallback` changes. */
function fileOf(settings: Settings, nodes: readonly OnPremNode[]): string {
  return JSON.stringify(
    {
      network: {
        podCIDRs: [POD_CIDR],
        ...settings,
        ...(settings.mode === "Overlay" ? { fallback: undefined } : {}),
        serviceCIDRs: ["172.21.0.0/20"],
        onPremNodeCIDRs: [...new Set(nodes.map(({ subnet }) => subnet.cidr))],
        ...(settings.mode === "Underlay" ? { vxlan: { mtu: 1450 } } : {}),
      },
      nodes: nodes.map((node) => ({
        name: node.name,
        nodeIP: `${node.address}/${bitsOf(node.subnet.cidr)}`,
        vtepMAC: vtepMacOf(node),
        blocks: [blockOf(node)],
      })),
    },
    undefined,
    1,
  );
}

function numberOf({ name }: OnPremNode): number {
  return Number(name.replace("node-", ""));
}
