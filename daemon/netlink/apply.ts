/**
 * Carries out a plan: all of its steps or none.
 *
 * Steps that follow each other on one socket travel in one send, and all sends of a plan are one job of the netlink
 * thread. What is sent after a new link names it by the index that we chose; so the link is a send of its own, and where
 * it is refused (the index may be another device's) nothing after it is sent.
 *
 * @module
 */
import { describeStep, inverse, type Step } from "../core/datapath/step.ts";
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Answer, answerFault, type Call, type Client } from "./client.ts";
import { nftBatch } from "./codec/nft-element.ts";
import { encodeStep, type EncodedStep, ERRNO, type Socket } from "./encode-step.ts";

export type Applied =
  | { readonly ok: true }
  /** `step`: the first that the kernel refused. `fault` says so too where the steps before could not be taken back. */
  | { readonly ok: false; readonly step: Step; readonly fault: Fault };

/** All steps or none. `podFd`: the pod's namespace, where the plan has one. */
export async function applySteps(client: Client, steps: readonly Step[], podFd = 0): Promise<Applied> {
  const { done, refused, fault } = await carryOut(client, steps, podFd);
  if (refused === undefined || fault === undefined) return { ok: true };
  const undo = done.toReversed().flatMap((step) => inverse(step) ?? []);
  const undone = await applyAll(client, undo);
  return { ok: false, step: refused, fault: undone.ok ? fault : alsoFailed(fault, undone.fault) };
}

/** Every step, past whatever fails; the first fault. What is gone already is no failure. */
export async function applyAll(client: Client, steps: readonly Step[]): Promise<Result<void>> {
  let first: Fault | undefined;
  for (const step of steps) {
    const { fault } = await carryOut(client, [step], 0);
    first ??= fault;
  }
  return first === undefined ? ok(undefined) : failed(first);
}

function alsoFailed(fault: Fault, undo: Fault): Fault {
  return fault.kind === "kernel"
    ? { ...fault, op: `${fault.op} (and undoing: ${describeFault(undo)})` }
    : fault;
}

type Outcome = { readonly done: readonly Step[]; readonly refused?: Step; readonly fault?: Fault };

async function carryOut(client: Client, steps: readonly Step[], podFd: number): Promise<Outcome> {
  const [first] = steps;
  if (first === undefined) return { done: [] };
  const sends = sendsOf(steps, podFd);
  const answers = await client.ask(sends.map((send) => callOf(send, podFd)));
  // The sockets failed: what was done is not known, so all of it is taken back.
  if (!answers.ok) return { done: steps, refused: first, fault: answers.fault };
  const done: Step[] = [];
  let refusal: { readonly refused: Step; readonly fault: Fault } | undefined;
  for (const [index, { socket, parts }] of sends.entries()) {
    const given = answers.value[index] ?? [];
    // A batch of nftables is carried out whole or not at all.
    const whole = socket === "nft" ? given.find(({ kind }) => kind !== "done") : undefined;
    for (const [at, { step, fine }] of parts.entries()) {
      const answer = socket === "nft" ? (whole ?? given[at + 1]) : given[at];
      if (answer?.kind === "done") done.push(step);
      else if (!isFine(answer, fine))
        refusal ??= { refused: step, fault: answerFault(describeStep(step), answer) };
    }
  }
  return { done, ...refusal };
}

type Part = EncodedStep & { readonly step: Step };
type Send = { readonly socket: Socket; readonly parts: readonly Part[] };

function sendsOf(steps: readonly Step[], podFd: number): readonly Send[] {
  const sends: { readonly socket: Socket; readonly parts: Part[] }[] = [];
  for (const step of steps) {
    const part = { ...encodeStep(step, podFd), step };
    const last = sends.at(-1);
    const joins = last?.socket === part.socket && last.parts.at(-1)?.step.op !== "add-veth";
    if (joins) last.parts.push(part);
    else sends.push({ socket: part.socket, parts: [part] });
  }
  return sends;
}

function callOf({ socket, parts }: Send, podFd: number): Call {
  const requests = parts.map(({ request }) => request);
  const tolerated = parts.flatMap(({ fine }) => fine.map((name) => ERRNO[name]));
  if (socket === "nft") return { family: "netfilter", requests: nftBatch(requests), ack: "as-is", tolerated };
  // What is refused is always answered.
  return { ...(socket === "pod" && { netnsFd: podFd }), family: "route", requests, ack: "last", tolerated };
}

function isFine(answer: Answer | undefined, fine: readonly string[]): boolean {
  return answer?.kind === "refused" && fine.includes(answer.errno);
}
