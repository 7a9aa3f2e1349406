/**
 * One change of the node's or of a pod's network, as data. `daemon/netlink/apply.ts` carries it out.
 *
 * Everything that `add-…` says is as the ip(8) command beside it with `replace` for `add`: what is there already, and is
 * the same, is no failure. The exception is `add-veth`.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";

/** In the node's namespace or in the pod's. */
export type Where = "node" | "pod";

/** One end of a veth: its index is chosen by us, so that what follows can name it without asking. */
export type LinkEnd = { readonly name: string; readonly ifIndex: number; readonly mac: Mac };

/** IPv4 settings of one device, `/proc/sys/net/ipv4/conf/DEV/…`. */
export type LinkSettings = {
  readonly forwarding?: boolean;
  /** 1 strict, 2 loose. */
  readonly rpFilter?: 1 | 2;
  /** The check of the source takes the packet's mark for the way back's. */
  readonly srcValidMark?: boolean;
};

export type Step =
  /**
   * `ip link add HOST index I address MAC mtu M group pods type veth peer name POD index J address MAC mtu M netns PODNS`.
   * Fails where a name or an index is taken.
   */
  | {
      readonly op: "add-veth";
      readonly host: LinkEnd;
      readonly pod: LinkEnd;
      readonly mtu: number;
    }
  /** `ip link delete NAME`. */
  | { readonly op: "delete-link"; readonly name: string }
  /**
   * `ip link set dev INDEX addrgenmode none`: no fe80:: address, and no router solicitations from it, which a VPC drops.
   * No failure on a kernel without IPv6.
   */
  | { readonly op: "no-link-local"; readonly ifIndex: number }
  /** `ip link set dev INDEX [up|down] [mtu M] [group G] [alias A]`, `sysctl net.ipv4.conf.DEV.…`. What is not given stays. */
  | {
      readonly op: "set-link";
      readonly where: Where;
      readonly ifIndex: number;
      readonly up?: boolean;
      readonly mtu?: number;
      readonly group?: number;
      readonly alias?: string;
      readonly settings?: LinkSettings;
    }
  /** `ip address add ADDRESS/32 dev INDEX`. */
  | {
      readonly op: "add-address";
      readonly where: Where;
      readonly ifIndex: number;
      readonly address: Ipv4;
    }
  /** `ip route add [ADDRESS/32|default] dev INDEX [via GATEWAY onlink] table T proto 84`. */
  | {
      readonly op: "add-route";
      readonly where: Where;
      readonly table: number;
      readonly ifIndex: number;
      /** Absent: the default route. */
      readonly to?: Ipv4;
      readonly via?: Ipv4;
    }
  /** `ip route delete [ADDRESS/32|default] [dev INDEX] table T proto 84`. */
  | {
      readonly op: "delete-route";
      readonly table: number;
      readonly ifIndex?: number;
      readonly to?: Ipv4;
    }
  /** `ip rule add priority P [fwmark MARK/MASK] lookup T proto 84`. */
  | {
      readonly op: "add-rule" | "delete-rule";
      readonly priority: number;
      readonly table: number;
      /** Within `MARK_MASK`. Absent: from all. */
      readonly mark?: number;
    }
  /** `ip neighbour add ADDRESS lladdr MAC dev INDEX nud permanent proto 84`. */
  | {
      readonly op: "add-neighbour";
      readonly where: Where;
      readonly ifIndex: number;
      readonly address: Ipv4;
      readonly mac: Mac;
    }
  /** `ip neighbour delete ADDRESS dev INDEX`. */
  | { readonly op: "delete-neighbour"; readonly ifIndex: number; readonly address: Ipv4 }
  /** `nft add element ip terway pod_eni { ADDRESS : goto eniSLOT }`. */
  | { readonly op: "map-pod"; readonly address: Ipv4; readonly slot: number }
  /** `nft delete element ip terway pod_eni { ADDRESS }`. */
  | { readonly op: "unmap-pod"; readonly address: Ipv4 };

/**
 * What takes a step back; `undefined` where nothing does. What is in the pod's namespace goes with the link, but `lo`,
 * which stays up. What a device was set to is not known: who sets a device that is not ours has to keep it.
 */
export function inverse(step: Step): Step | undefined {
  switch (step.op) {
    case "add-veth":
      return { op: "delete-link", name: step.host.name };
    case "add-route": {
      if (step.where === "pod") return undefined;
      const { table, ifIndex, to } = step;
      return { op: "delete-route", table, ifIndex, ...(to !== undefined && { to }) };
    }
    case "add-rule":
      return { ...step, op: "delete-rule" };
    case "add-neighbour":
      return step.where === "pod"
        ? undefined
        : { op: "delete-neighbour", ifIndex: step.ifIndex, address: step.address };
    case "map-pod":
      return { op: "unmap-pod", address: step.address };
    case "set-link":
    case "no-link-local":
    case "add-address":
    case "delete-link":
    case "delete-route":
    case "delete-rule":
    case "delete-neighbour":
    case "unmap-pod":
      return undefined;
    default:
      return step satisfies never;
  }
}

/** The command of people that does the same, for messages: `"ip route add 10.0.0.7/32 dev 20001 table 7400"`. */
export function describeStep(step: Step): string {
  switch (step.op) {
    case "add-veth":
      return `ip link add ${step.host.name} type veth peer name ${step.pod.name}`;
    case "delete-link":
      return `ip link delete ${step.name}`;
    case "no-link-local":
      return `ip link set dev ${step.ifIndex} addrgenmode none`;
    case "set-link":
      return `ip link set dev ${at(step)}${step.up === undefined ? "" : step.up ? " up" : " down"}`;
    case "add-address":
      return `ip address add ${step.address}/32 dev ${at(step)}`;
    case "add-route":
      return `ip route add ${destination(step.to)} dev ${at(step)} table ${step.table}`;
    case "delete-route":
      return `ip route delete ${destination(step.to)} table ${step.table}`;
    case "add-rule":
    case "delete-rule":
      return `ip rule ${step.op.slice(0, -5)} priority ${step.priority} lookup ${step.table}`;
    case "add-neighbour":
      return `ip neighbour add ${step.address} lladdr ${step.mac} dev ${at(step)}`;
    case "delete-neighbour":
      return `ip neighbour delete ${step.address} dev ${step.ifIndex}`;
    case "map-pod":
      return `nft add element ip terway pod_eni { ${step.address} : goto eni${step.slot} }`;
    case "unmap-pod":
      return `nft delete element ip terway pod_eni { ${step.address} }`;
    default:
      return step satisfies never;
  }
}

function at(step: { readonly where: Where; readonly ifIndex: number }): string {
  return step.where === "pod" ? `${step.ifIndex} in the pod` : String(step.ifIndex);
}

function destination(to: Ipv4 | undefined): string {
  return to === undefined ? "default" : `${to}/32`;
}
