/**
 * Carries changes out, a slice at a time: what else the netlink thread has to do (a pod's interface) waits for one slice at
 * most. What is refused keeps nothing else back.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { ok, type Result } from "../../../proto/result.ts";
import { type Change } from "../../core/hybrid/plan.ts";
import { describeHybridThing, type HybridThing, keyOf, type NodeElement } from "../../core/hybrid/things.ts";
import { type Answer, answerFault, type Client, GONE } from "../client.ts";
import { addElements, deleteElements, nftBatch, type SetElement } from "../codec/nft-element.ts";
import { type Request } from "../codec/request.ts";
import { encodeChange, nodeSet, type RouteSocketThing } from "./encode.ts";

/** Requests of one send, and elements of one message: about 1 ms in the kernel. */
const SLICE = 64;

/** A change that the kernel refused. */
export type Failure = { readonly change: Change; readonly fault: Fault };

export type Carried = {
  readonly failures: readonly Failure[];
  /** Netlink messages that were sent. */
  readonly messages: number;
};

/**
 * Carries `changes` out and notes in `actual` what is so now. A fault: the sockets failed, and what is so is not known.
 * Senders are let in before there is a way to them, and shut out when there is none any more.
 */
export async function carryOut(
  client: Client,
  changes: readonly Change[],
  actual: Map<string, HybridThing>,
): Promise<Result<Carried>> {
  const failures: Failure[] = [];
  let messages = 0;
  const additions = changes.filter((change) => !isRemoval(change));
  const removals = changes.filter(isRemoval);
  const rounds = [
    ...elementSlices(additions.filter(isElement)),
    ...slices(additions.filter((change) => !isElement(change))),
    ...slices(removals.filter((change) => !isElement(change))),
    ...elementSlices(removals.filter(isElement)),
  ];
  for (const round of rounds) {
    const done = await carryRound(client, round, actual);
    if (!done.ok) return done;
    messages += done.value.messages;
    for (const failure of done.value.failures) {
      if (!isInItsOwnWay(failure)) {
        failures.push(failure);
        continue;
      }
      const anew = await makeAnew(client, failure.change, actual);
      if (!anew.ok) return anew;
      failures.push(...anew.value.failures.map(({ fault }) => ({ change: failure.change, fault })));
      messages += anew.value.messages;
    }
  }
  return ok({ failures, messages });
}

/**
 * The gateway of an IPv6 route into the overlay is within its own destination: while the route that it replaces leads
 * elsewhere, the kernel finds the gateway by that one and refuses it, `onlink` or not.
 */
function isInItsOwnWay({ change, fault }: Failure): boolean {
  const { kind, thing } = change;
  return kind === "replace" && thing.kind === "route" && fault.kind === "kernel" && fault.errno === "EINVAL";
}

async function makeAnew(
  client: Client,
  { thing }: Change,
  actual: Map<string, HybridThing>,
): Promise<Result<Carried>> {
  const failures: Failure[] = [];
  let messages = 0;
  const changes: readonly Change[] = [
    { kind: "remove", thing: actual.get(keyOf(thing)) ?? thing },
    { kind: "add", thing },
  ];
  for (const change of changes) {
    const done = await carryRound(client, [change], actual);
    if (!done.ok) return done;
    failures.push(...done.value.failures);
    messages += done.value.messages;
  }
  return ok({ failures, messages });
}

function isElement({ thing }: Change): boolean {
  return thing.kind === "node-element";
}

function isRemoval({ kind }: Change): boolean {
  return kind === "remove";
}

async function carryRound(
  client: Client,
  round: readonly Change[],
  actual: Map<string, HybridThing>,
): Promise<Result<Carried>> {
  const { requests, family } = requestsOf(round);
  const isNft = family === "netfilter";
  const answers = await client.ask([{ family, requests, ack: isNft ? "as-is" : "each" }]);
  if (!answers.ok) return answers;
  const given = answers.value[0] ?? [];
  // A batch of nftables is carried out whole or not at all; which of its elements is wrong shows one by one.
  const refused = isNft ? given.find(({ kind }) => kind !== "done") : undefined;
  if (refused !== undefined && round.length > 1) {
    const single = await carryOneByOne(client, round, actual);
    return single.ok ? ok({ ...single.value, messages: single.value.messages + requests.length }) : single;
  }
  const failures: Failure[] = [];
  for (const [index, change] of round.entries()) {
    const fault = faultOf(change, refused ?? (isNft ? { kind: "done", messages: [] } : given[index]));
    if (fault === undefined) note(actual, change);
    else failures.push({ change, fault });
  }
  return ok({ failures, messages: requests.length });
}

async function carryOneByOne(
  client: Client,
  round: readonly Change[],
  actual: Map<string, HybridThing>,
): Promise<Result<Carried>> {
  const failures: Failure[] = [];
  let messages = 0;
  for (const change of round) {
    const one = await carryRound(client, [change], actual);
    if (!one.ok) return one;
    failures.push(...one.value.failures);
    messages += one.value.messages;
  }
  return ok({ failures, messages });
}

function note(actual: Map<string, HybridThing>, { kind, thing }: Change): void {
  if (kind === "remove") actual.delete(keyOf(thing));
  else actual.set(keyOf(thing), thing);
}

/** What deletions answer where there is nothing to delete. */
function isGone(errno: string): boolean {
  return GONE.has(errno) || errno === "EADDRNOTAVAIL";
}

function faultOf({ kind, thing }: Change, answer: Answer | undefined): Fault | undefined {
  if (answer?.kind === "done") return undefined;
  // An element that is not there may be a table that is not there: that is for a look to find out.
  const mayBeGone = kind === "remove" && thing.kind !== "node-element";
  if (mayBeGone && answer?.kind === "refused" && isGone(answer.errno)) return undefined;
  const verb = kind === "remove" ? "remove" : "make";
  const fault = answerFault(`${verb} ${describeHybridThing(thing)}`, answer);
  const isForeign = thing.kind === "route" && fault.kind === "kernel" && fault.errno === "EEXIST";
  return isForeign ? { ...fault, extAck: "a route of somebody else has its place" } : fault;
}

function requestsOf(round: readonly Change[]): {
  readonly family: "route" | "netfilter";
  readonly requests: readonly Request[];
} {
  const elements = round.map(({ thing }) => thing).filter((thing) => thing.kind === "node-element");
  const [first] = elements;
  if (first === undefined) {
    const requests = round.flatMap(({ kind, thing }) =>
      isRouteSocket(thing) ? [encodeChange(kind, thing)] : [],
    );
    return { family: "route", requests };
  }
  const target = nodeSet(first.family, first.set);
  const isRemoved = round[0]?.kind === "remove";
  // What an address leads to does not change in place.
  const gone = round.flatMap(({ kind, thing }) => (kind === "add" ? [] : elementsOf(thing)));
  const made = isRemoved ? [] : round.flatMap(({ thing }) => elementsOf(thing));
  const requests = [
    ...deleteElements(
      target,
      gone.map(({ key }) => ({ key })),
    ),
    ...addElements(target, made),
  ];
  return { family: "netfilter", requests: nftBatch(requests) };
}

function elementsOf(thing: HybridThing): readonly SetElement[] {
  if (thing.kind !== "node-element") return [];
  const { address, mac } = thing;
  return [{ key: [{ kind: "ip", ip: address }], ...(mac !== undefined && { data: { kind: "mac", mac } }) }];
}

function isRouteSocket(thing: HybridThing): thing is RouteSocketThing {
  return thing.kind !== "node-element";
}

/** Those of one set together. */
function elementSlices(changes: readonly Change[]): readonly (readonly Change[])[] {
  const bySet = Map.groupBy(changes, ({ thing }) => setOf(thing));
  return [...bySet.values()].flatMap(slices);
}

function setOf(thing: HybridThing): string {
  const { family, set }: Partial<NodeElement> = thing.kind === "node-element" ? thing : {};
  return `${family} ${set}`;
}

function slices(changes: readonly Change[]): readonly (readonly Change[])[] {
  return Array.from({ length: Math.ceil(changes.length / SLICE) }, (_, at) =>
    changes.slice(at * SLICE, (at + 1) * SLICE),
  );
}
