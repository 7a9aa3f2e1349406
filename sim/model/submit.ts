/**
 * The way of a call through the cloud: permission, rate limit, ordered faults, idempotency, judgement, effect, answer.
 * Signatures have been verified before.
 *
 * @module
 */
import { type EniId } from "../../proto/ids.ts";
import { type Action, productOf } from "./action-names.ts";
import { ACTION_RULES, type ActionRule } from "./actions/handlers.ts";
import { type ApiError, apiError, errorOfCode } from "./api-error.ts";
import { type CallEnd, noteCall } from "./calls.ts";
import { type Fault, takeCallFaults } from "./faults.ts";
import { lookUpToken, noteToken } from "./idempotency.ts";
import { businessParameters, canonicalParameters, type Parameters } from "./parameters.ts";
import { judge } from "./ram-policy.ts";
import { drawRequestId } from "./random.ts";
import { admit } from "./throttle.ts";
import { type JsonObject } from "./json-object.ts";
import { after, drawDelay, type Reply, type World } from "./world.ts";

/** A call whose signature is right. */
export type ApiRequest = {
  readonly action: Action;
  /** As sent; what belongs to the signature may be among them. */
  readonly parameters: Parameters;
  readonly accessKeyId: string;
  /** A key of the topology's policies. */
  readonly policy: string;
};

/** A call under way. */
type Call = {
  readonly id: number;
  readonly action: Action;
  readonly rule: ActionRule;
  readonly parameters: Parameters;
  readonly requestId: string;
  readonly startedMs: number;
  readonly faults: readonly Fault[];
  readonly tokenKey: string | undefined;
};

/** Takes a call in. Its answer, if there is to be one, is among the replies of `advance` with the number returned. */
export function submit(world: World, request: ApiRequest): number {
  const { action } = request;
  const parameters = businessParameters(request.parameters);
  const rule = ACTION_RULES[action];
  const token = rule.idempotent === true ? parameters["ClientToken"] : undefined;
  const door = {
    id: world.counters.call++,
    action,
    rule,
    parameters,
    requestId: drawRequestId(world.random),
    startedMs: world.nowMs,
    faults: [],
    tokenKey: token === undefined || token === "" ? undefined : `${action} ${token}`,
  };
  const refusal = refuseAtDoor(world, request, parameters);
  if (refusal !== undefined) {
    refuseLater(world, door, refusal);
    return door.id;
  }
  const call: Call = { ...door, faults: takeCallFaults(world.faults, action, parameters) };
  if (!endsByFault(world, call)) begin(world, call);
  return call.id;
}

function refuseAtDoor(world: World, request: ApiRequest, parameters: Parameters): ApiError | undefined {
  const { action } = request;
  const denied = refusePermission(world, request, parameters);
  if (denied !== undefined) return denied;
  const waitMs = admit(world.throttle, action, world.topology.quotas[action] ?? 0, world.nowMs);
  if (waitMs !== undefined) {
    const error = apiError("Throttling.User");
    const headers = { "x-acs-retry-after": String(Math.ceil(waitMs)) };
    return world.topology.switches.retryAfterHeader ? { ...error, headers } : error;
  }
  const region = parameters["RegionId"] ?? "";
  if (region === "") {
    return ACTION_RULES[action].anyRegion === true ? undefined : apiError("MissingParameter", "RegionId");
  }
  return region === world.topology.region ? undefined : apiError("InvalidRegionId.NotFound", region);
}

function refusePermission(world: World, request: ApiRequest, parameters: Parameters): ApiError | undefined {
  const policy = world.topology.policies[request.policy];
  const action = `${productOf(request.action)}:${request.action}`;
  const { region, accountId } = world.topology;
  const { NetworkInterfaceId, InstanceId, VSwitchId } = parameters;
  const resource =
    (NetworkInterfaceId && `eni/${NetworkInterfaceId}`) ||
    (InstanceId && `instance/${InstanceId}`) ||
    (VSwitchId && `vswitch/${VSwitchId}`) ||
    "*";
  const arn = `acs:${productOf(request.action)}:${region}:${accountId}:${resource}`;
  const verdict = policy === undefined ? "ImplicitDeny" : judge(policy, action, arn);
  if (verdict === "Allow") return undefined;
  return {
    ...apiError("Forbidden.RAM", `${action} on ${arn}`),
    accessDeniedDetail: {
      AuthAction: action,
      AuthPrincipalType: "SubUser",
      AuthPrincipalOwnerId: accountId,
      AuthPrincipalDisplayName: request.accessKeyId,
      NoPermissionType: verdict,
      PolicyType: "AccountLevelIdentityBasedPolicy",
    },
  };
}

/** Carries out the faults that keep a call from its effect; false where there is none. */
function endsByFault(world: World, call: Call): boolean {
  for (const fault of call.faults) {
    switch (fault.kind) {
      case "error": {
        const error = errorOfCode(fault.code, fault.status);
        const headers =
          fault.retryAfterMs === undefined
            ? {}
            : { headers: { "x-acs-retry-after": String(fault.retryAfterMs) } };
        refuseLater(world, call, { ...error, message: fault.message ?? error.message, ...headers });
        return true;
      }
      case "html502":
      case "reset": {
        const { kind } = fault;
        after(world, drawDelay(world, "refuse"), () => reply(world, call, { kind }));
        note(world, call, "lost", kind);
        return true;
      }
      case "hang":
        note(world, call, "lost", "hang");
        return true;
      default:
    }
  }
  return false;
}

/** Judges a call for the first time; refused ones are answered soon, the others when their time has come. */
function begin(world: World, call: Call): void {
  const { tokenKey } = call;
  if (tokenKey !== undefined) {
    const verdict = lookUpToken(world.tokens, tokenKey, canonicalParameters(call.parameters), world.nowMs);
    if (verdict.kind === "mismatch") return refuseLater(world, call, apiError("IdempotentParameterMismatch"));
    if (verdict.kind === "pending") return refuseLater(world, call, apiError("OperationConflict"));
    if (verdict.kind === "done") {
      return after(world, drawDelay(world, "refuse"), () => finish(world, call, verdict.body));
    }
    if (!/^[\u0021-\u007e]{1,64}$/.test(call.parameters["ClientToken"] ?? "")) {
      return refuseLater(
        world,
        call,
        apiError("InvalidParameter", "ClientToken has at most 64 ASCII characters"),
      );
    }
  }
  const outcome = call.rule.handle(world, call.parameters);
  if (outcome.kind === "refuse") return refuseLater(world, call, outcome.error);
  if (outcome.lock !== undefined && world.locks.has(outcome.lock)) {
    return refuseLater(world, call, apiError("Operation.Conflict", outcome.lock));
  }
  if (outcome.lock !== undefined) world.locks.set(outcome.lock, call.id);
  if (tokenKey !== undefined)
    noteToken(world.tokens, tokenKey, canonicalParameters(call.parameters), world.nowMs);
  const delayMs = call.faults.reduce(
    (sum, fault) => sum + (fault.kind === "delay" ? fault.delayMs : 0),
    drawDelay(world, call.rule.latency),
  );
  after(world, delayMs, () => carryOut(world, call, outcome.lock));
}

/** Judges the call again, as others may have been faster, and carries it out. */
function carryOut(world: World, call: Call, lock: EniId | undefined): void {
  if (lock !== undefined && world.locks.get(lock) === call.id) world.locks.delete(lock);
  const outcome = call.rule.handle(world, call.parameters);
  const { tokenKey } = call;
  if (outcome.kind === "refuse") {
    if (tokenKey !== undefined) world.tokens.delete(tokenKey);
    return refuse(world, call, outcome.error);
  }
  const body = outcome.commit();
  if (tokenKey !== undefined) {
    noteToken(world.tokens, tokenKey, canonicalParameters(call.parameters), world.nowMs, body);
  }
  finish(world, call, body);
}

/** Answers a call that went well, unless a fault keeps the answer. */
function finish(world: World, call: Call, body: JsonObject): void {
  const { requestId } = call;
  const kinds = call.faults.map((fault) => fault.kind);
  const lost = kinds.includes("lostReply");
  const named = kinds.includes("emptyNetworkInterfaceId") && "NetworkInterfaceId" in body;
  const shown = named ? { ...body, NetworkInterfaceId: "" } : body;
  const answer: Reply["answer"] = lost
    ? { kind: "reset" }
    : { kind: "json", status: 200, requestId, body: { RequestId: requestId, ...shown } };
  note(world, call, lost ? "lost" : "ok", lost ? "lostReply" : "");
  const heldMs = call.faults.reduce(
    (sum, fault) => sum + (fault.kind === "holdReply" ? fault.delayMs : 0),
    0,
  );
  if (heldMs === 0) reply(world, call, answer);
  else after(world, heldMs, () => reply(world, call, answer));
}

function refuseLater(world: World, call: Call, error: ApiError): void {
  after(world, drawDelay(world, "refuse"), () => refuse(world, call, error));
}

function refuse(world: World, call: Call, error: ApiError): void {
  note(world, call, error.code.startsWith("Throttling") ? "throttled" : "refused", error.code);
  const { status, headers } = error;
  const body = errorBody(error, call.requestId, productOf(call.action));
  const { requestId } = call;
  reply(world, call, {
    kind: "json",
    status,
    requestId,
    body,
    ...(headers === undefined ? {} : { headers }),
  });
}

/** The body of an error in the API's form. */
export function errorBody(error: ApiError, requestId: string, product: string): JsonObject {
  const detail = error.accessDeniedDetail;
  return {
    RequestId: requestId,
    HostId: `${product}.aliyuncs.com`,
    Code: error.code,
    Message: error.message,
    Recommend: `https://api.aliyun.com/troubleshoot?q=${error.code}`,
    ...(detail === undefined ? {} : { AccessDeniedDetail: detail }),
  };
}

function reply(world: World, call: Call, answer: Reply["answer"]): void {
  world.out.replies.push({ call: call.id, answer });
}

function note(world: World, call: Call, end: CallEnd, code: string): void {
  const { action, parameters, requestId } = call;
  noteCall(world.calls, { atMs: call.startedMs, action, parameters, end, code, requestId });
}
