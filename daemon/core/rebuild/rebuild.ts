/**
 * What the agent knew before its database was lost, from three views: what the kernel does, what the runtime was told, what
 * the cloud has. The kernel decides which addresses are in use: one of which it has a trace is never given to another pod.
 * The runtime says whose they are, and the name of a link proves it, since it follows from the attachment. An interface that
 * the runtime does not know has a lease of an unknown attachment (`unknownAttachment`), until its DEL comes, GC or its end.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6 } from "../../../proto/addr6.ts";
import { type Attachment, attachmentKey } from "../../../proto/attachment.ts";
import { type EniView } from "../cloud.ts";
import { hostLinkName } from "../datapath/link-name.ts";
import { type Bandwidth } from "../kernel.ts";
import { type EniRecord } from "../pool/records.ts";
import { type CacheEntry } from "./cache-entry.ts";

/** What the kernel has of a pod: at least a link of ours, or a route to an address by one. */
export type PodTraces = {
  readonly hostName: string;
  readonly hostMac?: Mac;
  /** Of its alias, its routes and its neighbours. */
  readonly addresses: readonly IpAddress[];
  readonly podMac?: Mac;
  /** Of the ENI whose mark its packets get. */
  readonly slot?: number;
};

/** An address of an ipvlan pod: all that the node has of it is the route by the node's own slave of the ENI. */
export type SlaveRoute = { readonly hostName: string; readonly slot: number; readonly address: IpAddress };

export type KernelView = {
  /** Connected by veth. */
  readonly pods: readonly PodTraces[];
  /** Connected by ipvlan. */
  readonly slaves: readonly SlaveRoute[];
  /** Devices of ENIs, and whose routing table leads to them. */
  readonly enis: readonly { readonly slot: number; readonly mac: Mac }[];
  /** An agent has worked here in this boot. */
  readonly wasUsed: boolean;
};

/** An ENI that is ours, or used because of its tags. */
export type OwnEni = { readonly view: EniView; readonly borrowed: boolean };

export type RebuildInput = {
  readonly kernel: KernelView;
  readonly cache: readonly CacheEntry[];
  /** `undefined` where there is no cloud. */
  readonly enis: readonly OwnEni[] | undefined;
  /** What could be given to pods, beside the addresses of `enis`: of the node's block. */
  readonly block: readonly IpAddress[];
};

export type RebuiltLease = {
  readonly attachment: Attachment;
  /** What the pool knows the attachment by, also where the pod has the IPv6 address alone. */
  readonly address: Ipv4;
  readonly address6?: Ipv6;
  readonly stack: "ipv4" | "dual" | "ipv6";
  readonly slot: number;
  readonly hostName: string;
  readonly netns: string;
  readonly pod: string;
  readonly hostMac: string;
  readonly podMac: string;
  readonly bandwidth?: Bandwidth;
  readonly datapath?: "ipvlan";
};

export type Rebuilt = {
  readonly leases: readonly RebuiltLease[];
  /** In the slots that the kernel has them in. The pool takes the others in by itself. */
  readonly enis: readonly EniRecord[];
  /** Nobody has them now, and somebody may have had them a moment ago. */
  readonly cooling: readonly IpAddress[];
  /** What does not fit together, one sentence each. */
  readonly findings: readonly string[];
};

/**
 * Devices of ENIs with a table of ours that the cloud does not list: its view is older than they are. What is on them would be
 * given up, and their slots to others.
 */
export function unlistedEnis({ enis }: Pick<KernelView, "enis">, views: readonly EniView[]): readonly Mac[] {
  const listed = new Set(views.map(({ mac }) => mac));
  return enis.flatMap(({ mac }) => (listed.has(mac) ? [] : [mac]));
}

/** No caller can name it: networks have names. */
export function unknownAttachment(hostName: string): Attachment {
  return { network: "", containerId: hostName, ifName: "" };
}

export function isUnknown({ network }: Attachment): boolean {
  return network === "";
}

/** The order of what is given does not matter: kernel and directories have none. */
export function rebuild({ kernel, cache, enis, block }: RebuildInput): Rebuilt {
  const findings: string[] = [];
  const byLink = new Map(cache.map((entry) => [hostLinkName(entry.attachment), entry]));
  const place = placeOf(kernel, enis ?? []);
  const behind = kernel.slaves.map(({ address }) => address);
  const taken = new Set<IpAddress>([...kernel.pods.flatMap(({ addresses }) => addresses), ...behind]);
  const held = new Set<IpAddress>();
  const leases: RebuiltLease[] = [];
  const veths = kernel.pods.map((pod) => ({ pod, entry: byLink.get(pod.hostName), name: pod.hostName }));
  const found = [...veths, ...slavesOf(kernel, cache)].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const candidate of found) {
    const lease = leaseOf(candidate, { place, enis, taken, findings });
    if (lease === undefined) continue;
    const twice = keptBy(lease).filter((address) => held.has(address));
    if (twice.length > 0) {
      findings.push(`${candidate.name} has ${twice.join(", ")}, which another pod has: it gets no lease`);
      continue;
    }
    for (const address of keptBy(lease)) held.add(address);
    leases.push(lease);
  }
  const known = new Set(found.map(({ entry }) => entry));
  for (const entry of byLink.values())
    if (!known.has(entry)) {
      const { attachment } = entry;
      findings.push(`the runtime knows ${attachmentKey(attachment)}, of which the node has no interface`);
    }
  const ofEnis = (enis ?? []).flatMap(({ view }) => addressesOn(view));
  // In an earlier boot, at least: who had them then may have been gone for a moment only.
  const mayHaveServed = kernel.wasUsed || ofEnis.length > 0;
  const cooling = mayHaveServed ? [...ofEnis, ...block].filter((address) => !held.has(address)) : [];
  return { leases, enis: eniRecords(kernel, enis ?? []), cooling, findings };
}

/** `name`: tells it from others where nobody knows the attachment. */
type Candidate = {
  readonly pod: PodTraces;
  readonly entry: CacheEntry | undefined;
  readonly name: string;
  readonly datapath?: "ipvlan";
};

/** The routes of ipvlan pods, by what the runtime says of their addresses; the rest one by one. */
function slavesOf({ slaves, enis }: KernelView, cache: readonly CacheEntry[]): readonly Candidate[] {
  const macs = new Map(enis.map(({ slot, mac }) => [slot, mac]));
  const owners = new Map(
    cache.flatMap((entry) => entry.addresses.map((address) => [address, entry] as const)),
  );
  const byName = new Map<string, { readonly entry: CacheEntry | undefined; readonly routes: SlaveRoute[] }>();
  for (const route of slaves) {
    const entry = owners.get(route.address);
    const key = entry === undefined ? route.address : attachmentKey(entry.attachment);
    const name = `${route.hostName}@${key}`;
    const group = byName.get(name) ?? { entry, routes: [] };
    group.routes.push(route);
    byName.set(name, group);
  }
  return [...byName].flatMap(([name, { entry, routes }]): Candidate[] => {
    const [first] = routes;
    if (first === undefined) return [];
    const { hostName, slot } = first;
    // All slaves of an ENI have its MAC.
    const mac = macs.get(slot);
    const macsOfBoth = mac !== undefined && { hostMac: mac, podMac: mac };
    const pod = { hostName, slot, addresses: routes.map(({ address }) => address), ...macsOfBoth };
    return [{ pod, entry, name, datapath: "ipvlan" }];
  });
}

type Place = { readonly slot: number; readonly view?: EniView };

/** The ENI that an address is on, by the cloud, in the slot where the kernel has it. */
function placeOf({ enis }: KernelView, own: readonly OwnEni[]): (address: IpAddress) => Place | undefined {
  const slots = new Map(enis.map(({ slot, mac }) => [mac, slot]));
  const places = new Map<IpAddress, Place>();
  for (const { view } of own) {
    const slot = slots.get(view.mac);
    if (slot === undefined) continue;
    for (const address of addressesOn(view)) places.set(address, { slot, view });
  }
  return (address) => places.get(address);
}

function addressesOn({ primary, addresses, addresses6 }: EniView): readonly IpAddress[] {
  return [...new Set<IpAddress>([primary, ...addresses, ...addresses6])];
}

type Sources = {
  readonly place: (address: IpAddress) => Place | undefined;
  readonly enis: RebuildInput["enis"];
  /** By any pod. */
  readonly taken: Set<IpAddress>;
  readonly findings: string[];
};

function leaseOf(
  { pod, entry, name, datapath }: Candidate,
  { place, enis, taken, findings }: Sources,
): RebuiltLease | undefined {
  const { hostName } = pod;
  // The kernel's word; the runtime's where the kernel has lost it.
  const addresses = pod.addresses.length > 0 ? pod.addresses : (entry?.addresses ?? []);
  const v4 = addresses.find((address) => !isIpv6(address));
  const address6 = addresses.find(isIpv6);
  const known = v4 ?? address6;
  if (known === undefined) {
    findings.push(`${hostName} has no address, and the runtime does not know it: its DEL or GC removes it`);
    return undefined;
  }
  if (entry !== undefined && !addresses.every((address) => entry.addresses.includes(address)))
    findings.push(
      `${hostName} has ${addresses.join(", ")}, the runtime was told ${entry.addresses.join(", ")}: the node's word counts`,
    );
  const at = place(known);
  const slot = pod.slot ?? at?.slot ?? (enis === undefined ? 0 : undefined);
  if (slot === undefined) {
    findings.push(`${hostName} has ${known}, which is on no ENI of this node: it gets no lease`);
    return undefined;
  }
  const address = v4 ?? partner(at?.view, taken);
  if (address === undefined || isIpv6(address)) {
    findings.push(`${hostName} has ${known} and its ENI no IPv4 address left to keep beside it: no lease`);
    return undefined;
  }
  taken.add(address);
  return {
    attachment: entry?.attachment ?? unknownAttachment(name),
    address,
    ...(address6 !== undefined && { address6 }),
    stack: v4 === undefined ? "ipv6" : address6 === undefined ? "ipv4" : "dual",
    slot,
    hostName,
    netns: entry?.netns ?? "",
    pod: entry?.pod ?? "",
    hostMac: pod.hostMac ?? "",
    podMac: pod.podMac ?? entry?.podMac ?? "",
    ...(entry?.bandwidth !== undefined && { bandwidth: entry.bandwidth }),
    ...(datapath !== undefined && { datapath }),
  };
}

/** The IPv4 address of a pod that has the IPv6 address of its pair alone shows nowhere; any that nobody has will do. */
function partner(view: EniView | undefined, taken: ReadonlySet<IpAddress>): Ipv4 | undefined {
  return view?.addresses.findLast((address) => !taken.has(address));
}

function keptBy({ address, address6 }: RebuiltLease): readonly IpAddress[] {
  return address6 === undefined ? [address] : [address, address6];
}

/** An ENI keeps the slot that the kernel has it in: marks, tables and elements of pods that run lead there. */
function eniRecords({ enis }: KernelView, own: readonly OwnEni[]): readonly EniRecord[] {
  const slots = new Map(enis.map(({ slot, mac }) => [mac, slot]));
  return own.flatMap(({ view, borrowed }): EniRecord[] => {
    const slot = slots.get(view.mac);
    if (slot === undefined || view.status !== "InUse") return [];
    const { id, mac, primary, vSwitch } = view;
    const facts = { id, mac, primary };
    const common = { slot, vSwitch, ...(borrowed && { borrowed: true as const }) };
    return [{ ...common, kind: "ready", facts, addresses: addressesOn(view), unassigning: [] }];
  });
}
