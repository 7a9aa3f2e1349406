/**
 * The node's network as the kernel has it, in tables: pods' links, routes and nftables elements, and what each ENI has. The
 * operations are those of `daemon/core/kernel.ts`, without time: `kernel-model.ts` gives them some. They are played on a real
 * kernel as well (`kernel-model.root.test.ts`), and have to give the same answers.
 *
 * @module
 */
import { type Mac, parseMac } from "../../proto/addr.ts";
import { type IpAddress } from "../../proto/addr6.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { addressesOf } from "../../daemon/core/datapath/layout.ts";
import { type EniLink, type PodLink, type PodTrace } from "../../daemon/core/kernel.ts";
import { type KernelView } from "../../daemon/core/rebuild/rebuild.ts";

export type ModelLink = {
  /** Of the host's end; no other link ever has it. */
  readonly index: number;
  readonly hostName: string;
  readonly netns: string;
  readonly ifName: string;
  /** By its alias: empty while it is being made. */
  readonly addresses: readonly IpAddress[];
  /** The neighbours are there. */
  readonly isWired: boolean;
  readonly isUp: boolean;
};

type Element = { readonly index: number; readonly address: IpAddress; readonly slot: number | undefined };

export type Tables = {
  /** By name of the host's end. */
  readonly links: Map<string, ModelLink>;
  /** Of pods: the index of the link that an address is behind. */
  readonly routes: Map<IpAddress, number>;
  /** What may be sent by a link, by `elementKey`. Outlives its link. */
  readonly elements: Map<string, Element>;
  /** Slots of ENIs that elements can lead to. */
  readonly chains: Set<number>;
  /** Slots whose rules are there. */
  readonly eniRules: Set<number>;
  /** Slots whose routes are there, and by which device. */
  readonly eniRoutes: Map<number, Mac>;
  /** What all pods share: the table of nftables, and the rule of pods. */
  readonly host: { hasTable: boolean; hasRule: boolean };
  /** Devices of ENIs: index by MAC. */
  readonly devices: Map<Mac, number>;
  /** Paths that lead to a namespace. */
  readonly namespaces: Set<string>;
  /** Indexes of links whose elements nobody takes away before the agent's next start. */
  readonly torn: Set<number>;
  readonly count: { links: number };
};

export const MACS = { hostMac: macOf("02:00:00:00:00:01"), podMac: macOf("02:00:00:00:00:02") };

export function emptyTables(): Tables {
  return {
    links: new Map(),
    routes: new Map(),
    elements: new Map(),
    chains: new Set(),
    eniRules: new Set(),
    eniRoutes: new Map(),
    host: { hasTable: false, hasRule: false },
    devices: new Map(),
    namespaces: new Set(),
    torn: new Set(),
    count: { links: 100 },
  };
}

/** Packets pass, in both directions. */
export function isPassing({ routes, elements }: Tables, { index, addresses }: ModelLink): boolean {
  if (addresses.length === 0) return false;
  for (const address of addresses)
    if (routes.get(address) !== index || !elements.has(elementKey({ index, address }))) return false;
  return true;
}

/** The first part of `Kernel.attachPod`: the link, or the one that is there. One that somebody renamed gets its name back. */
export function claimLink(tables: Tables, pod: PodLink): Result<{ readonly isNew: boolean }> {
  const { hostName, netns, ifName } = pod;
  const { links, namespaces, count } = tables;
  if (!namespaces.has(netns)) return failed({ kind: "bad-netns", path: netns, reason: "it does not exist" });
  const host = links.get(hostName);
  const end = links.values().find((link) => link.netns === netns && link.ifName === ifName);
  if (end === undefined) {
    if (host !== undefined)
      return failed({ kind: "interface-exists", ifName: hostName, netns: "the node's namespace" });
    count.links += 1;
    links.set(hostName, {
      hostName,
      netns,
      ifName,
      index: count.links,
      addresses: [],
      isWired: false,
      isUp: false,
    });
    return ok({ isNew: true });
  }
  const isOurs = end.addresses.length === 0 || end.addresses.join() === addressesOf(pod.addresses).join();
  if (!isOurs || (host !== undefined && host !== end))
    return failed({ kind: "interface-exists", ifName, netns });
  links.delete(end.hostName);
  links.set(hostName, { ...end, hostName });
  return ok({ isNew: false });
}

/** The rest: addresses, routes, neighbours, elements. Of a link that was there before a failure changes nothing. */
export function wireLink(
  tables: Tables,
  pod: PodLink,
  { isNew }: { readonly isNew: boolean },
): Result<ModelLink> {
  const { links, routes, elements, chains, host } = tables;
  const there = links.get(pod.hostName);
  if (there === undefined) return failed(kernelFault("ip link set", "ENODEV"));
  const addresses = addressesOf(pod.addresses);
  if (!host.hasTable || (pod.slot !== undefined && !chains.has(pod.slot))) {
    // The routes replaced those of whoever had the addresses, and are taken back.
    for (const address of isNew ? addresses : []) routes.delete(address);
    if (isNew) removeLink(tables, there);
    return failed(kernelFault("nft add element", "ENOENT"));
  }
  const link: ModelLink = { ...there, addresses, isWired: true, isUp: true };
  const { index } = link;
  for (const address of addresses) {
    routes.set(address, index);
    elements.set(elementKey({ index, address }), { index, address, slot: pod.slot });
  }
  links.set(pod.hostName, link);
  return ok(link);
}

/** The first part of `Kernel.detachPod`: nobody can reach or use the addresses. */
export function cutLink(tables: Tables, { hostName, addresses }: PodLink): void {
  const { links, routes, elements } = tables;
  const link = links.get(hostName);
  const all = addressesOf(addresses);
  if (link === undefined) return removeOrphans(tables, ({ address }) => all.includes(address));
  for (const address of all) {
    elements.delete(elementKey({ index: link.index, address }));
    if (routes.get(address) === link.index) routes.delete(address);
  }
}

/** A device goes with its routes. Elements stay: nftables does not know whether a device is there. */
export function removeLink({ links, routes }: Tables, { hostName, index }: ModelLink): void {
  links.delete(hostName);
  for (const [address, at] of routes) if (at === index) routes.delete(address);
}

/** Elements whose link is gone. */
function removeOrphans({ links, elements }: Tables, isMeant: (element: Element) => boolean): void {
  const indexes = new Set(links.values().map(({ index }) => index));
  for (const [key, element] of elements)
    if (!indexes.has(element.index) && isMeant(element)) elements.delete(key);
}

export function prepareHost(tables: Tables): void {
  tables.host.hasTable = true;
  tables.host.hasRule = true;
  removeOrphans(tables, () => true);
}

/** `prepared`: slots whose chain this process made ahead, for the next `configureEni`. */
export function prepareEni({ host, chains }: Tables, slot: number, prepared: Set<number>): Result<void> {
  if (prepared.has(slot)) return ok(undefined);
  if (!host.hasTable) return failed(kernelFault("nft add chain", "ENOENT"));
  chains.add(slot);
  prepared.add(slot);
  return ok(undefined);
}

export function configureEni(
  tables: Tables,
  { slot, mac, ifIndex }: EniLink,
  prepared: Set<number>,
): Result<void> {
  const { devices, eniRules, eniRoutes } = tables;
  if (devices.get(mac) !== ifIndex) return failed(kernelFault("ip link show", "ENODEV"));
  const made = prepareEni(tables, slot, prepared);
  prepared.delete(slot);
  if (!made.ok) return made;
  eniRules.add(slot);
  eniRoutes.set(slot, mac);
  return ok(undefined);
}

/** Routes of a device that is gone went with it. Nothing goes while an element leads to the chain. */
export function forgetEni({ eniRules, eniRoutes, chains, elements }: Tables, slot: number): Result<void> {
  for (const element of elements.values())
    if (element.slot === slot) return failed(kernelFault("nft delete chain", "EBUSY"));
  chains.delete(slot);
  eniRules.delete(slot);
  eniRoutes.delete(slot);
  return ok(undefined);
}

export function unplug({ devices, eniRoutes }: Tables, mac: Mac): void {
  devices.delete(mac);
  for (const [slot, at] of eniRoutes) if (at === mac) eniRoutes.delete(slot);
}

/** See `Kernel.cleanHost`. */
export function cleanHost(tables: Tables): Result<void> {
  const { links, routes, elements, chains, eniRules, eniRoutes, host } = tables;
  const used = new Set(routes.values());
  for (const link of links.values()) if (!used.has(link.index)) removeLink(tables, link);
  if (routes.size > 0) {
    for (const [key, { address, index }] of elements) if (routes.get(address) !== index) elements.delete(key);
    const wanted = new Set(elements.values().map(({ slot }) => slot));
    for (const slot of eniRules) if (!wanted.has(slot)) forgetEni(tables, slot);
    return ok(undefined);
  }
  for (const table of [elements, chains, eniRules, eniRoutes]) table.clear();
  host.hasTable = false;
  host.hasRule = false;
  return ok(undefined);
}

/** See `Kernel.checkPod`. */
export function podDifferences(tables: Tables, pod: PodLink): readonly string[] {
  const { links, namespaces, routes, elements } = tables;
  const { hostName, netns } = pod;
  const link = links.get(hostName);
  const lines = namespaces.has(netns) ? [] : [`network namespace ${netns} is gone`];
  if (link === undefined) return [`device ${hostName} is missing`, ...lines];
  const addresses = addressesOf(pod.addresses);
  if (link.addresses.join() !== addresses.join() || link.netns !== netns)
    lines.push(`${hostName} is for ${link.addresses.join()} in ${link.netns}`);
  if (!link.isUp) lines.push(`device ${hostName} is down`);
  for (const address of addresses) {
    if (routes.get(address) !== link.index) lines.push(`route ${address} dev ${hostName} is missing`);
    if (!elements.has(elementKey({ index: link.index, address })))
      lines.push(`nft element ${hostName} . ${address} is missing`);
  }
  return lines;
}

/** See `Kernel.checkNode`. */
export function nodeDifferences(tables: Tables, enis: readonly EniLink[]): readonly string[] {
  const { devices, eniRules, eniRoutes, chains, host } = tables;
  return [
    ...(host.hasRule && host.hasTable ? [] : ["the rule of pods is missing"]),
    ...enis.flatMap(({ slot, mac, ifIndex }) => [
      ...(devices.get(mac) === ifIndex
        ? eniRoutes.get(slot) === mac
          ? []
          : [`route of slot ${slot} is missing`]
        : [`device ${ifIndex} with the MAC ${mac} of the ENI of slot ${slot} is missing`]),
      ...(eniRules.has(slot) && chains.has(slot) ? [] : [`rule of slot ${slot} is missing`]),
    ]),
  ];
}

/** See `Kernel.podTraces`. */
export function podTraces({ links, routes }: Tables): readonly PodTrace[] {
  const names = new Map([...links.values()].map(({ index, hostName }) => [index, hostName]));
  const traces = new Map<string, PodTrace>();
  const add = (hostName: string, address: IpAddress): void => {
    traces.set(`${hostName} ${address}`, { hostName, address });
  };
  for (const [address, index] of routes) add(names.get(index) ?? "", address);
  for (const { hostName, addresses } of links.values())
    for (const address of addresses) add(hostName, address);
  return [...traces.values()];
}

/** See `OpenKernel.survey`. */
export function survey({ links, routes, elements, eniRoutes, eniRules, host }: Tables): KernelView {
  const slots = new Map([...elements.values()].map(({ address, slot }) => [address, slot]));
  return {
    pods: [...links.values()].map(({ hostName, index, addresses, isWired }) => {
      const routed = [...routes].flatMap(([address, at]) => (at === index ? [address] : []));
      const all = [...new Set([...routed, ...addresses])];
      const slot = all.map((address) => slots.get(address)).find((found) => found !== undefined);
      return {
        hostName,
        hostMac: MACS.hostMac,
        addresses: all,
        ...(isWired && { podMac: MACS.podMac }),
        ...(slot !== undefined && { slot }),
      };
    }),
    slaves: [],
    enis: [...eniRoutes].map(([slot, mac]) => ({ slot, mac })),
    wasUsed: host.hasRule || eniRules.size > 0,
  };
}

function elementKey({ index, address }: Pick<Element, "index" | "address">): string {
  return `${index} ${address}`;
}

function kernelFault(op: string, errno: string): Fault {
  return { kind: "kernel", op, errno };
}

function macOf(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}
