/**
 * One call from its turn to its result: rate budget, access key, request, classification, record.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { failed, type Result } from "../../proto/result.ts";
import { type CloudFailure, type CloudResult, type Priority } from "../core/cloud.ts";
import { type Budget, type CallOutcome } from "./budget.ts";
import { type AccessKey, type Caller } from "./call.ts";
import { classify } from "./classify.ts";
import { type Decoded, type Json, textField } from "./decode.ts";
import { type Action } from "./failure-table.ts";
import { type RequestModel } from "./sdk.ts";

export type InvokeOptions = {
  /** Asked before each request. */
  readonly credentials: { current(): Promise<Result<AccessKey>> };
  readonly budget: Budget;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** Told of each call that was made or could not be made, for log and metrics. Must not throw. */
  readonly onCall?: (record: CallRecord) => void;
};

export type CallRecord = {
  readonly action: Action;
  readonly target: string;
  readonly priority: Priority;
  /** Absent where it went well. */
  readonly failure?: CloudFailure;
  /** Waiting for a turn. */
  readonly waitedMs: number;
  /** From the turn to the answer. */
  readonly tookMs: number;
};

export type Request = {
  readonly action: Action;
  readonly target: string;
  readonly priority: Priority;
  readonly parameters: RequestModel;
};

/** One attempt. Rejects only where `credentials` or `onCall` have a bug. */
export async function invokeOnce(
  request: Request,
  caller: Caller,
  { budget, credentials, now, onCall }: InvokeOptions,
): Promise<CloudResult<Json>> {
  const { action, target, priority, parameters } = request;
  const turn = await budget.acquire(action, priority);
  if (!turn.ok) {
    const failure = classify({ kind: "not-called", reason: turn.fault }, { action, target, sent: false });
    onCall?.({ action, target, priority, failure, waitedMs: 0, tookMs: 0 });
    return failed(failure);
  }
  const startMs = now();
  let result: CloudResult<Json> | undefined;
  try {
    const key = await credentials.current();
    result = key.ok ? await attempt(request, key.value, parameters, caller) : failed(keyFailure(key.fault));
  } finally {
    // Also where a bug throws: a turn that is not given back is lost for the life of the agent.
    turn.value.done(outcomeOf(result));
  }
  onCall?.({
    action,
    target,
    priority,
    ...(result.ok ? {} : { failure: result.fault }),
    waitedMs: turn.value.waitedMs,
    tookMs: now() - startMs,
  });
  return result;
}

async function attempt(
  { action, target }: Request,
  key: AccessKey,
  parameters: RequestModel,
  caller: Caller,
): Promise<CloudResult<Json>> {
  const { result, sent, status } = await caller.call({ action, parameters, key });
  if (result.ok) return result;
  const context = {
    action,
    target,
    sent,
    ...(status === undefined ? {} : { status }),
    ...(key.source === undefined ? {} : { credentialSource: key.source }),
  };
  return failed(classify(result.fault, context));
}

/** The metadata service may be back in a moment; a Secret that lacks something stays so. */
function keyFailure(fault: Fault): CloudFailure {
  return { class: fault.kind === "metadata" ? "again" : "configuration", effect: "none", fault };
}

function outcomeOf(result: CloudResult<Json> | undefined): CallOutcome {
  if (result === undefined) return { kind: "other" };
  if (result.ok) return { kind: "passed" };
  const { fault, retryAfterMs } = result.fault;
  if (fault.kind !== "cloud" || !fault.code.includes("Throttling")) return { kind: "other" };
  return { kind: "throttled", ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** What was decoded, or a failure that says which field of the answer makes no sense. */
export function checked<Value>(
  decoded: Decoded<Value>,
  answer: Json,
  call: { readonly action: Action; readonly target: string },
): CloudResult<Value> {
  if (decoded.ok) return decoded;
  const requestId = textField(answer, "RequestId");
  const end = {
    kind: "malformed",
    reason: `no usable ${decoded.fault}`,
    ...(requestId === undefined ? {} : { requestId }),
  } as const;
  return failed(classify(end, { ...call, sent: true }));
}
