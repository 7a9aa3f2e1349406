/**
 * Requests and their answers, over the netlink thread. One answer for each request, in the order of the requests; nothing
 * is thrown for what the kernel refuses.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { decodeAck, decodeDone, errnoName } from "./codec/error.ts";
import { HEADER_BYTES, messagesOf, NLM_F, NLMSG, portOf, type RawMessage } from "./codec/header.ts";
import { type AckPolicy, batch, nextSeq, type Request } from "./codec/request.ts";
import {
  type Exchange,
  type ExchangeOutcome,
  type JobResult,
  type Setting,
  type SocketFamily,
  type SyscallFailure,
} from "./job.ts";
import { type SocketThread } from "./socket.ts";

/** What is sent, or written, in one go. */
export type Call = SocketCall | FilesCall;

/** Writes to /proc/sys. There is one answer to each. */
export type FilesCall = {
  /** See `SocketCall`. */
  readonly netnsFd?: number;
  readonly family: "files";
  readonly settings: readonly Setting[];
  /** See `SocketCall`. */
  readonly tolerated?: readonly number[];
};

/** Requests of one send. A batch of nfnetlink has to say itself which of its requests are answered (`as-is`). */
export type SocketCall = {
  /** An open file of the pod's namespace, open until the answer. Absent: the node's namespace. */
  readonly netnsFd?: number;
  readonly family: SocketFamily;
  readonly requests: readonly Request[];
  readonly ack: AckPolicy;
  /** Error numbers that do not keep the calls after this one from being sent. */
  readonly tolerated?: readonly number[];
};

/** Where a request goes. */
export type Place = Partial<Pick<SocketCall, "netnsFd" | "family">>;

export type Answer =
  /** Carried out. `messages`: what it gave back, without the acknowledgement. */
  | { readonly kind: "done"; readonly messages: readonly RawMessage[] }
  | { readonly kind: "refused"; readonly errno: string; readonly extAck?: string }
  /** Not sent, because a call before it was refused. */
  | { readonly kind: "skipped" };

/** Requests of one send at most: their answers have to fit a receive buffer of the default size. */
export const REQUESTS_MAX = 200;
/** What the kernel answers where a thing is not there, or its device is not. */
export const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH", "ENODEV"]);
/** How often a dump is asked for again that changed while it was read. */
const DUMP_TRIES = 5;

export type Client = {
  /** Whether a notification with this port is about what one of these sockets of the node's namespace asked for. */
  isOwn(port: number): boolean;
  /**
   * Sends the calls in order, up to the first with a refusal. Each has its answers; the failure is a fault only where
   * the sockets themselves failed (then some of the requests may have been carried out).
   */
  ask(calls: readonly Call[]): Promise<Result<readonly (readonly Answer[])[]>>;
  /** All messages of a dump, of one moment. `what` names it in the fault; `place` is the node and `route` where not given. */
  dump<Value>(
    what: string,
    request: Request,
    decode: (payload: Uint8Array) => Value,
    place?: Place,
  ): Promise<Result<readonly Value[]>>;
};

export function openClient(thread: SocketThread): Client {
  let seq = 1;
  const ports = new Set<number>();

  function lineUp(call: Call): { readonly exchange: Exchange; readonly seqs: readonly number[] } {
    if (call.family === "files") return { exchange: { ...call, tolerated: call.tolerated ?? [] }, seqs: [] };
    const { netnsFd, family, requests, ack, tolerated = [] } = call;
    const { bytes, seqs } = batch(requests, seq, ack);
    const answered = seqs.filter((_, index) => isAnswered(requests[index], ack));
    seq = nextSeq(seqs.at(-1) ?? seq);
    const place = netnsFd === undefined ? {} : { netnsFd };
    return { exchange: { ...place, family, bytes, tolerated, lastSeq: answered.at(-1) ?? seq }, seqs };
  }

  async function ask(calls: readonly Call[]): Promise<Result<readonly (readonly Answer[])[]>> {
    const lined = calls.map(lineUp);
    const result = await thread.run({
      kind: "exchange",
      exchanges: lined.map(({ exchange }) => exchange),
    });
    if (result.kind !== "exchanged") return failed(jobFault("netlink", result));
    const answers: (readonly Answer[])[] = [];
    for (const [index, { exchange, seqs }] of lined.entries()) {
      const outcome = result.outcomes[index];
      if (exchange.netnsFd === undefined && outcome?.kind === "answered") learnPort(outcome.bytes);
      const read = readOutcome(outcome, seqs);
      if (!read.ok) return read;
      answers.push(read.value);
    }
    return ok(answers);
  }

  /** Every answer bears the port of the socket that asked. There are few: a socket lives until it fails. */
  function learnPort(bytes: Uint8Array): void {
    if (bytes.length >= HEADER_BYTES) ports.add(portOf(bytes));
  }

  async function dumpOnce(
    what: string,
    request: Request,
    place?: Place,
  ): Promise<Result<readonly RawMessage[]>> {
    const result = await ask([{ family: "route", ...place, requests: [request], ack: "as-is" }]);
    if (!result.ok) return result;
    const answer = result.value[0]?.[0];
    return answer?.kind === "done" ? ok(answer.messages) : failed(answerFault(what, answer));
  }

  return {
    isOwn: (port) => ports.has(port),
    ask,
    async dump(what, request, decode, place) {
      for (let tries = 1; tries <= DUMP_TRIES; tries++) {
        const result = await dumpOnce(what, request, place);
        if (!result.ok) return result;
        const whole = result.value.every(({ flags }) => (flags & NLM_F.DUMP_INTR) === 0);
        if (whole) return ok(result.value.map(({ payload }) => decode(payload)));
      }
      return failed({
        kind: "kernel",
        op: `${what}: it changed ${DUMP_TRIES} times while it was read`,
        errno: "EINTR",
      });
    },
  };
}

/** The fault of a request that was not carried out; `undefined` is one that no answer came to. */
export function answerFault(op: string, answer: Answer | undefined): Fault {
  if (answer?.kind !== "refused") return { kind: "kernel", op, errno: "ENODATA" };
  const { errno, extAck } = answer;
  return { kind: "kernel", op, errno, ...(extAck !== undefined && { extAck }) };
}

/** The fault of a job that the thread did not carry out. */
export function jobFault(op: string, result: JobResult): Fault {
  if (result.kind === "failed") return syscallFault(op, result.failure);
  return { kind: "not-ready", reason: `${op}: the netlink thread is too busy` };
}

function syscallFault(op: string, { call, errno }: SyscallFailure): Fault {
  return { kind: "kernel", op: `${op}: ${call}`, errno: errnoName(errno) };
}

/** Dumps are answered by their end; other requests where they ask for it. */
function isAnswered(request: Request | undefined, ack: AckPolicy): boolean {
  if (request === undefined) return false;
  return ack !== "as-is" || (request.flags & (NLM_F.ACK | NLM_F.DUMP)) !== 0;
}

function readOutcome(
  outcome: ExchangeOutcome | undefined,
  seqs: readonly number[],
): Result<readonly Answer[]> {
  switch (outcome?.kind) {
    case undefined:
    case "skipped":
      return ok(seqs.map(() => ({ kind: "skipped" })));
    case "answered":
      return ok(readAnswers(outcome.bytes, seqs));
    case "written":
      return ok(outcome.errnos.map(writtenAnswer));
    case "failed": {
      // Where the kernel said why before the socket failed, that is the cause.
      const answers = readAnswers(outcome.bytes, seqs);
      return answers.some(({ kind }) => kind === "refused")
        ? ok(answers)
        : failed(syscallFault("netlink", outcome.failure));
    }
    default:
      return outcome satisfies never;
  }
}

function writtenAnswer(errno: number): Answer {
  return errno === 0 ? { kind: "done", messages: [] } : { kind: "refused", errno: errnoName(errno) };
}

/** A request that was not answered was carried out: the kernel always answers what it refuses. */
function readAnswers(bytes: Uint8Array, seqs: readonly number[]): readonly Answer[] {
  const refusals = new Map<number, Answer>();
  const messages = new Map<number, RawMessage[]>(seqs.map((seq) => [seq, []]));
  for (const message of messagesOf(bytes)) {
    if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) {
      const { errno, message: extAck } =
        message.type === NLMSG.ERROR ? decodeAck(message) : decodeDone(message);
      if (errno !== 0)
        refusals.set(message.seq, {
          kind: "refused",
          errno: errnoName(errno),
          ...(extAck !== undefined && { extAck }),
        });
    } else messages.get(message.seq)?.push(message);
  }
  return seqs.map((seq) => refusals.get(seq) ?? { kind: "done", messages: messages.get(seq) ?? [] });
}
