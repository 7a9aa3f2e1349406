/**
 * How what the kernel has differs from a plan. Only what the plan names is asked for: single objects, and for what cannot
 * be asked for singly the list of one device or table. So it takes as long with many pods as with one. What others
 * added is not minded.
 *
 * @module
 */
import {
  type AddressThing,
  type ElementThing,
  type FdbThing,
  nameThing,
  type NeighbourThing,
  placeOf,
  type Plan,
  type RouteThing,
  type RuleThing,
  type Thing,
} from "../core/datapath/thing.ts";
import { ok, type Result } from "../../proto/result.ts";
import { type Client } from "./client.ts";
import { type Address, decodeAddress } from "./codec/address.ts";
import { dumpAddresses, dumpForwarding, dumpNeighbours, dumpRules } from "./codec/dump.ts";
import { AF, familyOf, prefixOf } from "./codec/ip.ts";
import { decodeNeighbour, getNeighbour, type Neighbour, NUD } from "./codec/neighbour.ts";
import { decodeSetElements, getElement, type SetElement } from "./codec/nft-element.ts";
import { type Route, RTN } from "./codec/route.ts";
import { decodeRule, FR_ACT, type Rule } from "./codec/rule.ts";
import { linkDifferences, type LinkThing, linksOf } from "./differ-link.ts";
import { elementKey, mapOf, ROUTE_TYPES } from "./encode-thing.ts";
import {
  type Asked,
  type Inside,
  type KnownLink,
  lookAt,
  noneWhereGone,
  subjectOf,
  whereOf,
} from "./look.ts";
import { routesOf } from "./table.ts";

/** One thing that is not as the plan says. */
export type Difference = {
  readonly thing: Thing;
  /** For people: `"route 10.0.0.7/32 dev tw0 table 7400 is missing"`. */
  readonly line: string;
};

/** In the order of the plan. `known`: links that were looked at a moment ago. A fault: the kernel could not be asked. */
export async function differences(
  client: Client,
  plan: Plan,
  inside?: Inside,
  known: readonly KnownLink[] = [],
): Promise<Result<readonly Difference[]>> {
  const asked: Asked = { client, inside, known };
  const parts = await Promise.all([
    ofLinks(asked, plan.filter(isLinkThing)),
    ...[...grouped(plan)].map(([, things]) => ofGroup(asked, things)),
  ]);
  const found = new Map<Thing, readonly string[]>();
  for (const part of parts) {
    if (!part.ok) return part;
    for (const [thing, lines] of part.value) found.set(thing, lines);
  }
  return ok(plan.flatMap((thing) => (found.get(thing) ?? []).map((line) => ({ thing, line }))));
}

/** Lines of each thing that differs. */
type Found = Result<readonly (readonly [Thing, readonly string[]])[]>;

type OtherThing = Exclude<Thing, LinkThing>;

function isLinkThing(thing: Thing): thing is LinkThing {
  return (
    thing.kind === "settings" || thing.kind === "veth" || thing.kind === "ipvlan" || thing.kind === "vxlan"
  );
}

/** Things that one question answers. */
function grouped(plan: Plan): ReadonlyMap<string, readonly OtherThing[]> {
  const groups = new Map<string, OtherThing[]>();
  for (const thing of plan) {
    if (isLinkThing(thing)) continue;
    const key = groupOf(thing);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [thing]);
    else group.push(thing);
  }
  return groups;
}

function groupOf(thing: OtherThing): string {
  switch (thing.kind) {
    case "address":
      return `address ${thing.place} ${familyOf(thing.address)} ${thing.device.ifIndex}`;
    case "route":
      return `route ${thing.place} ${familyOf(prefixOf(thing.to).ip)} ${thing.table} ${thing.device?.ifIndex ?? ""}`;
    case "rule":
      return `rule ${thing.family}`;
    case "neighbour":
      return `neighbour ${thing.place} ${familyOf(thing.address)} ${thing.device.ifIndex}`;
    case "fdb":
      return `fdb ${thing.device.ifIndex}`;
    case "element":
      return `element ${thing.family} ${thing.table} ${thing.map}`;
    default:
      return thing satisfies never;
  }
}

/** `things`: of one group. */
function ofGroup(asked: Asked, things: readonly OtherThing[]): Promise<Found> {
  const [first] = things;
  const same = <Kind extends OtherThing["kind"]>(kind: Kind): readonly (OtherThing & { kind: Kind })[] =>
    things.filter((thing): thing is OtherThing & { kind: Kind } => thing.kind === kind);
  switch (first?.kind) {
    case undefined:
      return Promise.resolve(ok([]));
    case "address":
      return ofAddresses(asked, first, same("address"));
    case "route":
      return ofRoutes(asked, first, same("route"));
    case "rule":
      return ofRules(asked, first, same("rule"));
    case "neighbour":
      return ofNeighbours(asked, first, same("neighbour"));
    case "fdb":
      return ofForwarding(asked, first, same("fdb"));
    case "element":
      return ofElements(asked, same("element"));
    default:
      return Promise.resolve(first satisfies never);
  }
}

async function ofLinks(asked: Asked, things: readonly LinkThing[]): Promise<Found> {
  const links = await linksOf(asked, things);
  if (!links.ok) return links;
  return ok(things.map((thing) => [thing, linkDifferences(asked, thing, links.value)]));
}

async function ofAddresses(
  asked: Asked,
  { place, device, address }: AddressThing,
  things: readonly AddressThing[],
): Promise<Found> {
  const filter = { family: familyOf(address), index: device.ifIndex };
  const name = subjectOf(asked, place, `ip address show dev ${device.name}`);
  const where = whereOf(asked, place);
  const found = noneWhereGone(await asked.client.dump(name, dumpAddresses(filter), decodeAddress, where));
  if (!found.ok) return found;
  return ok(missing(asked, things, (thing) => found.value.some((each) => isAddress(each, thing))));
}

/** IPv6 has no IFA_LOCAL but on links with a peer. */
function isAddress({ local, address, prefixLength }: Address, thing: AddressThing): boolean {
  return (local ?? address) === thing.address && prefixLength === thing.prefixLength;
}

async function ofRoutes(
  asked: Asked,
  { place, table, device, to }: RouteThing,
  things: readonly RouteThing[],
): Promise<Found> {
  const found = await routesOf(
    asked.client,
    { table, family: familyOf(prefixOf(to).ip), ...(device !== undefined && { oif: device.ifIndex }) },
    whereOf(asked, place),
  );
  if (!found.ok) return found;
  return ok(missing(asked, things, (thing) => found.value.some((route) => isRoute(route, thing))));
}

function isRoute(route: Route, { to, via, type, src, metric }: RouteThing): boolean {
  const { ip, bits } = prefixOf(to);
  return (
    (bits === 0 ? route.dst === undefined : route.dst?.ip === ip && route.dst.bits === bits) &&
    route.type === (type === undefined ? RTN.UNICAST : ROUTE_TYPES[type]) &&
    route.gateway === via &&
    (src === undefined || route.prefSrc === src) &&
    (metric === undefined || route.priority === metric)
  );
}

async function ofRules(asked: Asked, { family }: RuleThing, things: readonly RuleThing[]): Promise<Found> {
  const request = dumpRules({ family: family === 4 ? AF.INET : AF.INET6 });
  const found = await asked.client.dump("ip rule show", request, decodeRule);
  if (!found.ok) return found;
  return ok(missing(asked, things, (thing) => found.value.some((rule) => isRule(rule, thing))));
}

function isRule(rule: Rule, { priority, table, mark, iif }: RuleThing): boolean {
  return (
    rule.priority === priority &&
    rule.action === (table === undefined ? FR_ACT.BLACKHOLE : FR_ACT.TO_TABLE) &&
    rule.table === (table ?? 0) &&
    rule.iifName === iif &&
    rule.fwmark === mark?.value &&
    (mark === undefined || rule.fwmask === mark.mask) &&
    [rule.src, rule.dst, rule.oifName].every((narrower) => narrower === undefined)
  );
}

/** Up to so many of one device are asked for one by one: a list has those of all devices of a kernel that does not filter. */
const SINGLE_MAX = 8;

async function ofNeighbours(
  asked: Asked,
  { place, device, address }: NeighbourThing,
  things: readonly NeighbourThing[],
): Promise<Found> {
  const { client } = asked;
  const index = device.ifIndex;
  const [where, name] = [whereOf(asked, place), `ip neighbour show dev ${device.name}`];
  const found =
    things.length > SINGLE_MAX
      ? noneWhereGone(
          await client.dump(
            name,
            dumpNeighbours({ family: familyOf(address), index }),
            decodeNeighbour,
            where,
          ),
        )
      : await lookAt(
          client,
          name,
          things.map((thing) => getNeighbour({ index, dst: thing.address })),
          ({ payload }) => decodeNeighbour(payload),
          where,
        );
  if (!found.ok) return found;
  const entries = new Map(
    found.value.flatMap((entry) => (entry?.index === index ? [[entry.dst, entry] as const] : [])),
  );
  return ok(things.map((thing) => [thing, neighbourLines(asked, thing, entries.get(thing.address))]));
}

function neighbourLines(
  asked: Asked,
  thing: NeighbourThing,
  entry: Neighbour | undefined,
): readonly string[] {
  const what = subjectOf(asked, thing.place, nameThing(thing));
  // The kernel has been asking for it in vain: as good as none.
  if (entry?.lladdr === undefined) return [`${what} is missing`];
  return [
    ...(entry.lladdr === thing.mac ? [] : [`${what} has the MAC ${entry.lladdr}, not ${thing.mac}`]),
    ...((entry.state & NUD.PERMANENT) === 0 ? [`${what} is not permanent`] : []),
  ];
}

async function ofForwarding(asked: Asked, { device }: FdbThing, things: readonly FdbThing[]): Promise<Found> {
  const index = device.ifIndex;
  const name = `bridge fdb show dev ${device.name}`;
  const found = noneWhereGone(await asked.client.dump(name, dumpForwarding({ index }), decodeNeighbour));
  if (!found.ok) return found;
  const entries = found.value.filter((entry) => entry.index === index);
  return ok(
    things.map((thing) => {
      const remotes = entries.filter(({ lladdr }) => lladdr === thing.mac).map(({ dst }) => dst);
      if (remotes.includes(thing.remote) && remotes.length === 1) return [thing, []];
      const what = nameThing(thing);
      const wrong = remotes.map((remote) => `${what} leads to ${remote ?? "nobody"}, not ${thing.remote}`);
      return [thing, wrong.length === 0 ? [`${what} is missing`] : wrong];
    }),
  );
}

async function ofElements(asked: Asked, things: readonly ElementThing[]): Promise<Found> {
  const found = await lookAt(
    asked.client,
    "nft get element",
    things.map((thing) => getElement(mapOf(thing), elementKey(thing))),
    ({ payload }) => decodeSetElements(payload, { key: [] }).elements[0]?.data,
    { family: "netfilter" },
  );
  if (!found.ok) return found;
  return ok(things.map((thing, at) => [thing, elementLines(thing, found.value[at])]));
}

function elementLines(thing: ElementThing, data: SetElement["data"]): readonly string[] {
  if (data === undefined) return [`${nameThing(thing)} is missing`];
  const leads = data.kind === "verdict" && data.verdict === "goto" ? data.chain : undefined;
  const isSame = thing.chain === undefined ? isAccept(data) : leads === thing.chain;
  const wanted = thing.chain === undefined ? "and is not accepted" : `not ${thing.chain}`;
  return isSame ? [] : [`${nameThing(thing)} goes to ${leads ?? "no chain"}, ${wanted}`];
}

function isAccept(data: SetElement["data"]): boolean {
  return data?.kind === "verdict" && data.verdict === "accept";
}

function missing<Kind extends Thing>(
  asked: Asked,
  things: readonly Kind[],
  has: (thing: Kind) => boolean,
): readonly (readonly [Thing, readonly string[]])[] {
  return things
    .filter((thing) => !has(thing))
    .map((thing) => [thing, [`${subjectOf(asked, placeOf(thing), nameThing(thing))} is missing`]]);
}
