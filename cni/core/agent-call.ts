/**
 * The call to the agent as a conversation without a socket: the bytes to write, then a step for each piece that was
 * read, and an end for each way in which a connection can end. A host that blocks and one that waits for events drive
 * it alike.
 *
 * @module
 */
import { cniCode, type Fault } from "../../proto/fault.ts";
import { PROTOCOL } from "../../proto/paths.ts";
import { errorOf, fail, remark, succeed, type CniError, type End } from "./done.ts";
import { openGrpcCall, type GrpcEnd } from "./grpc.ts";
import { type Utf8 } from "./input.ts";
import { keepDel } from "./keep-del.ts";
import {
  decodeAddReply,
  encodeAttachmentRequest,
  encodeGcRequest,
  encodeStatusRequest,
  type AgentFault,
} from "./messages.ts";
import { type NetworkCommand, type Request } from "./request.ts";
import { renderResult, wrongReply } from "./result.ts";

/** Write `send`, which may be empty, and read on. */
export type More = { readonly kind: "more"; readonly send: Uint8Array };

/** A conversation with the agent. None of its functions throws. */
export type AgentCall = {
  /** To be written as soon as the connection stands, without waiting for the agent. */
  readonly opening: Uint8Array;
  /** Takes what was read, cut anywhere; keeps no view of it. */
  readonly feed: (bytes: Uint8Array) => More | End;
  /** The agent closed the connection before the end. */
  readonly ended: () => End;
  /** stat, connect, read or write failed; `errno` is its name ("ECONNREFUSED") or another short reason. */
  readonly failed: (errno: string) => End;
  /** In place of connect: the socket's owner, `uid`, is neither root nor the effective user. */
  readonly notTrusted: (uid: number) => End;
  /** `deadlineMs` passed, counted from before connect. */
  readonly timedOut: () => End;
};

/** A request that goes to the agent, with the time it may take. */
export type Dispatch = {
  readonly request: Request;
  /** Milliseconds. */
  readonly deadlineMs: number;
};

const SERVICE = "/terway.agent.v1.Agent/";
const METHOD = {
  ADD: "Add",
  DEL: "Del",
  CHECK: "Check",
  GC: "Gc",
  STATUS: "Status",
} as const satisfies Record<NetworkCommand, string>;

/** gRPC `doc/statuscodes.md`, by number. */
const STATUS_NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/**
 * CANCELLED, DEADLINE_EXCEEDED and UNAVAILABLE without a fault come from the gRPC library of an agent that goes away or
 * hangs, not from its handlers.
 */
const NOT_SERVED_STATUSES = [1, 4, 14];
/** The kind of fault with which an agent answers that starts or stops. */
const NOT_READY = "not-ready" satisfies Fault["kind"];
const PODS_AFFECTED = cniCode({ kind: "pods-affected", differences: [] });

/** The conversation of one request, from its first byte to the run's outcome. */
export function openAgentCall(dispatch: Dispatch, utf8: Utf8): AgentCall {
  const { request, deadlineMs } = dispatch;
  const { socketPath } = request;
  const grpc = openGrpcCall(
    {
      path: SERVICE + METHOD[request.command],
      message: encodeRequest(dispatch, utf8),
      timeoutMs: deadlineMs,
      metadata: request.trace,
      wantsTiming: request.showTiming,
    },
    utf8,
  );
  const unreachable = (reason: string): End =>
    notServed(errorOf({ kind: "agent-unreachable", socketPath, reason }), request);
  return {
    opening: grpc.opening,
    feed: (bytes) => {
      const step = grpc.feed(bytes);
      return step.kind === "more" ? step : finish(step, dispatch, utf8);
    },
    ended: () => unreachable("it closed the connection before it answered"),
    failed: (errno) => unreachable(describeErrno(errno)),
    notTrusted: (uid) => unreachable(`the socket belongs to user ${uid}, who is not trusted`),
    timedOut: () => notServed(errorOf(late(dispatch)), request),
  };
}

function encodeRequest({ request, deadlineMs }: Dispatch, utf8: Utf8): Uint8Array {
  const { command, pod, network } = request;
  const call = {
    protocol: PROTOCOL,
    deadlineMs,
    traceparent: request.trace["traceparent"] ?? "",
    config: request.rawConfig,
  };
  switch (command) {
    case "ADD":
    case "DEL":
    case "CHECK": {
      const attachment = { network, containerId: pod.containerId, ifName: pod.ifName };
      return encodeAttachmentRequest({ call, attachment, netns: pod.netns, cniArgs: pod.cniArgs }, utf8);
    }
    case "GC":
      return encodeGcRequest({ call, network, attachments: request.validAttachments }, utf8);
    case "STATUS":
      return encodeStatusRequest({ call }, utf8);
    default:
      return command satisfies never;
  }
}

function finish(end: GrpcEnd, dispatch: Dispatch, utf8: Utf8): End {
  const { request } = dispatch;
  switch (end.kind) {
    case "reply":
      return finishReply(end, request, utf8);
    case "status":
      return finishStatus(end, dispatch);
    case "refused": {
      const fault = {
        kind: "agent-unreachable",
        socketPath: request.socketPath,
        reason: end.reason,
      } as const;
      return notServed(errorOf(fault), request);
    }
    case "broken":
      return misunderstood(`its answer is not gRPC: ${end.reason}`, request);
    default:
      return end satisfies never;
  }
}

function finishReply(reply: Extract<GrpcEnd, { kind: "reply" }>, request: Request, utf8: Utf8): End {
  const { command, cniVersion, pod, previous } = request;
  const note = request.showTiming && reply.timing !== undefined ? remark(reply.timing, command) : "";
  if (command !== "ADD") return succeed(undefined, note);
  const decoded = decodeAddReply(reply.message, utf8);
  if (!decoded.ok) return misunderstood(`its reply cannot be read: ${decoded.fault}`, request);
  const wrong = wrongReply(decoded.value, pod);
  if (wrong !== undefined) return misunderstood(wrong, request);
  return succeed(renderResult(decoded.value, cniVersion, previous), note);
}

/** A gRPC status that is not OK: the agent's own words where it sent them, else what the status says. */
function finishStatus(status: Extract<GrpcEnd, { kind: "status" }>, dispatch: Dispatch): End {
  const { request } = dispatch;
  const { code, message, fault } = status;
  const bare = faultOfStatus(code, message, dispatch);
  if (fault === undefined) {
    const error = errorOf(bare);
    return NOT_SERVED_STATUSES.includes(code) ? notServed(error, request) : refused(error, request);
  }
  const error = errorOfAgent(fault, bare, message);
  return fault.kind === NOT_READY ? notServed(error, request) : refused(error, request);
}

function errorOfAgent(fault: AgentFault, bare: Fault, grpcMessage: string): CniError {
  return {
    code: fault.cniCode === 0 ? cniCode(bare) : fault.cniCode,
    msg: fault.message === "" ? grpcMessage : fault.message,
    details: fault.remedy,
  };
}

/** The agent is not there, or not yet, or no longer: a DEL is kept for it. */
function notServed(error: CniError, request: Request): End {
  return request.command === "DEL" ? keepDel(request, error.msg) : refused(error, request);
}

function misunderstood(reason: string, request: Request): End {
  return refused(errorOf({ kind: "agent-protocol", reason }), request);
}

function refused(error: CniError, { command, cniVersion }: Request): End {
  return fail(command === "STATUS" ? errorOfStatus(error) : error, cniVersion, command);
}

/** STATUS has two answers, 50 and 51. Whatever else keeps it from succeeding would do so with an ADD: that is 50. */
function errorOfStatus({ code, msg, details }: CniError): CniError {
  const { code: cannotServe, msg: said } = errorOf({ kind: "cannot-serve", reason: msg });
  if (code === cannotServe || code === PODS_AFFECTED) return { code, msg, details };
  return { code: cannotServe, msg: said, details };
}

function late({ request, deadlineMs }: Dispatch, cause?: string): Fault {
  const what = `${request.command} by the agent`;
  return { kind: "deadline", what, waitedMs: deadlineMs, ...(cause !== undefined && { cause }) };
}

function faultOfStatus(code: number, message: string, dispatch: Dispatch): Fault {
  const said = `${STATUS_NAMES[code] ?? `status ${code}`}${message === "" ? "" : `: ${message}`}`;
  switch (code) {
    case 4: // DEADLINE_EXCEEDED
      return late(dispatch, said);
    case 12: // UNIMPLEMENTED
      return {
        kind: "agent-protocol",
        reason: `it does not have the method ${METHOD[dispatch.request.command]} (${said})`,
      };
    case 1: // CANCELLED
    case 8: // RESOURCE_EXHAUSTED
    case 10: // ABORTED
    case 14: // UNAVAILABLE
      return { kind: "not-ready", reason: said };
    default:
      return { kind: "internal", reason: `the agent answered ${said}` };
  }
}

/** The usual ones in words: errno(3), connect(2), unix(7). */
function describeErrno(errno: string): string {
  switch (errno) {
    case "ENOENT":
      return "there is no such socket (ENOENT)";
    case "ECONNREFUSED":
      return "nobody listens on the socket (ECONNREFUSED)";
    case "EACCES":
    case "EPERM":
      return `the plugin may not use the socket (${errno})`;
    case "ECONNRESET":
    case "EPIPE":
      return `it broke the connection off before it answered (${errno})`;
    case "EAGAIN": // connect(2): the queue of the socket is full
    case "ETIMEDOUT":
      return `too many calls wait for it already (${errno})`;
    default:
      return errno;
  }
}
