/**
 * Traffic control in the kernel: what of it is missing or other than it should be, and making it so.
 *
 * @module
 */
import { isSameBucket } from "../core/datapath/bandwidth.ts";
import {
  type BucketThing,
  type ClsactThing,
  describeTraffic,
  type FilterThing,
  type IfbThing,
  nameTraffic,
  type SourceThing,
  TC_OURS,
  type TrafficThing,
} from "../core/datapath/traffic.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { bitsOf, firstOf, isCidr6 } from "../../proto/cidr6.ts";
import { type Answer, answerFault, type Call, type Client, type Place } from "./client.ts";
import { AF, type IpPrefix } from "./codec/ip.ts";
import { createLink, decodeLink, getLink, type Link, setLink } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { type Request } from "./codec/request.ts";
import { TC_H } from "./codec/tc.ts";
import { type Action, MIRRED, PACKET, TC_ACT, TUNNEL_KEY } from "./codec/tc-action.ts";
import {
  actionBase,
  addFilter,
  addKeyedFilter,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  ETH_P,
  type Filter,
  type FilterKey,
  keysOf,
  sourceKeys,
  type U32Key,
} from "./codec/tc-filter.ts";
import { addClsact, decodeQdisc, getQdisc, type Qdisc, setTbf, tbfOf } from "./codec/tc-qdisc.ts";

/** A thing that is not as it should be; `line` says how, for people. */
export type Wrong = { readonly thing: TrafficThing; readonly line: string; readonly isMissing: boolean };

/** Numbers of <asm-generic/errno.h>. */
const ERRNO = { ENOENT: 2, EEXIST: 17, EINVAL: 22, EAFNOSUPPORT: 97 } as const;
/** IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE, as an attribute. An ifb has nothing of its own to send. */
const ADDR_GEN_NONE = Uint8Array.of(5, 0, 8, 0, 1, 0, 0, 0);
/** Handle of our token buckets. */
const BUCKET_HANDLE = TC_OURS * 0x1_0000;

/** Makes things that are not there, and mends those that are other than they should be. Each thing after what it needs. */
export async function makeTraffic(
  client: Client,
  wrong: readonly Pick<Wrong, "thing" | "isMissing">[],
  podFd?: number,
): Promise<Result<void>> {
  const parts = wrong.flatMap(({ thing, isMissing }) =>
    requestsOf(thing, isMissing).map((part) => ({ ...part, thing })),
  );
  const sends: (typeof parts)[] = [];
  for (const part of parts) {
    const last = sends.at(-1);
    // What follows names the new device by its index: where it could not be made, that may be another device's.
    if (last === undefined || last.at(-1)?.isBirth === true) sends.push([part]);
    else last.push(part);
  }
  const answers = await client.ask(sends.map((send) => callOf(send, podFd)));
  if (!answers.ok) return answers;
  for (const [at, send] of sends.entries())
    for (const [index, { thing, fine }] of send.entries()) {
      const answer = answers.value[at]?.[index];
      if (answer?.kind !== "done" && !isFine(answer, fine)) return failed(faultOf(thing, answer));
    }
  return ok(undefined);
}

type Part = {
  readonly request: Request;
  /** Refusals that are none. */
  readonly fine: readonly (keyof typeof ERRNO)[];
  readonly isBirth?: true;
};

function requestsOf(thing: TrafficThing, isMissing: boolean): readonly Part[] {
  const index = thing.device.ifIndex;
  switch (thing.kind) {
    case "ifb": {
      const { device, mtu, group } = thing;
      const link = { index, name: device.name, mtu, group, info: { kind: "raw", name: "ifb" } } as const;
      const afSpec = { unknown: [{ type: AF.INET6, bytes: ADDR_GEN_NONE }] };
      return [
        ...(isMissing ? [{ request: createLink(link), fine: [], isBirth: true } as const] : []),
        { request: setLink({ index, afSpec }), fine: ["EAFNOSUPPORT"] },
        { request: setLink({ index, mtu, group, flags: IFF.UP, change: IFF.UP }), fine: [] },
      ];
    }
    case "clsact":
      return [{ request: addClsact(index), fine: ["EEXIST"] }];
    case "bucket":
      return [{ request: setTbf(index, BUCKET_HANDLE, thing.bucket), fine: [] }];
    case "filter": {
      const made = { request: addFilter(keyOf(thing), prefixOf(thing), actionsOf(thing)), fine: [] };
      return isMissing ? [made] : [{ request: deleteFilter(keyOf(thing)), fine: ["ENOENT", "EINVAL"] }, made];
    }
    case "source": {
      const key = sourceKey(thing);
      const made = { request: addKeyedFilter(key, sourceWords(thing), sourceActions(thing)), fine: [] };
      return isMissing ? [made] : [{ request: deleteFilter(key), fine: ["ENOENT", "EINVAL"] }, made];
    }
    default:
      return thing satisfies never;
  }
}

function callOf(parts: readonly Part[], podFd: number | undefined): Call {
  return {
    ...(podFd !== undefined && { netnsFd: podFd }),
    family: "route",
    requests: parts.map(({ request }) => request),
    ack: "each",
    tolerated: parts.flatMap(({ fine }) => fine.map((name) => ERRNO[name])),
  };
}

function isFine(answer: Answer | undefined, fine: readonly string[]): boolean {
  return answer?.kind === "refused" && fine.includes(answer.errno);
}

/** What a kernel lacks that refuses it: modules of Linux that a distribution may leave out. */
const MODULES = {
  ifb: "ifb",
  clsact: "sch_ingress",
  bucket: "sch_tbf",
  filter: "cls_u32, act_mirred, act_skbedit or act_tunnel_key",
  source: "cls_u32 or act_skbedit",
} as const;

function faultOf(thing: TrafficThing, answer: Answer | undefined) {
  const fault = answerFault(describeTraffic(thing), answer);
  const isUnknown =
    answer?.kind === "refused" && (answer.errno === "EOPNOTSUPP" || answer.errno === "ENOENT");
  if (!isUnknown || fault.kind !== "kernel") return fault;
  return { ...fault, op: `${fault.op} (is the kernel module ${MODULES[thing.kind]} there?)` };
}

/** What of `things` is not as it should be. `podFd`: the pod's namespace, where they are in it. */
export async function lookAtTraffic(
  client: Client,
  things: readonly TrafficThing[],
  podFd?: number,
): Promise<Result<readonly Wrong[]>> {
  const place: Place = podFd === undefined ? {} : { netnsFd: podFd };
  const wrong: Wrong[] = [];
  for (const thing of things) {
    const line = await differenceOf(client, thing, place);
    if (!line.ok) return line;
    if (line.value === undefined) continue;
    const isMissing = line.value === MISSING;
    wrong.push({ thing, isMissing, line: isMissing ? `${nameTraffic(thing)} is missing` : line.value });
  }
  return ok(wrong);
}

const MISSING = "missing";

function differenceOf(
  client: Client,
  thing: TrafficThing,
  place: Place,
): Promise<Result<string | undefined>> {
  switch (thing.kind) {
    case "ifb":
      return ifbDifference(client, thing, place);
    case "clsact":
      return qdiscDifference(client, thing, place, TC_H.INGRESS, (found) =>
        found.kind === "clsact" ? undefined : MISSING,
      );
    case "bucket":
      return qdiscDifference(client, thing, place, TC_H.ROOT, (found) => bucketDifference(thing, found));
    case "filter": {
      const wanted = { keys: keysOf(prefixOf(thing)), actions: actionsOf(thing) };
      return filterDifference(client, thing, { key: keyOf(thing), ...wanted }, place);
    }
    case "source": {
      const wanted = { keys: sourceWords(thing), actions: sourceActions(thing) };
      return filterDifference(client, thing, { key: sourceKey(thing), ...wanted }, place);
    }
    default:
      return thing satisfies never;
  }
}

async function ifbDifference(
  client: Client,
  { device, mtu, group }: IfbThing,
  place: Place,
): Promise<Result<string | undefined>> {
  const found = await getOne(client, place, getLink({ index: device.ifIndex }), decodeLink);
  if (!found.ok) return found;
  const link = found.value;
  if (link === undefined) return ok(MISSING);
  if (link.name !== device.name || !isIfb(link))
    return failed({
      kind: "interface-exists",
      ifName: link.name ?? String(link.index),
      netns: "the namespace of the limit",
    });
  const isRight = (link.flags & IFF.UP) !== 0 && (link.mtu ?? 0) >= mtu && link.group === group;
  return ok(isRight ? undefined : `device ${device.name} is not up, or its mtu or its group is wrong`);
}

function isIfb({ info }: Link): boolean {
  return info?.kind === "raw" && info.name === "ifb";
}

async function qdiscDifference(
  client: Client,
  { device }: ClsactThing | BucketThing,
  place: Place,
  parent: number,
  compare: (found: Qdisc) => string | undefined,
): Promise<Result<string | undefined>> {
  const found = await getOne(client, place, getQdisc({ index: device.ifIndex, parent }), decodeQdisc);
  if (!found.ok) return found;
  return ok(found.value === undefined ? MISSING : compare(found.value));
}

function bucketDifference(thing: BucketThing, found: Qdisc): string | undefined {
  const tbf = tbfOf(found);
  if (tbf === undefined) return MISSING;
  if (isSameBucket(thing.bucket, tbf)) return undefined;
  const { bytesPerSecond, limitBytes } = tbf;
  return `qdisc tbf dev ${thing.device.name} root has rate ${bytesPerSecond * 8}bit limit ${limitBytes}b, not ${describeTraffic(thing)}`;
}

/** A filter as the kernel should have it. */
type Wanted = {
  readonly key: FilterKey;
  readonly keys: readonly U32Key[];
  readonly actions: readonly Action[];
};

async function filterDifference(
  client: Client,
  thing: FilterThing | SourceThing,
  wanted: Wanted,
  place: Place,
): Promise<Result<string | undefined>> {
  const { key } = wanted;
  const found = await filtersAt(client, key, place);
  if (!found.ok) return found;
  const same = found.value.filter((filter) => isAt(filter, key));
  const [first, second] = same;
  if (first === undefined) return ok(MISSING);
  return ok(
    second === undefined && doesSame(first, wanted)
      ? undefined
      : `${nameTraffic(thing)} does something else than ${describeTraffic(thing)}`,
  );
}

/** The filters of one hook of a device that match something; none where the device has no `clsact`. */
export async function filtersAt(
  client: Client,
  { index, parent }: Pick<FilterKey, "index" | "parent">,
  place: Place,
): Promise<Result<readonly Filter[]>> {
  const what = `tc filter show dev ${index}`;
  const found = await client.dump(what, dumpFilters({ index, parent }), decodeFilter, place);
  if (!found.ok) return found;
  return ok(found.value.filter((filter) => filter.kind === "u32" && filter.options?.selector !== undefined));
}

function isAt(filter: Filter, key: FilterKey): boolean {
  return filter.priority === key.priority && filter.protocol === key.protocol;
}

/** Whether a filter of the kernel is the one that was meant. */
function doesSame(filter: Filter, { keys, actions }: Wanted): boolean {
  if (filter.kind !== "u32") return false;
  const found = [filter.options?.selector?.keys, (filter.options?.actions ?? []).map(meaning)];
  return JSON.stringify(found) === JSON.stringify([keys, actions.map(meaning)]);
}

/** An action without what the kernel counts. */
function meaning(action: Action): unknown {
  switch (action.kind) {
    case "mirred": {
      const { direction, target, verdict } = action.options.parameters ?? {};
      return [action.kind, direction, target, verdict];
    }
    case "tunnel_key":
      return [action.kind, action.options.parameters?.operation];
    case "skbedit":
      return [action.kind, action.options.packetType, action.options.parameters?.verdict];
    case "raw":
      return [action.name];
    default:
      return action satisfies never;
  }
}

/** The place of a filter. */
export function keyOf({ device, hook, priority, to }: FilterThing): FilterKey {
  return {
    index: device.ifIndex,
    parent: hook === "ingress" ? TC_H.CLSACT_INGRESS : TC_H.CLSACT_EGRESS,
    priority,
    protocol: to === undefined ? ETH_P.ALL : isCidr6(to) ? ETH_P.IPV6 : ETH_P.IP,
  };
}

function prefixOf({ to }: FilterThing): IpPrefix | undefined {
  return to === undefined ? undefined : { ip: firstOf(to), bits: bitsOf(to) };
}

function actionsOf({ redirect: { into, device, anew } }: FilterThing): readonly Action[] {
  const before: readonly Action[] = [
    { kind: "tunnel_key", options: { parameters: { ...actionBase(), operation: TUNNEL_KEY.RELEASE } } },
    { kind: "skbedit", options: { parameters: actionBase(), packetType: PACKET.HOST } },
  ];
  const direction = into === "ingress" ? MIRRED.INGRESS_REDIR : MIRRED.EGRESS_REDIR;
  const parameters = { ...actionBase(TC_ACT.STOLEN), direction, target: device.ifIndex };
  return [...(anew === true ? before : []), { kind: "mirred", options: { parameters } }];
}

const SOURCE_PROTOCOLS = { ip: ETH_P.IP, arp: ETH_P.ARP, ipv6: ETH_P.IPV6 } as const;

function sourceKey({ device, priority, pass }: SourceThing): FilterKey {
  const protocol = pass === undefined ? ETH_P.ALL : SOURCE_PROTOCOLS[pass.protocol];
  return { index: device.ifIndex, parent: TC_H.CLSACT_EGRESS, priority, protocol };
}

function sourceWords({ pass }: SourceThing): readonly U32Key[] {
  return pass === undefined ? keysOf(undefined) : sourceKeys(pass.address, pass.protocol === "arp");
}

/** Who needs act_skbedit anyway needs no act_gact to drop. */
function sourceActions({ pass }: SourceThing): readonly Action[] {
  const parameters = actionBase(TC_ACT.SHOT);
  return pass === undefined ? [{ kind: "skbedit", options: { parameters, packetType: PACKET.HOST } }] : [];
}

/** The one thing that a request asks for; `undefined` where it is not there. */
async function getOne<Value>(
  client: Client,
  place: Place,
  request: Request,
  decode: (payload: Uint8Array) => Value,
): Promise<Result<Value | undefined>> {
  const answers = await client.ask([{ family: "route", ...place, requests: [request], ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  if (answer?.kind !== "done")
    return isFine(answer, ["ENOENT", "ENODEV", "EINVAL"])
      ? ok(undefined)
      : failed(answerFault("look at traffic control", answer));
  const [message] = answer.messages;
  return ok(message === undefined ? undefined : decode(message.payload));
}
