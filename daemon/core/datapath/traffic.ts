/**
 * Traffic control as data, of the same kind as the things of `thing.ts`: queueing disciplines, filters, and the device that
 * packets are delayed on.
 *
 * A limit has to hold against the pod itself, so both directions are limited outside of it, at the host's end of its link.
 * What the host sends there goes into the pod: a token bucket at the root. What comes in there is from the pod, and only
 * what is sent can be delayed, so it takes a detour:
 *
 *     pod -> host's end, clsact ingress: everything -> ifb, token bucket -> host's end again, behind the filter -> node
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr, isCidr6 } from "../../../proto/cidr6.ts";
import { type Bandwidth } from "../kernel.ts";
import { bucketText, type TokenBucket, tokenBucket } from "./bandwidth.ts";
import { type Device, type Place } from "./thing.ts";

/** `ip link add NAME index I type ifb`: what is sent to it comes out where it was taken from. */
export type IfbThing = {
  readonly kind: "ifb";
  readonly place: Place;
  readonly device: Device;
  /** Bytes. */
  readonly mtu: number;
  /** IFLA_GROUP. */
  readonly group: number;
};

/** `tc qdisc add dev DEV clsact`: the places for filters. */
export type ClsactThing = { readonly kind: "clsact"; readonly place: Place; readonly device: Device };

/** `tc qdisc replace dev DEV root tbf …`, with our handle. */
export type BucketThing = {
  readonly kind: "bucket";
  readonly place: Place;
  readonly device: Device;
  readonly bucket: TokenBucket;
};

/** `tc filter add dev DEV ingress|egress …`; its place, priority and protocol tell it from others. */
export type FilterThing = {
  readonly kind: "filter";
  readonly place: Place;
  readonly device: Device;
  /** What the device received, or what it is about to send. */
  readonly hook: "ingress" | "egress";
  /** 1 to 65535. */
  readonly priority: number;
  /** Destination. Absent: everything, of whatever protocol. */
  readonly to?: IpCidr;
  readonly redirect: {
    /** `ingress`: as if that device had received it; `egress`: sent by it. */
    readonly into: "ingress" | "egress";
    readonly device: Device;
    /** The packet forgets the route that it had in the namespace it is from, and is for whoever gets it. */
    readonly anew?: true;
  };
};

/** `tc filter add dev DEV egress …`: what the device sends in the name of `pass` goes on; without it everything is dropped. */
export type SourceThing = {
  readonly kind: "source";
  readonly place: Place;
  readonly device: Device;
  /** 1 to 65535. */
  readonly priority: number;
  readonly pass?: { readonly protocol: "ip" | "arp" | "ipv6"; readonly address: IpAddress };
};

export type TrafficThing = IfbThing | ClsactThing | BucketThing | FilterThing | SourceThing;

/** Major number of our token buckets, and priority of the filter that leads to one: "TW". */
export const TC_OURS = 0x5457;

/** Indexes of ifb devices: that of the limited device and so much, above what anybody counts up to by himself. */
const IFB_INDEX_OFFSET = 65_536;

/** Where a limit holds: a device in a namespace. */
export type Limited = {
  readonly place: Place;
  readonly device: Device;
  readonly mtu: number;
  readonly group: number;
};

/** The ifb of a device: `ti…` of `tw…`. The same device always has the same one. */
export function ifbOf({ name, ifIndex }: Device): Device {
  return { name: ifbName(name), ifIndex: ifIndex + IFB_INDEX_OFFSET };
}

/** See `ifbOf`. */
export function ifbName(name: string): string {
  return name.startsWith("tw") ? `ti${name.slice(2)}` : `ti-${name}`.slice(0, 15);
}

/** Index of the device that an ifb delays for; `undefined` where it is none of ours. */
export function limitedIndex(ifbIndex: number): number | undefined {
  return ifbIndex > IFB_INDEX_OFFSET ? ifbIndex - IFB_INDEX_OFFSET : undefined;
}

/** Everything at the host's end of a veth: what it sends is the pod's ingress. */
export function planVethLimits(limited: Limited, { ingress, egress }: Bandwidth): readonly TrafficThing[] {
  return planLimits(limited, { sent: ingress, received: egress });
}

/** Everything at the pod's own device, where the datapath has none on the node: what it sends is the pod's egress. */
export function planSlaveLimits(limited: Limited, { ingress, egress }: Bandwidth): readonly TrafficThing[] {
  return planLimits(limited, { sent: egress, received: ingress });
}

/**
 * Only packets with the device's own addresses leave it, for a datapath whose packets pass no place on the node where they
 * could be looked at. Whoever may set filters in that namespace (CAP_NET_ADMIN) can take them away.
 */
export function planSources(
  at: Pick<Limited, "place" | "device">,
  addresses: readonly IpAddress[],
): readonly TrafficThing[] {
  const passes = addresses.flatMap((address) =>
    (isIpv6(address) ? (["ipv6"] as const) : (["ip", "arp"] as const)).map((protocol) => ({
      protocol,
      address,
    })),
  );
  return [
    { kind: "clsact", ...at },
    ...passes.map((pass, index): SourceThing => ({
      kind: "source",
      ...at,
      priority: TC_OURS + 1 + index,
      pass,
    })),
    { kind: "source", ...at, priority: TC_OURS + 1 + passes.length },
  ];
}

function planLimits(
  { place, device, mtu, group }: Limited,
  { sent, received }: { readonly sent: Bandwidth["ingress"]; readonly received: Bandwidth["ingress"] },
): readonly TrafficThing[] {
  const things: TrafficThing[] = [];
  if (sent !== undefined) things.push({ kind: "bucket", place, device, bucket: tokenBucket(sent, mtu) });
  if (received === undefined) return things;
  const ifb = ifbOf(device);
  return [
    ...things,
    { kind: "ifb", place, device: ifb, mtu, group },
    { kind: "bucket", place, device: ifb, bucket: tokenBucket(received, mtu) },
    { kind: "clsact", place, device },
    {
      kind: "filter",
      place,
      device,
      hook: "ingress",
      priority: TC_OURS,
      redirect: { into: "egress", device: ifb },
    },
  ];
}

/** As ip(8) and tc(8) would say it. */
export function describeTraffic(thing: TrafficThing): string {
  switch (thing.kind) {
    case "ifb":
      return `link ${thing.device.name} index ${thing.device.ifIndex} type ifb mtu ${thing.mtu} group ${thing.group}`;
    case "clsact":
      return nameTraffic(thing);
    case "bucket":
      return `${nameTraffic(thing)} ${bucketText(thing.bucket)}`;
    case "filter": {
      const { into, device, anew } = thing.redirect;
      const before = anew === true ? " action tunnel_key unset action skbedit ptype host" : "";
      return `${nameTraffic(thing)}${before} action mirred ${into} redirect dev ${device.name}`;
    }
    case "source":
      return `${nameTraffic(thing)} action ${thing.pass === undefined ? "drop" : "ok"}`;
    default:
      return thing satisfies never;
  }
}

/** What tells it from others: the subject of a sentence. */
export function nameTraffic(thing: TrafficThing): string {
  const { name } = thing.device;
  switch (thing.kind) {
    case "ifb":
      return `device ${name}`;
    case "clsact":
      return `qdisc clsact dev ${name}`;
    case "bucket":
      return `qdisc tbf dev ${name} root handle ${TC_OURS.toString(16)}:`;
    case "filter":
      return `filter dev ${name} ${thing.hook} pref ${thing.priority} ${matchText(thing.to)}`;
    case "source":
      return `filter dev ${name} egress pref ${thing.priority} ${sourceText(thing)}`;
    default:
      return thing satisfies never;
  }
}

function sourceText({ pass }: SourceThing): string {
  if (pass === undefined) return matchText(undefined);
  const { protocol, address } = pass;
  switch (protocol) {
    case "ip":
      return `protocol ip u32 match ip src ${address}`;
    case "ipv6":
      return `protocol ipv6 u32 match ip6 src ${address}`;
    case "arp":
      return `protocol arp u32 match sender ${address}`;
    default:
      return protocol satisfies never;
  }
}

function matchText(to: IpCidr | undefined): string {
  if (to === undefined) return "protocol all u32 match u32 0 0";
  return isCidr6(to) ? `protocol ipv6 u32 match ip6 dst ${to}` : `protocol ip u32 match ip dst ${to}`;
}
