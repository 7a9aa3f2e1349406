/**
 * All events of one turn of Node's loop, taken one after the other: the next pool, what has to be written for all of them, and
 * then the effects.
 *
 * @module
 */
import { type Result } from "../../proto/result.ts";
import { type Pool, type PoolEffect, type PoolEvent } from "../core/pool/model.ts";
import { step } from "../core/pool/step.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Asker, type Askers } from "./askers.ts";
import { storeChanges } from "./persist.ts";

/** An event as its sender knows it: the loop adds the time. */
export type Happening = PoolEvent extends infer Event
  ? Event extends { readonly nowMs: number }
    ? Omit<Event, "nowMs">
    : never
  : never;

/** What waits for the end of the turn. One with neither `asker` nor `answer` is a fact. */
export type Entry = {
  readonly happening?: Happening;
  /** Written with the event, or neither has happened. */
  readonly changes: readonly StoreChange[];
  readonly asker?: Asker;
  readonly answer?: (outcome: Result<void>) => void;
};

type Effect = {
  readonly effect: PoolEffect;
  /** Who hears of a grant or a refusal; absent where nobody waits for it any more. */
  readonly asker?: Asker;
};

/** `wakeAtMs`: when to send "ticked". */
export type Turn = {
  readonly pool: Pool;
  readonly wakeAtMs: number | undefined;
  readonly changes: readonly StoreChange[];
  readonly effects: readonly Effect[];
};

export type TurnOptions = {
  readonly askers: Askers;
  readonly nowMs: number;
  readonly instanceType: string;
};

/** Those whom a grant or refusal is for are taken out of `askers`. Grants need their lease on disk before anybody hears of them. */
export function takeTurn(
  before: Pick<Turn, "pool" | "wakeAtMs">,
  entries: readonly Entry[],
  { askers, nowMs, instanceType }: TurnOptions,
): Turn {
  let { pool, wakeAtMs } = before;
  const changes: StoreChange[] = [];
  const effects: Effect[] = [];
  for (const { happening, asker: asking, changes: own } of entries) {
    if (asking !== undefined) askers.add(asking);
    changes.push(...own);
    if (happening === undefined) continue;
    const next = step(pool, { ...happening, nowMs });
    ({ pool, wakeAtMs } = { wakeAtMs: undefined, ...next });
    changes.push(...storeChanges(pool, next.effects, instanceType));
    for (const effect of next.effects) {
      const isAnswer = effect.kind === "grant" || effect.kind === "refuse";
      const asker = isAnswer ? askers.take(effect.attachment) : undefined;
      if (effect.kind === "grant" && asker !== undefined) changes.push(asker.leaseOf(effect));
      effects.push({ effect, ...(asker !== undefined && { asker }) });
    }
  }
  return { pool, wakeAtMs, changes, effects };
}

/**
 * What stays of a turn that could not be written: the facts, in their order. The pool still has those waiting whom an event was
 * to answer, and who hear of the failure instead: they are released.
 */
export function factsOf(entries: readonly Entry[], { effects }: Turn): readonly Entry[] {
  const fresh = new Set(entries.map(({ asker }) => asker));
  return [
    ...entries.filter(({ asker, answer }) => asker === undefined && answer === undefined),
    ...effects.flatMap(({ asker }): Entry[] =>
      asker === undefined || fresh.has(asker)
        ? []
        : [{ happening: { kind: "released", attachment: asker.attachment }, changes: [] }],
    ),
  ];
}
