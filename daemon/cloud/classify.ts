/**
 * From whatever a call ended with to a failure that the core understands.
 *
 * The SDK throws errors of many shapes: its own ones with the cloud's code, a bare `SyntaxError` for a body that is no
 * JSON, a `TypeError` for the JSON `null`, Node's system errors with the URL glued to the text, time-outs without a
 * code. All of them come here, and none leaves as an exception.
 *
 * @module
 */
import { type CloudFailure } from "../core/cloud.ts";
import { type Action, fillRemedy, ruleFor } from "./failure-table.ts";

/** What is known about the call that failed. */
export type CallContext = {
  readonly action: Action;
  /** For people: the ENI, vSwitch or instance. */
  readonly target: string;
  /** False where the request did certainly not leave this node whole, so that it cannot have had an effect. */
  readonly sent: boolean;
  /** HTTP status, where an answer began. */
  readonly status?: number;
  /** Where the access key came from. */
  readonly credentialSource?: string;
};

/** How a call can end without a value. */
export type CallEnd =
  /** The SDK threw. */
  | { readonly kind: "thrown"; readonly error: unknown }
  /** Our own deadline passed. */
  | { readonly kind: "deadline"; readonly timeoutMs: number }
  /** An answer came, and lacks something that it must have. */
  | { readonly kind: "malformed"; readonly reason: string; readonly requestId?: string }
  /** No request was made. */
  | { readonly kind: "not-called"; readonly reason: string };

const MESSAGE_LIMIT = 300;
const RETRY_AFTER_LIMIT_MS = 120_000;
/** Node's and OpenSSL's codes are in capitals (`ECONNRESET`, `CERT_HAS_EXPIRED`), the cloud's are not. */
const SYSTEM_CODE = /^[A-Z][A-Z0-9_]+$/;
const CERTIFICATE_CODE = /CERT|SELF_SIGNED|ISSUER|CRL/;

/**
 * Never throws. `effect` is "none" for every Describe, for what the cloud refused and for what was not sent; "unknown"
 * for a request that was sent and got no usable answer.
 */
export function classify(end: CallEnd, context: CallContext): CloudFailure {
  switch (end.kind) {
    case "thrown":
      return fromThrown(end.error, context);
    case "deadline": {
      const missing = context.sent ? "complete answer" : "connection";
      return unreachable(`no ${missing} within ${end.timeoutMs} ms`, undefined, context);
    }
    case "malformed": {
      const request = end.requestId === undefined ? "" : ` (request ${end.requestId})`;
      return unreachable(`the answer makes no sense: ${end.reason}${request}`, undefined, context);
    }
    case "not-called":
      return unreachable(end.reason, undefined, { ...context, sent: false });
    default:
      return end satisfies never;
  }
}

function fromThrown(error: unknown, context: CallContext): CloudFailure {
  const code = textOf(error, "code");
  if (code === undefined || code === "undefined" || SYSTEM_CODE.test(code)) {
    return unreachable(transportReason(error, code, context), code, context);
  }
  return refusal(error, code, context);
}

function unreachable(reason: string, code: string | undefined, context: CallContext): CloudFailure {
  return {
    // A certificate that is not trusted stays so until somebody acts.
    class: code !== undefined && CERTIFICATE_CODE.test(code) ? "configuration" : "again",
    effect: effectOf("unknown", context),
    fault: { kind: "cloud-unreachable", action: context.action, target: context.target, reason },
  };
}

function transportReason(error: unknown, code: string | undefined, context: CallContext): string {
  if (context.status !== undefined && (code === undefined || code === "undefined")) {
    return `HTTP ${context.status} with a body that is not an answer of the API`;
  }
  if (textOf(error, "name") === "RequestTimeoutError") return "no complete answer in time";
  const text = clean(textOf(error, "message") ?? "an error without a message");
  return code === undefined || text.includes(code) ? text : `${text} (${code})`;
}

function refusal(error: unknown, code: string, context: CallContext): CloudFailure {
  const { action, target } = context;
  const data = field(error, "data");
  const detail = field(error, "accessDeniedDetail") ?? field(data, "AccessDeniedDetail");
  const status = numberOf(error, "statusCode") ?? context.status;
  // A code that nobody knows: 5xx may pass by itself and may have had its effect, all else needs a person.
  const fallback =
    status !== undefined && status >= 500
      ? ({
          class: "again",
          effect: "unknown",
          remedy: "the agent tries again; if it lasts, give the request id to the support",
        } as const)
      : ({ class: "configuration", remedy: "look the code up in the API reference of {action}" } as const);
  const rule = ruleFor(code, action) ?? fallback;
  const permission = textOf(detail, "AuthAction");
  const source = context.credentialSource;
  const retryAfter = numberOf(error, "retryAfter");
  return {
    class: rule.class,
    effect: effectOf(("effect" in rule ? rule.effect : undefined) ?? "none", context),
    fault: {
      kind: "cloud",
      action,
      target,
      code,
      message: clean(textOf(data, "Message") ?? strip(textOf(error, "message") ?? "", code)),
      requestId: known(textOf(data, "RequestId")) ?? known(textOf(error, "requestId")) ?? "none",
      remedy: fillRemedy(rule.remedy, {
        action,
        target,
        ...(permission === undefined ? {} : { permission }),
        ...(source === undefined ? {} : { source }),
      }),
    },
    ...(retryAfter !== undefined && retryAfter > 0
      ? { retryAfterMs: Math.min(Math.ceil(retryAfter), RETRY_AFTER_LIMIT_MS) }
      : {}),
  };
}

function effectOf(effect: CloudFailure["effect"], context: CallContext): CloudFailure["effect"] {
  return context.sent && !context.action.startsWith("Describe") ? effect : "none";
}

/** Takes off what the SDK puts around the cloud's message: `CODE: code: 403, … request id: ID`. */
function strip(message: string, code: string): string {
  const body = message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
  return body.replace(/^code: \d+, /, "").replace(/ request id: \S*$/, "");
}

/**
 * One line of bounded length. Cuts the SDK's URL off system errors, and what the cloud computed for the signature off
 * `SignatureDoesNotMatch`: it is long and holds the request.
 */
function clean(message: string): string {
  const text = message
    .replace(/POST https?:\/\/\S+ failed\.$/, "")
    .replace(/\s*server (?:side )?string to sign.*$/is, "")
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
  return text.length > MESSAGE_LIMIT ? `${text.slice(0, MESSAGE_LIMIT - 1)}…` : text;
}

function known(text: string | undefined): string | undefined {
  return text === "undefined" || text === "" ? undefined : text;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === "string" ? found : undefined;
}

function numberOf(value: unknown, name: string): number | undefined {
  const found = field(value, name);
  return typeof found === "number" && Number.isFinite(found) ? found : undefined;
}
