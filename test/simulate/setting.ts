/**
 * The node and the VPC that are simulated: small ones, because what goes wrong goes wrong at their bounds.
 *
 * @module
 */
import { type LoadedConfig } from "../../daemon/config/load.ts";
import { parseEniConf } from "../../daemon/core/config/eni-conf.ts";
import { parseTerwayConf } from "../../daemon/core/config/terway-conf.ts";
import { type IpStack } from "../../daemon/core/ip-stack.ts";
import { type NodeIdentity } from "../../daemon/core/cloud.ts";
import { parseMac } from "../../proto/addr.ts";
import { instanceId, vSwitchId } from "../../proto/ids.ts";
import { DOCUMENTED_POLICY, IPV6_POLICY } from "../../sim/model/topology-default.ts";
import { parseTopology } from "../../sim/model/topology-file.ts";
import { type Topology, type TopologyFile } from "../../sim/model/topology.ts";

export const INSTANCE = instanceId("i-node-1");
export const VSWITCHES = [vSwitchId("vsw-pods-a"), vSwitchId("vsw-pods-b")] as const;
const ZONE = "cn-hangzhou-h";
const TYPE = "ecs.sim.small";

/** What is drawn once for a history. `enis`: secondary ones; `perEni`: addresses of each, the primary one included. */
export type Setting = {
  readonly enis: number;
  readonly perEni: number;
  /** Usable addresses of the two vSwitches. */
  readonly sizes: readonly [number, number];
  readonly config: Config;
  readonly ipStack: IpStack;
};

/** What may change at a restart. */
export type Config = {
  readonly idleMin: number;
  readonly idleMax: number;
  readonly cooldownS: number;
  readonly policy: "ordered" | "random" | "most";
  readonly eniPolicy: "most_ips" | "least_ips";
  /** Does the configuration know the type's limits? Else they are learnt from the cloud's refusals. */
  readonly knowsType: boolean;
};

const topologies = new Map<string, Topology>();

export function topologyOf({ enis, perEni, sizes, ipStack }: Setting): Topology {
  const key = [enis, perEni, ...sizes, ipStack].join();
  const known = topologies.get(key);
  if (known !== undefined) return known;
  const file: TopologyFile = {
    region: "cn-hangzhou",
    zones: [ZONE],
    vpc: { id: "vpc-sim", cidr: "10.10.0.0/16" },
    securityGroups: ["sg-pods"],
    vSwitches: [
      {
        id: VSWITCHES[0],
        zone: ZONE,
        cidr: "10.10.16.0/26",
        availableAddresses: sizes[0],
        ipv6Cidr: "fd00:10:0:1::/64",
      },
      {
        id: VSWITCHES[1],
        zone: ZONE,
        cidr: "10.10.32.0/26",
        availableAddresses: sizes[1],
        ipv6Cidr: "fd00:10:0:2::/64",
      },
      { id: "vsw-nodes", zone: ZONE, cidr: "10.10.0.0/28" },
    ],
    instanceTypes: {
      [TYPE]: { eniQuantity: enis + 1, eniPrivateIpAddressQuantity: perEni, eniIpv6AddressQuantity: perEni },
    },
    instances: [
      {
        id: INSTANCE,
        name: "node-1",
        type: TYPE,
        zone: ZONE,
        vSwitch: "vsw-nodes",
        address: "10.10.0.5",
        securityGroups: ["sg-nodes"],
      },
    ],
    policies: { terway: ipStack === "ipv4" ? DOCUMENTED_POLICY : IPV6_POLICY },
    credentials: [{ accessKeyId: "LTAI5tSimulated", accessKeySecret: "secret", policy: "terway" }],
  };
  const parsed = parseTopology(JSON.stringify(file));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.fault));
  topologies.set(key, parsed.value);
  return parsed.value;
}

export function identityOf(primaryMac: string): NodeIdentity {
  const mac = parseMac(primaryMac);
  if (mac === undefined) throw new Error(primaryMac);
  return {
    instance: INSTANCE,
    instanceType: TYPE,
    region: "cn-hangzhou",
    zone: ZONE,
    vpc: "vpc-sim",
    primaryMac: mac,
  };
}

const configs = new Map<string, LoadedConfig>();

/** The agent's own reading of the text that a person would have written. */
export function configOf({ enis, perEni, ipStack }: Setting, config: Config): LoadedConfig {
  const text = JSON.stringify({
    version: "1",
    vswitches: { [ZONE]: VSWITCHES },
    ip_stack: ipStack,
    vswitch_selection_policy: config.policy,
    vswitch_retry_after: "60s",
    security_group: "sg-pods",
    service_cidr: "172.21.0.0/20",
    min_pool_size: config.idleMin,
    max_pool_size: config.idleMax,
    eni_selection_policy: config.eniPolicy,
    address_cooldown: `${config.cooldownS}s`,
    ip_pool_sync_period: "20s",
    add_timeout: "60s",
    ...(config.knowsType && { instance_type_limits: { [TYPE]: { eni: enis + 1, ip: perEni } } }),
  });
  const known = configs.get(text);
  if (known !== undefined) return known;
  const [eni, cni] = [parseEniConf(text), parseTerwayConf("{}")];
  if (!eni.ok || !cni.ok) throw new Error(JSON.stringify([eni, cni]));
  const loaded: LoadedConfig = {
    eni: eni.config,
    cni: cni.config,
    warnings: [],
    report: "",
    credentialsSource: "Secret alibaba-addon-secret",
  };
  configs.set(text, loaded);
  return loaded;
}
