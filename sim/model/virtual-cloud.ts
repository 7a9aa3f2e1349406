/**
 * A simulated VPC on a virtual clock: time passes when it is told to, and nothing is listened on. For tests of what
 * talks to a cloud, and of the model itself.
 *
 * @module
 */
import { type Action } from "./action-names.ts";
import { type FabricChange } from "./fabric.ts";
import { createModel, type Model } from "./model.ts";
import { type Parameters } from "./parameters.ts";
import { type Topology } from "./topology.ts";
import { type Reply } from "./world.ts";

/** An answer in short: status 0 stands for a connection that was cut. */
export type VirtualAnswer = {
  readonly status: number;
  /** Error code; empty where it went well. */
  readonly code: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
};

export type VirtualCloud = {
  readonly model: Model;
  nowMs(): number;
  /** Everything that the data plane was told so far. */
  readonly changes: readonly FabricChange[];
  /** Lets `durationMs` pass, with all that is due in it at its time. */
  pass(durationMs: number): void;
  /** Begins a call; the function returned gives its answer, once there is one. RegionId is added. */
  begin(action: Action, parameters?: Parameters): () => VirtualAnswer | undefined;
  /** Calls and lets time pass until the answer comes. Throws where none comes within an hour. */
  call(action: Action, parameters?: Parameters): VirtualAnswer;
};

const LONGEST_CALL_MS = 3_600_000;

/** A cloud whose clock stands at `startMs`. Calls are made with the first credential's permissions. */
export function createVirtualCloud(options: {
  readonly topology: Topology;
  readonly seed: number;
  readonly startMs: number;
}): VirtualCloud {
  const { topology } = options;
  const model = createModel(options);
  const [credential] = topology.credentials;
  if (credential === undefined) throw new Error("a topology without credentials");
  const changes: FabricChange[] = [];
  const answers = new Map<number, VirtualAnswer>();
  let nowMs = options.startMs;

  const advanceTo = (untilMs: number): void => {
    for (let dueMs = model.nextDueMs(); dueMs !== undefined && dueMs <= untilMs; dueMs = model.nextDueMs()) {
      nowMs = Math.max(nowMs, dueMs);
      collect();
    }
    nowMs = untilMs;
    collect();
  };
  const collect = (): void => {
    const progress = model.advance(nowMs);
    changes.push(...progress.changes);
    for (const { call, answer } of progress.replies) answers.set(call, shortened(answer));
  };
  const begin = (action: Action, parameters: Parameters = {}): (() => VirtualAnswer | undefined) => {
    const { accessKeyId, policy } = credential;
    const all = { RegionId: topology.region, ...parameters };
    const id = model.submit({ action, parameters: all, accessKeyId, policy }, nowMs);
    return () => answers.get(id);
  };
  collect();
  return {
    model,
    changes,
    begin,
    nowMs: () => nowMs,
    pass: (durationMs) => advanceTo(nowMs + durationMs),
    call: (action, parameters) => {
      const answered = begin(action, parameters);
      const latestMs = nowMs + LONGEST_CALL_MS;
      for (let answer = answered(); ; answer = answered()) {
        if (answer !== undefined) return answer;
        const dueMs = model.nextDueMs();
        if (dueMs === undefined || dueMs > latestMs) throw new Error(`no answer to ${action} within an hour`);
        advanceTo(Math.max(nowMs, dueMs));
      }
    },
  };
}

function shortened(answer: Reply["answer"]): VirtualAnswer {
  switch (answer.kind) {
    case "json": {
      const { status, body, headers = {} } = answer;
      return { status, body, headers, code: status < 400 ? "" : String(body["Code"]) };
    }
    case "html502":
      return { status: 502, code: "html502", body: {}, headers: {} };
    case "reset":
      return { status: 0, code: "reset", body: {}, headers: {} };
    default:
      return answer satisfies never;
  }
}
