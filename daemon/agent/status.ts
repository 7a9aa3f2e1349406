/**
 * STATUS: watches the pool and the node's datapath, so that the answer is there before anybody asks. The pool is looked at
 * after each of its events, the datapath every ten seconds; what is missing there is made again first.
 *
 * @module
 */
import { describeFault } from "../../proto/fault.ts";
import { type Result } from "../../proto/result.ts";
import { outlook } from "../core/pool/outlook.ts";
import { type Pool } from "../core/pool/model.ts";
import {
  STATUS_AT_START,
  type StatusEffect,
  type StatusEvent,
  type StatusState,
  stepStatus,
  verdict,
} from "../core/status/status.ts";
import { type Log } from "./log.ts";
import { sleep, SYSTEM_TIMERS, type Timers } from "./timers.ts";

export type StatusOptions = {
  readonly pool: () => Pool;
  /** What the node's datapath lacks; `pods`: and what each pod does. A fault is a difference, too. */
  readonly check: (pods: boolean) => Promise<Result<readonly string[]>>;
  /** Makes it again, as far as that goes. */
  readonly mend: () => Promise<void>;
  readonly nowMs: () => number;
  /** Absent: those of the machine. */
  readonly timers?: Timers;
  readonly log: Log;
  /** Called for what threw: a bug. */
  readonly onBug: (error: unknown) => void;
};

export type StatusWatch = Disposable & {
  /** The pool has changed. */
  readonly onPool: (pool: Pool) => void;
  /** Somebody else may have changed something: it is looked at soon, and mended. `pods`: of pods, too. */
  readonly suspect: (pods: boolean) => void;
  /** The answer to the CNI command, within `LOOK_WAIT_MS`. */
  readonly status: () => Promise<Result<void>>;
  /** Looks at nothing any more and mends nothing; resolves when what is under way has ended. */
  readonly end: () => Promise<void>;
};

/** How often it is seen whether a look is due. */
const POLL_MS = 2000;
/** How long an answer waits for a look that is under way because the last one is too old. */
const LOOK_WAIT_MS = 200;

type Happening<Event = StatusEvent> = Event extends StatusEvent ? Omit<Event, "nowMs"> : never;

export function openStatus(options: StatusOptions): StatusWatch {
  const { nowMs, log, timers = SYSTEM_TIMERS } = options;
  let state: StatusState = STATUS_AT_START;
  let looking: Promise<void> = Promise.resolve();
  let said = "fine";
  let closed = false;

  function dispatch(happening: Happening): void {
    if (closed) return;
    const next = stepStatus(state, { ...happening, nowMs: nowMs() });
    ({ state } = next);
    for (const effect of next.effects)
      looking = carryOut(effect).catch((error: unknown) => {
        options.onBug(error);
        dispatch(afterBug(effect, error));
      });
    const now = verdict(state, nowMs());
    const saying = now.ok ? "fine" : now.fault.kind;
    if (saying !== said) {
      if (now.ok) log.info("STATUS is fine again");
      else log.warn({ fault: now.fault }, "STATUS is not fine");
    }
    said = saying;
  }

  async function carryOut(effect: StatusEffect): Promise<void> {
    if (effect.kind === "mend") {
      log.warn(
        { differences: effect.differences },
        "the node's datapath is not as it was made; it is mended",
      );
      await options.mend();
      dispatch({ kind: "mended" });
      return;
    }
    const found = await options.check(effect.pods);
    dispatch({ kind: "checked", differences: found.ok ? found.value : [describeFault(found.fault)] });
  }

  const onPool = (pool: Pool): void => dispatch({ kind: "outlook", outlook: outlook(pool, nowMs()) });
  const poll = (): Disposable =>
    timers.after(POLL_MS, () => {
      timer = poll();
      onPool(options.pool());
      dispatch({ kind: "ticked" });
    });
  let timer = poll();
  const close = (): void => {
    closed = true;
    timer[Symbol.dispose]();
  };
  return {
    onPool,
    suspect: (pods) => dispatch({ kind: "suspected", pods }),
    async status() {
      onPool(options.pool());
      dispatch({ kind: "ticked" });
      if (state.doing === "checking") await Promise.race([looking, sleep(timers, LOOK_WAIT_MS)]);
      return verdict(state, nowMs());
    },
    async end() {
      close();
      await looking;
    },
    [Symbol.dispose]: close,
  };
}

function afterBug({ kind }: StatusEffect, error: unknown): Happening {
  if (kind === "mend") return { kind: "mended" };
  return { kind: "checked", differences: [`the datapath could not be looked at: ${String(error)}`] };
}
