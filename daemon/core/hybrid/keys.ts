/**
 * Every key of the file that describes a hybrid network: the one source for types, defaults, ranges and words. The names
 * are those of the `spec` of HybridNetwork and HybridNode.
 *
 * @module
 */
import * as z from "zod";
import { type Ipv4 } from "../../../proto/addr.ts";
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { key, type KeyTable, type UnsupportedKey } from "../config/key-table.ts";
import { count, oneOf, text } from "../config/kinds.ts";
import { flag, hostAddress, networks, nodeName, records, section, unicastMac, words } from "./kinds.ts";

/** Records in one file. */
const NODES_MAX = 10_000;

/** The IANA port of VXLAN is 4789; 8472 is what Linux took before there was one, and what Flannel uses. */
const VXLAN_PORT = 8472;

const isIpv4 = (ip: IpAddress): ip is Ipv4 => !isIpv6(ip);

const top = {
  network: key(section("an object with the settings of the network"), {
    meaning: "The settings of the whole network, the same on all nodes.",
  }),
  nodes: key(records(NODES_MAX, "a list with an object for each node"), {
    meaning:
      "All nodes of the network, this one included. Of two records that claim the same block, MAC or address, the first one keeps it.",
  }),
};

const network = {
  podCIDRs: key(networks({ min: 1, sample: "10.245.0.0/16" }), {
    meaning:
      "What the blocks of the nodes are cut from, of one family or of both. Must be apart from each other, from all networks named below and from what nobody may use, such as 100.64.0.0/10 (services of the cloud).",
  }),
  nodeMaskSize: key(count(20, 30).default(24), {
    meaning:
      "Prefix length of a node's IPv4 block. Base and broadcast address are not given to pods: 24 is 254 pods.",
    unit: "bits",
  }),
  nodeMaskSizeV6: key(count(48, 126).default(120), {
    meaning:
      "Prefix length of a node's IPv6 block. It should have at least as many addresses as the IPv4 block.",
    unit: "bits",
  }),
  mode: key(oneOf(["Overlay", "Underlay"]).default("Overlay"), {
    meaning:
      "How nodes reach each other's pods. `Overlay`: through VXLAN, wherever the nodes are. `Underlay`: by direct routes between nodes on one link.",
  }),
  fallback: key(oneOf(["None", "VXLAN"]).default("None"), {
    meaning:
      "What joins nodes of an underlay that are not on one link. `None`: nothing; the agent says which nodes.",
  }),
  sourceNAT: key(flag().default(true), {
    meaning: "Whether a pod that talks to something outside of the cluster has its node's address there.",
  }),
  nonMasqueradeCIDRs: key(networks({ min: 0, sample: "192.168.7.0/24" }).prefault([]), {
    meaning: "Destinations that see the pod's own address although `sourceNAT` is true.",
  }),
  serviceCIDRs: key(networks({ min: 0, sample: "172.21.0.0/20" }).prefault([]), {
    meaning: "Addresses of the cluster's Services.",
  }),
  cloudCIDRs: key(networks({ min: 0, sample: "10.0.0.0/16" }).prefault([]), {
    meaning: "Networks of the VPC: nodes and vSwitches in the cloud.",
  }),
  onPremNodeCIDRs: key(networks({ min: 0, sample: "10.10.0.0/16" }).prefault([]), {
    meaning: "Networks of the nodes on premises.",
  }),
  clusterPodCIDRs: key(networks({ min: 0, sample: "10.20.0.0/16" }).prefault([]), {
    meaning: "Networks of the cluster's other pods, those in the cloud.",
  }),
  vxlan: key(section("an object with the settings of VXLAN").prefault({}), {
    meaning: "How packets are tunnelled.",
  }),
};

const vxlan = {
  vni: key(count(1, 16_777_215).default(1), {
    meaning: "Number of the VXLAN, and of its device on the node: `terway.1`.",
  }),
  port: key(count(1, 65_535).default(VXLAN_PORT), {
    meaning: "UDP port of all nodes. The firewall between the nodes has to let it pass.",
  }),
  mtu: key(count(0, 65_485).default(0), {
    meaning:
      "Largest packet of a pod. 0: what the node's uplink leaves (50 bytes less with VXLAN, 70 less where nodes talk IPv6).",
    unit: "bytes",
  }),
  directRouting: key(flag().default(false), {
    meaning: "Whether nodes of an overlay that are on one link talk to each other without VXLAN.",
  }),
};

const node = {
  name: key(nodeName(), { meaning: "Name of the Node object; what `--node-name` says on the node itself." }),
  nodeIP: key(hostAddress(isIpv4, "10.10.0.11/24").optional(), {
    meaning:
      "IPv4 address of the node and the prefix length of its network, as its interface has them. Nodes with each other's address in networks of the same length are on one link; lengths of 31 and 32 say nothing.",
    absent: "none; then `nodeIPv6` is required",
  }),
  nodeIPv6: key(hostAddress(isIpv6, "fd00:10::11/64").optional(), {
    meaning: "The same for IPv6; lengths of 127 and 128 say nothing.",
    absent: "none",
  }),
  l2Domain: key(text("the name of a link").optional(), {
    meaning:
      "Nodes with the same one are on one link, nodes with different ones are not, whatever their addresses are.",
    absent: "the addresses tell",
  }),
  vtepMAC: key(unicastMac().optional(), {
    meaning:
      "MAC of the node's VXLAN device. The agent gives it this one; it must never change while others send to it.",
    absent: "none; then the node has no VXLAN",
  }),
  capabilities: key(words(["direct", "vxlan", "fabric"]).default(["direct", "vxlan"]), {
    meaning:
      "What the node can do. `direct`: forward pods' packets on its link; `vxlan`: send and take VXLAN; `fabric`: the routers of the network have a route to its blocks, made by somebody else.",
  }),
  blocks: key(networks({ min: 1, sample: "10.245.3.0/24" }), {
    meaning:
      "The node's part of `podCIDRs`: one IPv4 network of `nodeMaskSize`, and one of IPv6 where there is one.",
  }),
};

/** Of HybridNetwork and of the settings of others. Defaults of HybridNetwork ask for nothing. */
const networkUnsupported = {
  snatAddress: {
    meaning: "The address that translated packets leave with.",
    inert: [],
    otherwise: "refused",
    instead:
      "remove it: they leave with the address that the node's route to the destination has as its source",
  },
  pools: {
    meaning: "Groups of nodes with a mode of their own.",
    inert: [[]],
    otherwise: "refused",
    instead: "write mode and fallback for all nodes; l2Domain and capabilities of a record tell nodes apart",
  },
  allocator: {
    meaning: "Who gives nodes their blocks.",
    inert: ["Controller"],
    otherwise: "ignored",
    instead: "the records have the blocks",
  },
  quarantineSeconds: {
    meaning: "How long a block of a node that is gone is given to no other.",
    inert: [],
    otherwise: "ignored",
    instead:
      "the records have the blocks; give a block to another node when nobody sends to the old one any more",
  },
} as const satisfies Readonly<Record<string, UnsupportedKey>>;

const vxlanUnsupported = {
  checksumOffload: {
    meaning: "Whether the network card computes checksums of tunnelled packets.",
    inert: ["Auto", "On"],
    otherwise: "refused",
    instead:
      "remove it; for a card that spoils them (vmxnet3) let udev run `ethtool -K terway.1 tx-checksum-ip-generic off` when the device comes",
  },
  flannelCompatible: {
    meaning: "Whether nodes of Flannel can be peers.",
    inert: [true],
    otherwise: "refused",
    instead: "remove it: the overlay is that of Flannel in any case",
  },
} as const satisfies Readonly<Record<string, UnsupportedKey>>;

const table = <Shape extends z.ZodRawShape>(
  file: string,
  shape: Shape,
  unsupported: KeyTable<Shape>["unsupported"] = {},
): KeyTable<Shape> => ({
  file,
  schema: z.object(shape),
  unsupported,
  other: { file: "", keys: [] },
});

export const TOP_KEYS = table("the file of the hybrid network", top);
export const NETWORK_KEYS = table("network", network, networkUnsupported);
export const VXLAN_KEYS = table("network.vxlan", vxlan, vxlanUnsupported);
export const NODE_KEYS = table("a node's record", node);
