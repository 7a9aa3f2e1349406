/**
 * The cloud of the matrix: three nodes in two zones, whose ENIs hold two addresses, so that three pods need two ENIs; and the
 * agent's configuration for it.
 *
 * @module
 */
import { DOCUMENTED_POLICY, IPV6_POLICY } from "../../sim/model/topology-default.ts";
import { type TopologyFile } from "../../sim/model/topology.ts";
import { type Stack } from "./table.ts";

const ENI_ADDRESSES = 2;
const QUICK = { minMs: 30, maxMs: 50 } as const;

/** Pods of each node: two of the first share an ENI. */
export const PODS = { n1: 3, n2: 1, n3: 1 } as const;

/** Nodes and vSwitches have IPv6 where pods do. */
export function topologyFor(stack: Stack): TopologyFile {
  const hasV6 = stack !== "v4";
  const vSwitch = (id: string, third: number): TopologyFile["vSwitches"][number] => ({
    id: `vsw-${id}`,
    zone: `cn-hangzhou-${id.slice(-1)}`,
    cidr: `10.10.${third}.0/24`,
    ...(hasV6 ? { ipv6Cidr: `fd00:10:0:${third}::/64` } : {}),
  });
  return {
    region: "cn-hangzhou",
    zones: ["cn-hangzhou-h", "cn-hangzhou-i"],
    vpc: { id: "vpc-matrix", cidr: "10.10.0.0/16" },
    securityGroups: ["sg-pods"],
    vSwitches: [vSwitch("nodes-h", 0), vSwitch("nodes-i", 1), vSwitch("pods-h", 16), vSwitch("pods-i", 32)],
    instanceTypes: { "matrix.small": { eniQuantity: 3, eniPrivateIpAddressQuantity: ENI_ADDRESSES } },
    instances: ["h", "h", "i"].map((zone, index) => ({
      id: `i-n${index + 1}`,
      name: `n${index + 1}`,
      type: "matrix.small",
      zone: `cn-hangzhou-${zone}`,
      vSwitch: `vsw-nodes-${zone}`,
      ...(hasV6 ? { ipv6Address: `fd00:10:0:${zone === "h" ? 0 : 1}::1${index + 1}` } : {}),
      securityGroups: ["sg-nodes"],
    })),
    policies: { terway: hasV6 ? IPV6_POLICY : DOCUMENTED_POLICY },
    credentials: [
      { accessKeyId: "LTAI5tSimulatedVpcKey", accessKeySecret: "simulated-vpc-secret", policy: "terway" },
    ],
    latencies: {
      attachLink: QUICK,
      attachInUse: QUICK,
      attachMetadata: QUICK,
      detachDone: QUICK,
      deleteDone: QUICK,
    },
  };
}

/** Networks of those families that pods have. */
function ofStack(stack: Stack, v4: string, v6: string): readonly string[] {
  return [...(stack === "v6" ? [] : [v4]), ...(stack === "v4" ? [] : [v6])];
}

/** `eni_conf` of the ConfigMap. */
export function eniConfFor(stack: Stack): string {
  return JSON.stringify({
    version: "1",
    max_pool_size: 0,
    min_pool_size: 0,
    vswitches: { "cn-hangzhou-h": ["vsw-pods-h"], "cn-hangzhou-i": ["vsw-pods-i"] },
    service_cidr: ofStack(stack, "172.21.0.0/20", "fd00:172:21::/112").join(","),
    security_group: "sg-pods",
    address_cooldown: "1s",
    ip_stack: { v4: "ipv4", v6: "ipv6", dual: "dual" }[stack],
  });
}

/** `10-terway.conf` of the ConfigMap. With IPVLAN the node's own DNS cache has to be named. */
export function cniConfFor(datapath: "veth" | "ipvlan", stack: Stack): string {
  return JSON.stringify({
    cniVersion: "0.3.1",
    name: "terway",
    type: "terway",
    eniip_virtual_type: { veth: "Veth", ipvlan: "IPVlan" }[datapath],
    ...(datapath === "ipvlan" && {
      host_stack_cidrs: ofStack(stack, "169.254.20.10/32", "fd00:169:254::20/128"),
    }),
  });
}
