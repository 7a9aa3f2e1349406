/**
 * Many histories, one after the other, each with a seed that follows from the first; the first that breaks a promise is
 * shortened.
 *
 * @module
 */
import { KNOWN_GAPS } from "./gaps.ts";
import { type Variant } from "./node.ts";
import { drawHistory, type History } from "./operations.ts";
import { type Offence } from "./promises.ts";
import { shorten } from "./shorten.ts";
import { play } from "./simulation.ts";

export type Campaign = {
  readonly seed: number;
  readonly operations: number;
  /** Absent: the agent as it is. */
  readonly variant?: Variant;
  /** How often a shorter history is tried; absent: 300 times. */
  readonly shortenTries?: number;
  /** Told after each history. */
  readonly onHistory?: (totals: Totals) => void;
};

export type Totals = {
  readonly histories: number;
  readonly operations: number;
  readonly events: number;
  /** Of virtual time. */
  readonly virtualMs: number;
};

/** `history`: shortened. `played`: operations until it was found. */
export type Finding = { readonly history: History; readonly offence: Offence; readonly played: number };

/** Operations of one history. */
export const HISTORY_LENGTH = 200;
const SHORTEN_TRIES = 300;

/** The first broken promise; `undefined` where there is none. */
export async function campaign({
  seed,
  operations,
  variant,
  shortenTries = SHORTEN_TRIES,
  onHistory,
}: Campaign): Promise<Finding | undefined> {
  let totals: Totals = { histories: 0, operations: 0, events: 0, virtualMs: 0 };
  while (totals.operations < operations) {
    const count = Math.min(HISTORY_LENGTH, operations - totals.operations);
    const history = drawHistory(seed + totals.histories, count, KNOWN_GAPS);
    const outcome = await play(history, variant);
    totals = {
      histories: totals.histories + 1,
      operations: totals.operations + count,
      events: totals.events + outcome.events,
      virtualMs: totals.virtualMs + outcome.virtualMs,
    };
    onHistory?.(totals);
    const [offence] = outcome.offences;
    if (offence !== undefined)
      return { ...(await shortest(history, offence, { variant, shortenTries })), played: totals.operations };
  }
  return undefined;
}

/** With fewer operations the same promise has to break. */
async function shortest(
  history: History,
  offence: Offence,
  { variant, shortenTries }: { readonly variant: Variant | undefined; readonly shortenTries: number },
): Promise<Pick<Finding, "history" | "offence">> {
  let found = offence;
  const operations = await shorten(
    history.operations,
    async (rest) => {
      const { offences } = await play({ ...history, operations: rest }, variant);
      const same = offences.find(({ text }) => promiseOf(text) === promiseOf(offence.text));
      if (same !== undefined) found = same;
      return same !== undefined;
    },
    shortenTries,
  );
  return { history: { ...history, operations }, offence: found };
}

/** "promise 4", "leak", …: what stands before the first colon. */
function promiseOf(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf(":")));
}
