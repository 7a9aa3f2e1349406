/**
 * How devices differ from what a plan says of them.
 *
 * @module
 */
import { GROUP } from "../core/datapath/layout.ts";
import {
  type Device,
  type DeviceSettings,
  type IpvlanThing,
  type Ipv4Settings,
  type Ipv6Settings,
  type Place,
  type SettingsThing,
  type VethThing,
  type VxlanThing,
} from "../core/datapath/thing.ts";
import { ok, type Result } from "../../proto/result.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { inet6Of, makesLinkLocal } from "./inet6.ts";
import { type Asked, lookAt, subjectOf, whereOf, wrongs } from "./look.ts";

/** Things that are devices, or about one. */
export type LinkThing = SettingsThing | VethThing | IpvlanThing | VxlanThing;

/** Links by place and index. */
type Links = ReadonlyMap<string, Link>;

/** Every link that the things are about and that is there. */
export async function linksOf(asked: Asked, things: readonly LinkThing[]): Promise<Result<Links>> {
  const links = new Map(asked.known.map(({ place, link }) => [keyOf(place, link.index), link]));
  for (const place of ["node", "pod"] as const) {
    const wanted = new Set(
      things
        .flatMap(devicesOf)
        .filter((each) => each.place === place && !links.has(keyOf(place, each.device.ifIndex)))
        .map(({ device }) => device.ifIndex),
    );
    const found = await lookAt(
      asked.client,
      subjectOf(asked, place, "ip link show"),
      [...wanted].map((index) => getLink({ index })),
      ({ payload }) => decodeLink(payload),
      whereOf(asked, place),
    );
    if (!found.ok) return found;
    for (const link of found.value) if (link !== undefined) links.set(keyOf(place, link.index), link);
  }
  return ok(links);
}

function keyOf(place: Place, ifIndex: number): string {
  return `${place} ${ifIndex}`;
}

function devicesOf(thing: LinkThing): readonly { readonly place: Place; readonly device: Device }[] {
  switch (thing.kind) {
    case "veth":
      return [
        { place: "node", device: thing.host },
        { place: "pod", device: thing.pod },
      ];
    case "vxlan":
      return [{ place: "node", device: thing.device }];
    case "ipvlan":
    case "settings":
      return [thing];
    default:
      return thing satisfies never;
  }
}

/** One line for each way in which it differs. */
export function linkDifferences(asked: Asked, thing: LinkThing, links: Links): readonly string[] {
  const [first, second] = devicesOf(thing).map(({ place, device }) => ({
    what: subjectOf(asked, place, `device ${device.name}`),
    link: links.get(keyOf(place, device.ifIndex)),
  }));
  if (first?.link === undefined) return [`${first?.what} is missing`];
  switch (thing.kind) {
    case "settings":
      return settingsLines(first.what, first.link, thing.settings);
    case "veth":
      return [
        ...macLines(first.what, first.link, thing.host.mac),
        ...(second?.link === undefined
          ? [`${second?.what} is missing`]
          : macLines(second.what, second.link, thing.pod.mac)),
        ...(second?.link === undefined || arePeers(first.link, second.link)
          ? []
          : [`${first.what} is not the other end of ${second.what.slice("device ".length)}`]),
      ];
    case "ipvlan":
      return kindLines(first.what, first.link, "ipvlan", { is: first.link.link, parent: thing.parent });
    case "vxlan":
      return vxlanLines(first.what, first.link, thing);
    default:
      return thing satisfies never;
  }
}

/** Two ends of one veth, as far as their numbers tell. */
export function arePeers(a: Link, b: Link): boolean {
  return a.link === b.index && b.link === a.index;
}

function macLines(what: string, link: Link, mac: string): readonly string[] {
  return wrongs([
    [link.address !== mac, `${what} has the MAC ${link.address ?? "of another form"}, not ${mac}`],
  ]);
}

/** `is`: index of the device below. */
function kindLines(
  what: string,
  link: Link,
  kind: string,
  { is, parent }: { readonly is: number | undefined; readonly parent: Device },
): readonly string[] {
  return wrongs([
    [link.info?.kind !== kind, `${what} is no ${kind}`],
    [is !== parent.ifIndex, `${what} is not on ${parent.name}`],
  ]);
}

function vxlanLines(what: string, link: Link, thing: VxlanThing): readonly string[] {
  const { device, vni, port, local, underlay, mtu } = thing;
  const has = link.info?.kind === "vxlan" ? (link.info.options ?? {}) : undefined;
  const kind = kindLines(what, link, "vxlan", { is: has?.link, parent: underlay });
  if (has === undefined) return kind;
  const source = has.local ?? has.local6;
  return [
    ...kind,
    ...macLines(what, link, device.mac),
    ...wrongs([
      [has.id !== vni, `${what} has the VNI ${has.id}, not ${vni}`],
      [has.port !== port, `${what} has the UDP port ${has.port}, not ${port}`],
      [source !== local, `${what} sends from ${source ?? "any address"}, not ${local}`],
      [has.learning === 1, `${what} learns`],
      [link.mtu !== mtu, `${what} has the mtu ${link.mtu ?? 0}, not ${mtu}`],
    ]),
  ];
}

function settingsLines(what: string, link: Link, settings: DeviceSettings): readonly string[] {
  const { up, arp, mtu, group, alias, linkLocal, ipv4, ipv6 } = settings;
  const isUp = (link.flags & IFF.UP) !== 0;
  const isDoomed = link.group === GROUP.doomed;
  return [
    ...wrongs([
      [up === true && !isUp, `${what} is down`],
      [up === false && isUp, `${what} is up`],
      [arp === false && (link.flags & IFF.NOARP) === 0, `${what} answers ARP`],
      [group === GROUP.pods && isDoomed, `${what} is about to be deleted`],
      [
        group !== undefined && link.group !== group && !(group === GROUP.pods && isDoomed),
        `${what} is in group ${link.group ?? 0}, not ${group}`,
      ],
      [
        alias !== undefined && link.alias !== alias,
        `${what} has the alias "${link.alias ?? ""}", not "${alias}"`,
      ],
      [mtu !== undefined && (link.mtu ?? 0) < mtu, `${what} has the mtu ${link.mtu ?? 0}, less than ${mtu}`],
      [linkLocal === false && makesLinkLocal(link), `${what}: addrgenmode is not none`],
    ]),
    ...(ipv4 === undefined ? [] : ipv4Lines(what, link, ipv4)),
    ...(ipv6 === undefined ? [] : ipv6Lines(what, link, ipv6)),
  ];
}

function ipv4Lines(
  what: string,
  link: Link,
  { forwarding, rpFilter, srcValidMark, acceptLocal, arpIgnore }: Ipv4Settings,
): readonly string[] {
  const has = link.afSpec?.inet?.conf;
  return wrongs([
    [forwarding === true && has?.forwarding !== 1, `${what}: forwarding is off`],
    [
      rpFilter !== undefined && (has?.rpFilter ?? 0) !== rpFilter,
      `${what}: rp_filter is ${has?.rpFilter ?? 0}, not ${rpFilter}`,
    ],
    ...flagCases(what, "src_valid_mark", srcValidMark, has?.srcValidMark),
    ...flagCases(what, "accept_local", acceptLocal, has?.acceptLocal),
    [
      arpIgnore !== undefined && (has?.arpIgnore ?? 0) !== arpIgnore,
      `${what}: arp_ignore is ${has?.arpIgnore ?? 0}, not ${arpIgnore}`,
    ],
  ]);
}

function flagCases(
  what: string,
  name: string,
  wanted: boolean | undefined,
  has: number | undefined,
): readonly (readonly [wrong: boolean, line: string])[] {
  const isOn = has === 1;
  return [[wanted !== undefined && wanted !== isOn, `${what}: ${name} is ${isOn ? "on" : "off"}`]];
}

/** A kernel that cannot forward by device has no such setting. */
function ipv6Lines(
  what: string,
  link: Link,
  { enabled, acceptRa, forwarding }: Ipv6Settings,
): readonly string[] {
  const has = inet6Of(link);
  if (has === undefined) return wrongs([[enabled === true, `${what} has no IPv6`]]);
  return wrongs([
    [enabled === true && has.disabled, `${what}: IPv6 is disabled`],
    [acceptRa === false && has.acceptRa, `${what}: router advertisements are accepted`],
    [forwarding === true && has.forwarding === false, `${what}: IPv6 forwarding is off`],
  ]);
}
