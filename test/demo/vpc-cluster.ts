/**
 * The cluster of the VPC's demo: two simulated nodes, an agent on each, pods in namespaces.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentOptions } from "../harness/agent.ts";
import { type SimNode, type Simulator, simulatorDown, simulatorUp } from "../harness/simulator.ts";
import { type DemoNodes, demoNodes } from "./demo-nodes.ts";

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

/** With IPVLAN, what a node answers itself has to be named. */
const CNI_CONF = {
  veth: `
      {
       "cniVersion": "0.3.0",
       "name": "terway",
       "type": "terway"
      }
`,
  ipvlan: `
      {
       "cniVersion": "0.3.0",
       "name": "terway",
       "type": "terway",
       "eniip_virtual_type": "IPVlan",
       "host_stack_cidrs": ["169.254.20.10/32"]
      }
`,
} as const;

export type EniDatapath = keyof typeof CNI_CONF;

export type Cluster = Omit<DemoNodes<SimNode>, "end"> & {
  readonly simulator: Simulator;
  readonly directory: string;
  /** Stops agents, removes namespaces, the simulator and the directory. May be repeated. */
  readonly down: () => Promise<void>;
};

export async function openCluster(name: string, datapath: EniDatapath): Promise<Cluster> {
  const simulator = await simulatorUp(name).catch(async (error: unknown) => {
    // Who is stopped while it comes up leaves a part of it.
    await simulatorDown(name);
    throw error;
  });
  const directory = await mkdtemp(join(tmpdir(), "terway-demo-"));
  const optionsOf = (node: SimNode): AgentOptions => ({
    namespace: node.namespace,
    directory: join(directory, node.name),
    eniConf: ENI_CONF,
    cniConf: CNI_CONF[datapath],
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  });
  const { end, ...nodes } = demoNodes(name, simulator.nodes, optionsOf);
  return {
    ...nodes,
    simulator,
    directory,
    async down() {
      await end();
      try {
        await simulator.down();
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}
