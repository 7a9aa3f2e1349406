/**
 * Every key of `10-terway.conf`, the CNI configuration that the agent reads beside the runtime: the one source for types,
 * defaults, units, ranges, words and support.
 *
 * @module
 */
import * as z from "zod";
import { SOCKET_CONFIG_KEY, SPOOL_CONFIG_KEY } from "../../../proto/paths.ts";
import { key, type KeyTable, later } from "./key-table.ts";
import { cidrList, count, flag, networkName, oneOf, oneOfAnyCase, switches, text } from "./kinds.ts";

const shape = {
  cniVersion: key(oneOf(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]).default("0.3.0"), {
    meaning: "Version of the CNI specification that runtime and plugin speak.",
  }),
  name: key(networkName().default("terway"), {
    meaning: "Name of the network. Part of the key of every attachment: do not change it while pods run.",
  }),
  type: key(oneOf(["terway"]).default("terway"), {
    meaning: "Name of the executable that the runtime calls.",
  }),
  eniip_virtual_type: key(oneOfAnyCase(["veth", "ipvlan"], ["datapathv2"]).default("veth"), {
    meaning:
      "How a pod is connected (docs/datapaths.md). `IPVlan` needs the kernel module `ipvlan`. Pods that run keep what they have. Upper and lower case are the same.",
  }),
  veth_fallback: key(flag().default(false), {
    meaning:
      "What happens where `eniip_virtual_type` is `IPVlan` and the node's kernel has no IPVLAN: `true` connects pods by `veth` and logs a warning; `false` keeps the agent from starting, with the reason.",
    ours: true,
  }),
  mtu: key(count(576, 65_535).optional(), {
    meaning:
      "Largest packet on pods' interfaces, and on the ENIs' devices, which get it too; 1280 at least where pods have IPv6. A device that cannot have it is refused with both numbers. On premises the uplink decides, and `network.vxlan.mtu`.",
    unit: "bytes",
    absent: "that of the ENI's device, asked for each pod",
  }),
  host_stack_cidrs: key(cidrList().prefault([]), {
    meaning:
      "Destinations that a pod reaches through the node's own network stack, IPv4 and IPv6, such as a DNS cache on the node (`169.254.20.10/32`). With `IPVlan` at most 32 together with `service_cidr`, and none may hold an address that pods can have. With `veth` all traffic passes that stack, so it is checked and nothing else follows from it.",
  }),
  capabilities: key(switches('{"bandwidth": true}').prefault({}), {
    meaning:
      "What the runtime passes on. `bandwidth`: limits of the annotations `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`; `io.kubernetes.cri.pod-annotations` (containerd): all annotations, so that `k8s.aliyun.com/ingress-bandwidth` and `egress-bandwidth` are heeded too.",
  }),
  bandwidth_mode: key(oneOf(["tc"], ["edt"]).default("tc"), {
    meaning:
      "How limits of bandwidth are carried out: `tc` is a token bucket in the kernel for each direction.",
  }),
  [SOCKET_CONFIG_KEY]: key(text("the path of a unix socket").optional(), {
    meaning: "Where the plugin finds the agent.",
    absent: "`/var/run/terway/agent.sock`",
    ours: true,
  }),
  [SPOOL_CONFIG_KEY]: key(text("the path of a directory").optional(), {
    meaning: "Where the plugin keeps DELs while no agent answers.",
    absent: "`/var/lib/terway/spool`",
    ours: true,
  }),
};

const unsupported = {
  veth_prefix: later(
    "First letters of the host's end of a pod's interface. The agent has names of its own.",
    "ignored",
    [],
  ),
  auto_mtu: later(
    "Takes the MTU of `eth0` where `mtu` is absent. Here that of each pod's own ENI is taken then, whatever this says.",
    "ignored",
    [true],
    "set mtu where 1500 is wanted on ENIs that carry more",
  ),
  enable_network_priority: later("Priorities between pods' traffic.", "refused", [false]),
  vlan_strip_type: later("For trunk ENIs.", "ignored", ["filter"]),
  disable_host_peer: later("For pods with an ENI of their own.", "refused", [false]),
  network_policy_provider: later("`ebpf`: network policies by Cilium.", "ignored", ["iptables"]),
  cilium_args: later("For Cilium.", "ignored", []),
  cilium_enable_hubble: later("For Cilium.", "ignored", ["false"]),
  cilium_hubble_metrics: later("For Cilium.", "ignored", []),
  cilium_hubble_listen_address: later("For Cilium.", "ignored", []),
  cilium_hubble_metrics_server: later("For Cilium.", "ignored", []),
  symmetric_routing: later("Answers leave by the interface that the question came in by.", "refused", [
    false,
  ]),
  symmetric_routing_config: later("For `symmetric_routing`.", "ignored", [{}]),
  debug: later("Log of the plugin on the node.", "ignored", [false]),
  ipam: later("Another plugin for addresses.", "refused", [{}]),
  ipMasq: later("Source NAT of pods' traffic.", "refused", [false]),
  dns: later("Name servers of pods.", "ignored", [{}]),
};

/** The table of `10-terway.conf`. Which keys belong into the other file, `terway-conf.ts` adds. */
export const TERWAY_KEYS: Omit<KeyTable<typeof shape>, "other"> = {
  file: "10-terway.conf",
  schema: z.object(shape),
  unsupported,
};
