/**
 * The call to the agent as a conversation without a socket: the bytes to write, then a step for each piece that was
 * read, and an end for each way in which a connection can end. A host that blocks and one that waits for events drive
 * it alike.
 *
 * @module
 */
import { cniCode, type Fault } from "../../proto/fault.ts";
import { PROTOCOL } from "../../proto/paths.ts";
import { errorOf, fail, succeed, type CniError, type Done } from "./done.ts";
import { openGrpcCall, type GrpcEnd } from "./grpc.ts";
import { type Utf8 } from "./input.ts";
import { decodeAddReply, encodeAttachmentRequest } from "./messages.ts";
import { type Request } from "./request.ts";
import { renderResult, wrongReply } from "./result.ts";

/** Write `send`, which may be empty, and read on. */
export type More = { readonly kind: "more"; readonly send: Uint8Array };

/** A conversation with the agent. None of its functions throws. */
export type AgentCall = {
  /** To be written as soon as the connection stands, without waiting for the agent. */
  readonly opening: Uint8Array;
  /** Takes what was read, cut anywhere; keeps no view of it. */
  readonly feed: (bytes: Uint8Array) => More | Done;
  /** The agent closed the connection before the end. */
  readonly ended: () => Done;
  /** connect, read or write failed; `errno` is its name ("ECONNREFUSED") or another short reason. */
  readonly failed: (errno: string) => Done;
  /** `deadlineMs` passed, counted from before connect. */
  readonly timedOut: () => Done;
};

/** A request that goes to the agent, with the time it may take. */
export type Dispatch = {
  readonly request: Request;
  readonly method: "Add" | "Del";
  /** Milliseconds. */
  readonly deadlineMs: number;
};

const SERVICE = "/terway.agent.v1.Agent/";

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

/** The conversation of one request, from its first byte to the run's outcome. */
export function openAgentCall(dispatch: Dispatch, utf8: Utf8): AgentCall {
  const { request, method, deadlineMs } = dispatch;
  const { pod, socketPath } = request;
  const message = encodeAttachmentRequest(
    {
      call: {
        protocol: PROTOCOL,
        deadlineMs,
        traceparent: request.trace["traceparent"] ?? "",
        config: request.rawConfig,
      },
      attachment: { network: request.network, containerId: pod.containerId, ifName: pod.ifName },
      netns: pod.netns,
      cniArgs: pod.cniArgs,
    },
    utf8,
  );
  const grpc = openGrpcCall(
    { path: SERVICE + method, message, timeoutMs: deadlineMs, metadata: request.trace },
    utf8,
  );
  const refuse = (fault: Fault): Done => fail(errorOf(fault, request.command), request.cniVersion);
  const unreachable = (reason: string): Done => refuse({ kind: "agent-unreachable", socketPath, reason });
  return {
    opening: grpc.opening,
    feed: (bytes) => {
      const step = grpc.feed(bytes);
      return step.kind === "more" ? step : finish(step, dispatch, utf8);
    },
    ended: () => unreachable("it closed the connection before it answered"),
    failed: (errno) => unreachable(describeErrno(errno)),
    timedOut: () =>
      refuse({ kind: "deadline", what: `${request.command} by the agent`, waitedMs: deadlineMs }),
  };
}

function finish(end: GrpcEnd, dispatch: Dispatch, utf8: Utf8): Done {
  const { request, method } = dispatch;
  const refuse = (fault: Fault): Done => fail(errorOf(fault, request.command), request.cniVersion);
  switch (end.kind) {
    case "reply":
      return method === "Del" ? succeed() : finishAdd(end.message, request, utf8);
    case "status":
      return fail(statusError(end, dispatch), request.cniVersion);
    case "refused":
      return refuse({ kind: "agent-unreachable", socketPath: request.socketPath, reason: end.reason });
    case "broken":
      return refuse({ kind: "agent-protocol", reason: `its answer is not gRPC: ${end.reason}` });
    default:
      return end satisfies never;
  }
}

function finishAdd(message: Uint8Array, request: Request, utf8: Utf8): Done {
  const reply = decodeAddReply(message, utf8);
  const wrong = reply.ok ? wrongReply(reply.value, request.pod) : `its reply cannot be read: ${reply.fault}`;
  if (!reply.ok || wrong !== undefined) {
    const fault = { kind: "agent-protocol", reason: wrong ?? "" } as const;
    return fail(errorOf(fault, request.command), request.cniVersion);
  }
  return succeed(renderResult(reply.value, request.cniVersion, request.previous));
}

/** The agent's own words where it sent them, else what its gRPC status says. */
function statusError(status: Extract<GrpcEnd, { kind: "status" }>, dispatch: Dispatch): CniError {
  const bare = faultOfStatus(status.code, status.message, dispatch);
  if (status.fault === undefined) return errorOf(bare, dispatch.request.command);
  const { cniCode: code, message, remedy } = status.fault;
  return {
    code: code === 0 ? cniCode(bare) : code,
    msg: message === "" ? status.message : message,
    details: remedy,
  };
}

function faultOfStatus(code: number, message: string, { request, method, deadlineMs }: Dispatch): Fault {
  const said = `${STATUS_NAMES[code] ?? `status ${code}`}${message === "" ? "" : `: ${message}`}`;
  switch (code) {
    case 4: // DEADLINE_EXCEEDED
      return { kind: "deadline", what: `${request.command} by the agent`, waitedMs: deadlineMs, cause: said };
    case 12: // UNIMPLEMENTED
      return { kind: "agent-protocol", reason: `it does not have the method ${method} (${said})` };
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
    default:
      return errno;
  }
}
