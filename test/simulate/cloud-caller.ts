/**
 * The simulated VPC's pure model as the transport of the agent's cloud edge: budget, parameters, decoding and the
 * classification of refusals are the agent's own, only HTTP and signatures are left out.
 *
 * @module
 */
import { type Caller, type CallReport } from "../../daemon/cloud/call.ts";
import { flatten } from "../../daemon/cloud/sdk.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { readEnis } from "../../daemon/cloud/metadata-enis.ts";
import { type EniMetadata } from "../../daemon/core/metadata.ts";
import { type FabricChange } from "../../sim/model/fabric.ts";
import { type Model } from "../../sim/model/model.ts";
import { type Parameters } from "../../sim/model/parameters.ts";
import { type ApiRequest } from "../../sim/model/submit.ts";
import { type Reply } from "../../sim/model/world.ts";
import { type Life } from "./life.ts";
import { type Scheduler } from "./scheduler.ts";
import { INSTANCE } from "./setting.ts";

/** When the model's clock begins: 2026-01-01. */
export const START_MS = 1_767_225_600_000;

/** All items of all ENIs. */
const METADATA_MS = 20;

export type CloudModel = {
  readonly model: Model;
  /** Milliseconds of the model's clock. */
  readonly nowMs: () => number;
  /** Takes a call of anybody in; `onReply` is called with its answer, if one comes. */
  readonly submit: (
    action: ApiRequest["action"],
    parameters: Parameters,
    onReply: (answer: Reply["answer"]) => void,
  ) => void;
  /** To be called after whatever else was changed in the model. */
  readonly catchUp: () => void;
  /** The metadata service for one life of the agent. */
  readonly metadataFor: (life: Life) => EniMetadata;
  /** The transport for one life of the agent. `onCall` sees each request when it leaves. */
  readonly callerFor: (life: Life, timeoutMs: number, onCall: (request: SentCall) => void) => Caller;
};

export type SentCall = { readonly action: ApiRequest["action"]; readonly parameters: Parameters };

/** `onChanges` is told what the data plane does, in order. */
export function openCloudModel(
  model: Model,
  scheduler: Scheduler,
  onChanges: (changes: readonly FabricChange[]) => void,
): CloudModel {
  const waiting = new Map<number, (answer: Reply["answer"]) => void>();
  const { topology } = model;
  const [credential] = topology.credentials;
  if (credential === undefined) throw new Error("a topology without credentials");
  const nowMs = (): number => START_MS + scheduler.nowMs();
  let pump: { readonly atMs: number; readonly timer: Disposable } | undefined;

  const catchUp = (): void => {
    const { changes, replies } = model.advance(nowMs());
    if (changes.length > 0) onChanges(changes);
    for (const { call, answer } of replies) {
      waiting.get(call)?.(answer);
      waiting.delete(call);
    }
    const dueMs = model.nextDueMs();
    if (pump?.atMs === dueMs) return;
    pump?.timer[Symbol.dispose]();
    pump = undefined;
    if (dueMs === undefined) return;
    const timer = scheduler.after(dueMs - nowMs(), () => {
      pump = undefined;
      catchUp();
    });
    pump = { atMs: dueMs, timer };
  };
  const submit: CloudModel["submit"] = (action, parameters, onReply) => {
    const { accessKeyId, policy } = credential;
    const all = { RegionId: topology.region, ...parameters };
    waiting.set(model.submit({ action, parameters: all, accessKeyId, policy }, nowMs()), onReply);
    catchUp();
  };
  return {
    model,
    nowMs,
    submit,
    catchUp,
    metadataFor: (life) => ({
      enis: () =>
        new Promise((resolve) => {
          scheduler.after(METADATA_MS * (1 + scheduler.random.unit()), () => {
            if (!life.spend()) return;
            // All items in one event: it keeps histories short, and nothing can happen in between.
            void readEnis(async (path) => metadataItem(model, path, nowMs())).then(resolve);
          });
        }),
    }),
    callerFor: (life, timeoutMs, onCall) => ({
      call: ({ action, parameters }) =>
        new Promise((resolve) => {
          if (!life.spend()) return;
          const sent = flatten(parameters.toMap());
          onCall({ action, parameters: sent });
          const late = life.timers.after(timeoutMs, () =>
            resolve({ result: failed({ kind: "deadline", timeoutMs }), sent: true }),
          );
          submit(action, sent, (answer) => {
            if (!life.spend()) return;
            late[Symbol.dispose]();
            resolve(reportOf(answer));
          });
        }),
      close: () => undefined,
    }),
  };
}

/** As the agent's reader of items has it, repetitions left out. */
function metadataItem(model: Model, item: string, nowMs: number): Result<string | undefined> {
  const path = `/latest/meta-data/${item}`;
  const request = { instance: INSTANCE, method: "GET", path, token: undefined, ttlSeconds: undefined };
  const { status, body } = model.metadata(request, nowMs, nowMs);
  if (status === 404) return ok(undefined);
  return status === 200
    ? ok(body)
    : failed({ kind: "metadata", path: item, reason: `HTTP ${status}, tried 12 times` });
}

/** As the SDK reports it: what is not a success is thrown, with the cloud's code or that of the system. */
function reportOf(answer: Reply["answer"]): CallReport {
  switch (answer.kind) {
    case "json": {
      const { status, body } = answer;
      if (status < 400) return { result: ok(body), sent: true, status };
      const retryAfter = Number(answer.headers?.["x-acs-retry-after"]);
      const error = {
        code: String(body["Code"]),
        statusCode: status,
        message: String(body["Message"]),
        data: body,
        ...(retryAfter > 0 && { retryAfter }),
      };
      return { result: failed({ kind: "thrown", error }), sent: true, status };
    }
    case "html502": {
      const error = new SyntaxError("Unexpected token '<'");
      return { result: failed({ kind: "thrown", error }), sent: true, status: 502 };
    }
    case "reset": {
      const error = Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
      return { result: failed({ kind: "thrown", error }), sent: true };
    }
    default:
      return answer satisfies never;
  }
}
