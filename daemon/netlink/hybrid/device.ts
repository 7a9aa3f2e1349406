/**
 * The two devices of the hybrid network: the uplink, which is the host's, and the VXLAN device on it, which is ours. Ours
 * is what has our name, is a vxlan and is in our group; what else has the name is in the way, and is left alone.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { isIpv6 } from "../../../proto/addr6.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { GROUP } from "../../core/datapath/layout.ts";
import { type Device } from "../../core/datapath/thing.ts";
import {
  type HybridDesired,
  type HybridDevices,
  overlayName,
  type OverlayDevice,
} from "../../core/hybrid/desired.ts";
import { foreignOverlay } from "../../core/hybrid/foreign.ts";
import { answerFault, type Client, GONE } from "../client.ts";
import { dumpLinks } from "../codec/dump.ts";
import { AF } from "../codec/ip.ts";
import {
  createLink,
  decodeLink,
  deleteLink,
  getLink,
  type Link,
  type LinkMessage,
  setLink,
} from "../codec/link.ts";
import { IFF } from "../codec/link-base.ts";
import { type Request } from "../codec/request.ts";
import { inet6Of, makesLinkLocal } from "../inet6.ts";
import { lookAt } from "../look.ts";
import { hasIpv6, setIpv6 } from "./forwarding.ts";

/** IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE, as an attribute. */
const ADDR_GEN_NONE = { type: AF.INET6, bytes: Uint8Array.of(5, 0, 8, 0, 1, 0, 0, 0) };
/** Forwarded is what comes in here, and its source may be by another way: a node that answers by the wire. */
const SETTINGS = { forwarding: 1, rpFilter: 2 } as const;
const IPV6_USED = { disable_ipv6: "0", accept_ra: "0", force_forwarding: "1" } as const;
const IPV6_UNUSED = { force_forwarding: "0" } as const;

/** The devices as they are now. */
export type SeenDevices = HybridDevices & {
  readonly uplinkLink: Link;
  /** What was put right, one short line each. */
  readonly mended: readonly string[];
};

/** Makes the overlay's device, or changes what is wrong with it; takes away what is ours and not wanted. */
export async function mendDevices(client: Client, desired: HybridDesired): Promise<Result<SeenDevices>> {
  const { overlay, uplink } = desired;
  const found = await findUplink(client, uplink);
  if (!found.ok) return found;
  const links = await vxlanLinks(client);
  if (!links.ok) return links;
  const devices = { uplink: { name: uplink.name, ifIndex: found.value.index }, uplinkLink: found.value };
  const name = overlay === undefined ? undefined : overlayName(overlay.vni);
  const stale = links.value.filter((link) => isOurs(link) && link.name !== name);
  for (const { index, name: old = String(index) } of stale) {
    const deleted = await change(client, `delete ${old}`, [deleteLink({ index })]);
    if (!deleted.ok) return deleted;
  }
  const removed = stale.map((link) => `device ${link.name ?? link.index} removed`);
  if (overlay === undefined) return ok({ ...devices, mended: removed });
  const foreign = foreignOverlay(links.value.filter((link) => !isOurs(link)).map(vxlanFacts), overlay);
  if (foreign !== undefined) return failed(foreign);
  const made = await mendOverlay(client, overlay, found.value);
  if (!made.ok) return made;
  const ipv6 = await mendIpv6(client, made.value, hasIpv6(desired));
  if (!ipv6.ok) return ipv6;
  const device = { name: overlayName(overlay.vni), ifIndex: made.value.link.index };
  return ok({ ...devices, overlay: device, mended: [...removed, ...made.value.mended, ...ipv6.value] });
}

/** All devices of ours: for who takes everything away. */
export async function removeDevices(client: Client): Promise<Result<void>> {
  const links = await vxlanLinks(client);
  if (!links.ok) return links;
  for (const { index, name = String(index) } of links.value.filter(isOurs)) {
    const deleted = await change(client, `delete ${name}`, [deleteLink({ index })]);
    if (!deleted.ok) return deleted;
  }
  return ok(undefined);
}

/** By name: a driver that is loaded anew gives another index. By index where it was renamed. */
async function findUplink(client: Client, uplink: Device): Promise<Result<Link>> {
  const requests = [getLink({ name: uplink.name }), getLink({ index: uplink.ifIndex })];
  const looked = await lookAt(client, "ip link show", requests, ({ payload }) => decodeLink(payload));
  if (!looked.ok) return looked;
  const [link] = looked.value.filter((one) => one !== undefined);
  if (link !== undefined) return ok(link);
  return failed({ kind: "kernel", op: `look for the uplink ${uplink.name}`, errno: "ENODEV" });
}

async function vxlanLinks(client: Client): Promise<Result<readonly Link[]>> {
  const links = await client.dump("ip link show type vxlan", dumpLinks({ kind: "vxlan" }), decodeLink);
  // A kernel that does not filter sends all.
  return links.ok ? ok(links.value.filter(({ info }) => info?.kind === "vxlan")) : links;
}

function isOurs({ group }: Link): boolean {
  return group === GROUP.overlay;
}

function vxlanFacts(link: Link): Parameters<typeof foreignOverlay>[0][number] {
  const { id, port, collectMetadata } = optionsOf(link);
  const external = (collectMetadata ?? 0) !== 0;
  return { name: link.name ?? String(link.index), vni: id ?? 0, udpPort: port ?? 0, external };
}

type VxlanOptions = NonNullable<(NonNullable<Link["info"]> & { readonly kind: "vxlan" })["options"]>;

function optionsOf({ info }: Link): VxlanOptions {
  return info?.kind === "vxlan" ? (info.options ?? {}) : {};
}

type Mended = { readonly link: Link; readonly mended: readonly string[] };

async function mendOverlay(client: Client, overlay: OverlayDevice, uplink: Link): Promise<Result<Mended>> {
  const name = overlayName(overlay.vni);
  const looked = await lookByName(client, name);
  if (!looked.ok) return looked;
  const there = looked.value;
  if (there !== undefined && !(isOurs(there) && there.info?.kind === "vxlan"))
    return failed(nameTaken(name, there));
  const reason = there === undefined ? "missing" : whyAnew(there, overlay, uplink);
  if (there !== undefined && reason === undefined) return settle(client, there, overlay, []);
  const requests = [
    ...(there === undefined ? [] : [deleteLink({ index: there.index })]),
    createLink(birth(overlay, uplink)),
  ];
  const made = await change(client, `make ${name} on ${uplink.name ?? uplink.index}`, requests);
  if (!made.ok) return made;
  const born = await lookByName(client, name);
  if (!born.ok) return born;
  if (born.value === undefined) return failed({ kind: "kernel", op: `make ${name}`, errno: "ENODEV" });
  return settle(client, born.value, overlay, [`device ${name}: ${reason}`]);
}

/** What can be changed in place. The MAC changes before the neighbours are looked at: the kernel forgets them all with it. */
async function settle(
  client: Client,
  link: Link,
  overlay: OverlayDevice,
  mended: readonly string[],
): Promise<Result<Mended>> {
  const name = overlayName(overlay.vni);
  const conf = link.afSpec?.inet?.conf;
  const wrong: readonly (readonly [boolean, string, LinkMessage])[] = [
    [makesLinkLocal(link), "addrgenmode is not none", { afSpec: { unknown: [ADDR_GEN_NONE] } }],
    [link.address !== overlay.mac, `MAC ${link.address}`, { address: overlay.mac }],
    [link.mtu !== overlay.mtu, `mtu ${link.mtu}`, { mtu: overlay.mtu }],
    [
      conf?.forwarding !== SETTINGS.forwarding || conf.rpFilter !== SETTINGS.rpFilter,
      "settings",
      { afSpec: { inet: { conf: SETTINGS } } },
    ],
    [(link.flags & IFF.UP) === 0, "down", { flags: IFF.UP, change: IFF.UP }],
  ];
  const found = wrong.filter(([isWrong]) => isWrong);
  const requests = found.map(([, , message]) => setLink({ index: link.index, ...message }));
  const changed = await change(client, `set ${name}`, requests);
  if (!changed.ok) return changed;
  // What is wrong with a device that was just born is no news.
  const lines = mended.length > 0 ? mended : found.map(([, what]) => `device ${name}: ${what}`);
  return ok({ link, mended: lines });
}

/** `isUsed`: it carries IPv6. Else only what was switched on for that is switched off. */
async function mendIpv6(
  client: Client,
  { link, mended }: Mended,
  isUsed: boolean,
): Promise<Result<readonly string[]>> {
  const has = inet6Of(link);
  // Absent: the kernel has no IPv6, or the MTU is below 1280.
  if (has === undefined) return ok([]);
  const isRight = isUsed
    ? !has.disabled && !has.acceptRa && has.forwarding !== false
    : has.forwarding !== true;
  if (isRight) return ok([]);
  const device = { name: link.name ?? String(link.index), ifIndex: link.index };
  const set = await setIpv6(client, device, isUsed ? IPV6_USED : IPV6_UNUSED);
  return set.ok ? ok(mended.length > 0 ? [] : [`device ${device.name}: IPv6 settings`]) : set;
}

async function lookByName(client: Client, name: string): Promise<Result<Link | undefined>> {
  const looked = await lookAt(client, `ip link show ${name}`, [getLink({ name })], ({ payload }) =>
    decodeLink(payload),
  );
  return looked.ok ? ok(looked.value[0]) : looked;
}

function nameTaken(device: string, { info, group }: Link): Fault {
  const kind = info?.kind === "raw" ? (info.name ?? "no") : (info?.kind ?? "no");
  const reason = `it has the name of the overlay's device, but is of the kind ${kind} and in the group ${group ?? 0}, not ${GROUP.overlay}`;
  return { kind: "foreign-device", device, owner: "somebody else", reason };
}

/** Why the device has to be deleted and made again; `undefined`: it need not. */
function whyAnew(link: Link, overlay: OverlayDevice, uplink: Link): string | undefined {
  const { id, link: below, port, learning, group, group6, collectMetadata, ...ends } = optionsOf(link);
  const local = ends.local ?? ends.local6;
  if (id !== overlay.vni) return `VNI ${id}`;
  if (port !== overlay.udpPort) return `UDP port ${port}`;
  if (below !== uplink.index) return `on device ${below}`;
  if (local !== overlay.local) return `local ${local}`;
  if (learning !== 0) return "it learns";
  if (group !== undefined || group6 !== undefined) return "it has a default remote";
  return (collectMetadata ?? 0) === 0 ? undefined : "it is external";
}

function birth({ vni, udpPort, mac, mtu, local }: OverlayDevice, uplink: Link): LinkMessage {
  const ends = isIpv6(local) ? { local6: local } : { local };
  return {
    name: overlayName(vni),
    address: mac,
    mtu,
    group: GROUP.overlay,
    info: { kind: "vxlan", options: { id: vni, link: uplink.index, ...ends, learning: 0, port: udpPort } },
  };
}

/** All of the requests; the first refusal is the fault. That there is no IPv6 is none, nor that what is to go is gone. */
async function change(client: Client, what: string, requests: readonly Request[]): Promise<Result<void>> {
  for (const request of requests) {
    const answers = await client.ask([{ family: "route", requests: [request], ack: "each" }]);
    if (!answers.ok) return answers;
    const answer = answers.value[0]?.[0];
    const isFine =
      answer?.kind === "refused" && (answer.errno === "EAFNOSUPPORT" || isDeleted(what, answer.errno));
    if (answer?.kind !== "done" && !isFine) return failed(answerFault(what, answer));
  }
  return ok(undefined);
}

function isDeleted(what: string, errno: string): boolean {
  return what.startsWith("delete ") && GONE.has(errno);
}
