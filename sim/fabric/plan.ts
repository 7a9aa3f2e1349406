/**
 * From changes of the data plane to lines for `ip -batch` and `nft -f`. Pure: knows what was asked for before, so that
 * asking twice gives no lines, and asks the kernel nothing.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { type IpAddress, isIpv6 } from "../../proto/addr6.ts";
import { vSwitchGateway6 } from "../../proto/cidr6.ts";
import { type EniId, type InstanceId } from "../../proto/ids.ts";
import { type FabricChange } from "../model/fabric.ts";
import { type FabricShape, NFT_TABLE, nodeNamespace, routerDevice, VPC_MAC } from "./shape.ts";

/** One line for `ip -n ROUTER -batch -`. */
export type IpLine = {
  readonly text: string;
  /** Parts of messages of `ip` that mean the wanted state is there already. */
  readonly tolerates: readonly string[];
  /** Set where the line makes the device of an ENI: when it fails, the ENI is not plugged. */
  readonly plugs?: { readonly eni: EniId; readonly namespace: string };
};

/** What was asked for so far, about one ENI. */
export type EniWiring = {
  readonly plugged?: { readonly instance: InstanceId; readonly mac: Mac };
  readonly addresses: readonly IpAddress[];
  readonly checkSource: boolean;
};

/** What was asked for so far. */
export type Wiring = ReadonlyMap<EniId, EniWiring>;

/** Lines that bring the kernel from the wiring before to `wiring`. Both lists may be carried out at the same time. */
export type WiringPlan = {
  readonly wiring: Wiring;
  readonly ip: readonly IpLine[];
  readonly nft: readonly string[];
};

const NO_DEVICE = "Cannot find device";
const NO_ROUTE = "No such process";
const NO_PROXY = "No such file or directory";
const UNWIRED: EniWiring = { addresses: [], checkSource: true };

type Verb = "add" | "delete";
type Lines = { readonly ip: IpLine[]; readonly nft: string[] };
type Shape = Pick<FabricShape, "name" | "nodes" | "vSwitches6">;

/**
 * Plans `changes`, in order, on top of `wiring`. An address that is allowed before its ENI is plugged takes effect with
 * the plug; an unplugged ENI forgets all.
 *
 * @throws Error where a change names an instance that is not in `shape`, or plugs an ENI into a second instance: a bug
 * of the model.
 */
export function planChanges(shape: Shape, wiring: Wiring, changes: readonly FabricChange[]): WiringPlan {
  const next = new Map(wiring);
  const lines: Lines = { ip: [], nft: [] };
  for (const change of changes) {
    const before = next.get(change.eni) ?? UNWIRED;
    const after = planChange(shape, lines, before, change);
    if (after.plugged === undefined && after.addresses.length === 0 && after.checkSource)
      next.delete(change.eni);
    else next.set(change.eni, after);
  }
  lines.ip.push(...proxyLines(proxies(wiring), proxies(next)));
  return { wiring: next, ...lines };
}

/**
 * Every port answers neighbour solicitations for the IPv6 addresses of all other ports, as the VPC answers ARP: a guest may
 * take the network of its vSwitch for one link. One line for each, `ADDRESS dev PORT`.
 */
function proxies(wiring: Wiring): ReadonlySet<string> {
  const ports = [...wiring].filter(([, { plugged }]) => plugged !== undefined);
  return new Set(
    ports.flatMap(([eni, { addresses }]) =>
      addresses
        .filter(isIpv6)
        .flatMap((address) =>
          ports.filter(([other]) => other !== eni).map(([other]) => `${address} dev ${routerDevice(other)}`),
        ),
    ),
  );
}

/** Entries of a device that went have gone with it. */
function proxyLines(before: ReadonlySet<string>, after: ReadonlySet<string>): readonly IpLine[] {
  const gone = [...before].filter((line) => !after.has(line));
  const come = [...after].filter((line) => !before.has(line));
  return [
    ...gone.map((line) => ({ text: `neigh del proxy ${line}`, tolerates: [NO_DEVICE, NO_PROXY] })),
    ...come.map((line) => ({ text: `neigh replace proxy ${line}`, tolerates: [NO_DEVICE] })),
  ];
}

/** The wiring without the devices that could not be made, so that a later plug tries again. */
export function withoutPlugs(wiring: Wiring, failed: readonly EniId[]): Wiring {
  const next = new Map(wiring);
  for (const eni of failed) {
    const { addresses, checkSource } = next.get(eni) ?? UNWIRED;
    next.set(eni, { addresses, checkSource });
  }
  return next;
}

function planChange(shape: Shape, lines: Lines, before: EniWiring, change: FabricChange): EniWiring {
  const device = routerDevice(change.eni);
  const mac = before.plugged?.mac;
  switch (change.op) {
    case "plug": {
      const { instance } = change;
      if (before.plugged?.instance === instance) return before;
      if (before.plugged !== undefined)
        throw new Error(`${change.eni} is plugged into ${before.plugged.instance}`);
      plug(lines, change.eni, change.mac, namespaceOf(shape, instance));
      if (shape.vSwitches6.length > 0) plug6(shape, lines, device, change.mac);
      for (const address of before.addresses) allow(lines, device, change.mac, address);
      if (!before.checkSource) lines.nft.push(...unchecked(shape, "add", device, change.mac));
      return { ...before, plugged: { instance, mac: change.mac } };
    }
    case "unplug":
      if (mac !== undefined) {
        lines.ip.push({ text: `link del ${device}`, tolerates: [NO_DEVICE] });
        for (const address of before.addresses)
          lines.nft.push(...forget((verb) => allowed(verb, device, mac, address)));
        if (!before.checkSource) lines.nft.push(...forget((verb) => unchecked(shape, verb, device, mac)));
        if (shape.vSwitches6.length > 0) lines.nft.push(...forget((verb) => [port(verb, device, mac)]));
      }
      return UNWIRED;
    case "allow":
      if (before.addresses.includes(change.address)) return before;
      if (mac !== undefined) allow(lines, device, mac, change.address);
      return { ...before, addresses: [...before.addresses, change.address] };
    case "revoke":
      if (!before.addresses.includes(change.address)) return before;
      if (mac !== undefined) revoke(lines, device, mac, change.address);
      return { ...before, addresses: before.addresses.filter((address) => address !== change.address) };
    case "check-source":
      if (before.checkSource === change.on) return before;
      if (mac !== undefined)
        lines.nft.push(
          ...(change.on
            ? forget((verb) => unchecked(shape, verb, device, mac))
            : unchecked(shape, "add", device, mac)),
        );
      return { ...before, checkSource: change.on };
    default:
      return change satisfies never;
  }
}

/**
 * Both ends are created in their place (a later move costs milliseconds); the kernel picks the lowest free `ethN`.
 * Without `proxy_delay 0` the first ARP answer of a proxy comes after 0 to 0.8 seconds.
 */
function plug(lines: Lines, eni: EniId, mac: Mac, namespace: string): void {
  const device = routerDevice(eni);
  lines.ip.push(
    {
      text: `link add name ${device} up address ${VPC_MAC} type veth peer name eth%d address ${mac} netns ${namespace}`,
      tolerates: [],
      plugs: { eni, namespace },
    },
    { text: `ntable change name arp_cache dev ${device} proxy_delay 0`, tolerates: [NO_DEVICE] },
  );
}

/** The port answers neighbour solicitations for the gateways by itself. Without `proxy_delay 0` other answers come late. */
function plug6(shape: Shape, lines: Lines, device: string, mac: Mac): void {
  lines.ip.push(
    ...shape.vSwitches6.map((cidr) => ({
      text: `addr replace ${vSwitchGateway6(cidr)}/128 dev ${device} nodad`,
      tolerates: [NO_DEVICE],
    })),
    { text: `ntable change name ndisc_cache dev ${device} proxy_delay 0`, tolerates: [NO_DEVICE] },
  );
  lines.nft.push(port("add", device, mac));
}

/** `replace`: an address that moves between ENIs may be allowed on the new one before it is revoked on the old one. */
function allow(lines: Lines, device: string, mac: Mac, address: IpAddress): void {
  lines.ip.push(
    { text: `route replace ${hostRoute(address)} dev ${device}`, tolerates: [NO_DEVICE] },
    { text: neighbour(device, mac, address), tolerates: [NO_DEVICE] },
  );
  lines.nft.push(...allowed("add", device, mac, address));
}

/** `ip neigh del` of a missing entry ends the whole batch, hence the `replace` before it. */
function revoke(lines: Lines, device: string, mac: Mac, address: IpAddress): void {
  lines.ip.push(
    { text: `route del ${hostRoute(address)} dev ${device}`, tolerates: [NO_DEVICE, NO_ROUTE] },
    { text: neighbour(device, mac, address), tolerates: [NO_DEVICE] },
    { text: `neigh del ${address} dev ${device}`, tolerates: [NO_DEVICE] },
  );
  lines.nft.push(...forget((verb) => allowed(verb, device, mac, address)));
}

function hostRoute(address: IpAddress): string {
  return `${address}/${isIpv6(address) ? 128 : 32}`;
}

function neighbour(device: string, mac: Mac, address: IpAddress): string {
  return `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`;
}

function allowed(verb: Verb, device: string, mac: Mac, address: IpAddress): readonly string[] {
  return (isIpv6(address) ? ["ip6"] : ["ip", "arp"]).map(
    (family) => `${verb} element ${family} ${NFT_TABLE} allowed { "${device}" . ${mac} . ${address} }`,
  );
}

function unchecked(shape: Shape, verb: Verb, device: string, mac: Mac): readonly string[] {
  return ["ip", "arp", ...(shape.vSwitches6.length > 0 ? ["ip6"] : [])].map(
    (family) => `${verb} element ${family} ${NFT_TABLE} unchecked { "${device}" . ${mac} }`,
  );
}

/** Deleting a missing element fails and takes its transaction along; adding one that is there does not. */
function forget(elements: (verb: Verb) => readonly string[]): readonly string[] {
  return [...elements("add"), ...elements("delete")];
}

function port(verb: Verb, device: string, mac: Mac): string {
  return `${verb} element ip6 ${NFT_TABLE} ports { "${device}" . ${mac} }`;
}

function namespaceOf(shape: Pick<FabricShape, "name" | "nodes">, instance: InstanceId): string {
  const found = shape.nodes.find((node) => node.instance === instance);
  if (found === undefined) throw new Error(`no node stands for ${instance}`);
  return nodeNamespace(shape.name, found.node);
}
