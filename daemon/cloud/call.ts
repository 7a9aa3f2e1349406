/**
 * One signed request to ECS or VPC and its answer, with what the SDK lacks: a deadline that holds, cancellation, and
 * the knowledge whether the request left this node.
 *
 * Traps of the SDK's HTTP layer that are kept away here:
 *
 * - Its two time-outs: only the smaller of both counts, and both are 3 s where not given. Both are set, above our own
 *   deadline, so that ours is the one that decides.
 * - It keeps connections open without limit, and a timer of one call stays on the socket and stops the timer of the
 *   next. Each call has a connection of its own (`Connection: close`; TLS sessions are still resumed). With that a
 *   reset always belongs to this very request: it cannot be an idle connection that the server had closed.
 * - It has no way to cancel. Node announces every request it creates (`http.client.request.created`), in the
 *   asynchronous context of the call, so the request can be found and destroyed when the deadline passes: a slow or
 *   hanging answer holds neither socket nor memory, and a late answer is not looked at.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { ClientRequest, type IncomingMessage } from "node:http";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type CallEnd } from "./classify.ts";
import { isJson, type Json } from "./decode.ts";
import { type Endpoint } from "./endpoint.ts";
import { type Action, productOf } from "./failure-table.ts";
import { Config, flatten, OpenApiClient, OpenApiRequest, Params, type RequestModel } from "./sdk.ts";

/** `securityToken` comes with temporary keys only. `source` is for people: where the key was found. */
export type AccessKey = {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken?: string;
  readonly source?: string;
};

export type Call = {
  readonly action: Action;
  readonly parameters: RequestModel;
  readonly key: AccessKey;
};

/** How it ended, and what is known of the way. */
export type CallReport = {
  readonly result: Result<Json, CallEnd>;
  /** See `CallContext`. */
  readonly sent: boolean;
  readonly status?: number;
};

export type CallerOptions = {
  readonly region: string;
  readonly ecs: Endpoint;
  readonly vpc: Endpoint;
  /** From the first byte of the request to the last one of the answer, name resolution and TLS included. */
  readonly timeoutMs: number;
};

export type Caller = {
  /** One attempt. Never throws. */
  call(call: Call): Promise<CallReport>;
  /** Ends the calls under way; their results are "unknown". */
  close(): void;
};

/** What is seen of a request while it is under way. */
type Trace = { request?: ClientRequest; sent: boolean; status?: number };

const CHANNEL = "http.client.request.created";
const VERSION = { ecs: "2014-05-26", vpc: "2016-04-28" } as const;
/** The SDK wants some; all of them have a counterpart in `Config`. */
const NO_RUNTIME_OPTIONS = { toMap: () => ({}) };
const USER_AGENT = "terway";
/** How much later than our deadline the SDK's own time-outs would come. */
const SDK_SLACK_MS = 1000;

/** Holds a subscription on Node's diagnostics channel until `close`. */
export function openCaller(options: CallerOptions): Caller {
  const traces = new AsyncLocalStorage<Trace>();
  const open = new Set<ClientRequest>();
  let closed = false;

  const onCreated = (message: unknown): void => {
    const trace = traces.getStore();
    const request = isJson(message) ? message["request"] : undefined;
    if (trace === undefined || !(request instanceof ClientRequest)) return;
    trace.request = request;
    open.add(request);
    request.once("finish", () => {
      trace.sent = true;
    });
    request.once("response", (response: IncomingMessage) => {
      if (response.statusCode !== undefined) trace.status = response.statusCode;
    });
  };
  subscribe(CHANNEL, onCreated);

  return {
    async call(call) {
      if (closed) {
        return { result: failed({ kind: "not-called", reason: "the agent is stopping" }), sent: false };
      }
      const trace: Trace = { sent: false };
      const answer = traces.run(trace, () => send(call, options));
      const result = await within(answer, options.timeoutMs);
      if (trace.request !== undefined) {
        open.delete(trace.request);
        if (!result.ok) trace.request.destroy();
      }
      return { result, sent: trace.sent, ...(trace.status === undefined ? {} : { status: trace.status }) };
    },
    close() {
      closed = true;
      unsubscribe(CHANNEL, onCreated);
      for (const request of open) request.destroy();
    },
  };
}

async function send(call: Call, options: CallerOptions): Promise<Result<Json, CallEnd>> {
  const product = productOf(call.action);
  const endpoint = options[product];
  const sdkTimeoutMs = options.timeoutMs + SDK_SLACK_MS;
  try {
    // A client is a bag of settings, cheap to make; one a call takes a rotated key up at once.
    const client = new OpenApiClient(
      new Config({
        accessKeyId: call.key.accessKeyId,
        accessKeySecret: call.key.accessKeySecret,
        ...(call.key.securityToken === undefined ? {} : { securityToken: call.key.securityToken }),
        regionId: options.region,
        endpoint: endpoint.host,
        protocol: endpoint.protocol,
        readTimeout: sdkTimeoutMs,
        connectTimeout: sdkTimeoutMs,
        userAgent: USER_AGENT,
      }),
    );
    const answer: unknown = await client.callApi(
      new Params({
        action: call.action,
        version: VERSION[product],
        protocol: "HTTPS",
        pathname: "/",
        method: "POST",
        authType: "AK",
        style: "RPC",
        reqBodyType: "formData",
        bodyType: "json",
      }),
      new OpenApiRequest({
        query: { RegionId: options.region, ...flatten(call.parameters.toMap()) },
        headers: { connection: "close" },
      }),
      NO_RUNTIME_OPTIONS,
    );
    const body = isJson(answer) ? answer["body"] : undefined;
    return isJson(body) ? ok(body) : failed({ kind: "malformed", reason: "not a JSON object" });
  } catch (error) {
    return failed({ kind: "thrown", error });
  }
}

/** `answer` never rejects, so that a late one is simply dropped. */
async function within(
  answer: Promise<Result<Json, CallEnd>>,
  timeoutMs: number,
): Promise<Result<Json, CallEnd>> {
  const { promise: deadline, resolve } = Promise.withResolvers<Result<Json, CallEnd>>();
  const timer = setTimeout(() => resolve(failed({ kind: "deadline", timeoutMs })), timeoutMs);
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
