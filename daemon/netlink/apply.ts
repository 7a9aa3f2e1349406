/**
 * Carries out a plan: all of it or nothing. And takes one away: all of it, past whatever fails.
 *
 * Messages that follow each other on one way travel in one send, and all sends of a plan are one job of the netlink
 * thread. What is sent after a new device names it by the index that we chose; so a device is a send of its own, and where
 * it is refused (the index may be another device's) nothing after it is sent.
 *
 * @module
 */
import { describeThing, placeOf, type Plan, type Thing } from "../core/datapath/thing.ts";
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Answer, answerFault, type Call, type Client, REQUESTS_MAX } from "./client.ts";
import { nftBatch } from "./codec/nft-element.ts";
import { type Request } from "./codec/request.ts";
import { ERRNO, makeMessages, type Message, removeMessages, type Way } from "./encode-thing.ts";
import { type Setting } from "./job.ts";

export type Applied =
  | { readonly ok: true }
  /** `thing`: the first that the kernel refused. `fault` says so too where those before could not be taken back. */
  | { readonly ok: false; readonly thing: Thing; readonly fault: Fault };

/** All things or none. `podFd`: the pod's namespace, where the plan has one. */
export async function applyPlan(client: Client, plan: Plan, podFd = 0): Promise<Applied> {
  const sends = sendsOf(
    plan,
    (thing) => makeMessages(thing, podFd),
    (last, way) => last.way === way && last.parts.length < REQUESTS_MAX && !isDevice(last),
  );
  if (sends.length === 0) return { ok: true };
  const answers = await client.ask(sends.map((send) => callOf(send, podFd)));
  // Where the sockets failed it is not known what was done, so all of it is taken back.
  const { done, thing, fault } = answers.ok
    ? outcomeOf(sends, answers.value)
    : { done: plan, thing: sends[0]?.parts[0]?.thing, fault: answers.fault };
  if (thing === undefined || fault === undefined) return { ok: true };
  const undone = await removePlan(client, done, podFd);
  return { ok: false, thing, fault: undone.ok ? fault : alsoFailed(fault, undone.fault) };
}

/**
 * Takes every thing away, the last first, past whatever fails; the first fault. What is gone already is no failure, what a
 * device was set to stays. `podFd`: absent where what is in the pod goes with its device.
 */
export async function removePlan(client: Client, plan: Plan, podFd = 0): Promise<Result<void>> {
  const things = plan.toReversed().filter((thing) => podFd !== 0 || placeOf(thing) === "node");
  const sends = sendsOf(
    things,
    removeMessages,
    // A batch of nftables that has one refusal does nothing: each element has its own.
    (last, way) => last.way === way && last.parts.length < REQUESTS_MAX && way !== "nft",
  );
  const answers = await Promise.all(sends.map((send) => client.ask([callOf(send, podFd, "each")])));
  for (const [at, send] of sends.entries()) {
    const given = answers[at];
    if (given?.ok === false) return failed(given.fault);
    const { fault } = outcomeOf([send], given?.value ?? []);
    if (fault !== undefined) return failed(fault);
  }
  return ok(undefined);
}

function alsoFailed(fault: Fault, undo: Fault): Fault {
  return fault.kind === "kernel"
    ? { ...fault, op: `${fault.op} (and undoing: ${describeFault(undo)})` }
    : fault;
}

type Part = { readonly thing: Thing; readonly message: Message };
type Send = { readonly way: Way; readonly parts: readonly Part[] };

function sendsOf(
  plan: Plan,
  messagesOf: (thing: Thing) => readonly Message[],
  joins: (last: Send, way: Way) => boolean,
): readonly Send[] {
  const sends: { readonly way: Way; readonly parts: Part[] }[] = [];
  for (const thing of plan) {
    for (const message of messagesOf(thing)) {
      const last = sends.at(-1);
      if (last !== undefined && joins(last, message.way)) last.parts.push({ thing, message });
      else sends.push({ way: message.way, parts: [{ thing, message }] });
    }
  }
  return sends;
}

function isDevice({ parts }: Send): boolean {
  const kind = parts.at(-1)?.thing.kind;
  return kind === "veth" || kind === "ipvlan" || kind === "vxlan";
}

type Outcome = { readonly done: Plan; readonly thing?: Thing; readonly fault?: Fault };

function outcomeOf(sends: readonly Send[], answers: readonly (readonly Answer[])[]): Outcome {
  const done = new Set<Thing>();
  let refusal: { readonly thing: Thing; readonly fault: Fault } | undefined;
  for (const [index, { way, parts }] of sends.entries()) {
    const given = answers[index] ?? [];
    // A batch of nftables is carried out whole or not at all.
    const whole = way === "nft" ? given.find(({ kind }) => kind !== "done") : undefined;
    for (const [at, { thing, message }] of parts.entries()) {
      const answer = way === "nft" ? (whole ?? given[at + 1]) : given[at];
      if (answer?.kind === "done") done.add(thing);
      else if (!isFine(answer, message.fine))
        refusal ??= { thing, fault: answerFault(describeThing(thing), answer) };
    }
  }
  return { done: [...done], ...refusal };
}

function callOf({ way, parts }: Send, podFd: number, ack: "last" | "each" = "last"): Call {
  const messages = parts.map(({ message }) => message);
  const tolerated = [...new Set(messages.flatMap(({ fine }) => fine.map((name) => ERRNO[name])))];
  const place = way === "pod" || way === "pod-files" ? { netnsFd: podFd } : {};
  const requests = messages.flatMap((message): readonly Request[] =>
    message.kind === "request" ? [message.request] : [],
  );
  const settings = messages.flatMap((message): readonly Setting[] =>
    message.kind === "setting" ? [message.setting] : [],
  );
  switch (way) {
    case "node-files":
    case "pod-files":
      return { ...place, family: "files", settings, tolerated };
    case "nft":
      return { family: "netfilter", requests: nftBatch(requests), ack: "as-is", tolerated };
    case "node":
    case "pod":
      // What is refused is always answered.
      return { ...place, family: "route", requests, ack, tolerated };
    default:
      return way satisfies never;
  }
}

function isFine(answer: Answer | undefined, fine: readonly string[]): boolean {
  return answer?.kind === "refused" && fine.includes(answer.errno);
}
