/**
 * The record of one line of the checklist: what was checked, what was wanted, what was seen. A check that fails does not
 * end the line; the others say more.
 *
 * @module
 */
import { type Bench } from "./bench.ts";
import { describeRun, errorOf, type Run } from "./probe.ts";

export type Check =
  | { readonly kind: "passed"; readonly what: string }
  | { readonly kind: "skipped"; readonly what: string; readonly reason: string }
  | {
      readonly kind: "failed";
      readonly what: string;
      readonly wanted: string;
      readonly seen: string;
      /** For a shell, where one run shows it. */
      readonly repeat?: string;
    };

export type Wanted = {
  /** Of the error object; one of them. */
  readonly codes?: readonly number[];
  /** Texts that "msg" and "details" together have. */
  readonly mentions?: readonly string[];
};

export type Trial = {
  readonly checks: () => readonly Check[];
  /** True where it holds. */
  readonly check: (
    what: string,
    holds: boolean,
    of: { readonly wanted: string; readonly seen: string; readonly run?: Run | undefined },
  ) => boolean;
  readonly skip: (what: string, reason: string) => void;
  /** Exit status 0. What is on stdout is E14's and D6's business. */
  readonly succeeds: (what: string, run: Run) => boolean;
  /** An exit status that is not 0, and an error object. */
  readonly fails: (what: string, run: Run, wanted?: Wanted) => boolean;
  /** Compares as JSON. */
  readonly same: (what: string, wanted: unknown, seen: unknown, run?: Run) => boolean;
  /** No lines: nothing came and nothing went. */
  readonly unchanged: (what: string, differences: readonly string[], run?: Run) => boolean;
};

/** One line of the checklist. */
export type Line = {
  readonly id: string;
  /** What the specification or the runtimes want, in one sentence. */
  readonly wants: string;
  readonly run: (trial: Trial, bench: Bench) => Promise<void>;
};

/** A line that a plugin has no part in. */
export function notOurs(id: string, wants: string, reason: string): Line {
  return {
    id,
    wants,
    run: async (trial) => {
      trial.skip("", reason);
      return Promise.resolve();
    },
  };
}

export function openTrial(): Trial {
  const checks: Check[] = [];
  const check: Trial["check"] = (what, holds, { wanted, seen, run }) => {
    const repeat = run === undefined ? {} : { repeat: run.repeat };
    checks.push(holds ? { kind: "passed", what } : { kind: "failed", what, wanted, seen, ...repeat });
    return holds;
  };
  return {
    checks: () => checks,
    check,
    skip: (what, reason) => {
      checks.push({ kind: "skipped", what, reason });
    },
    succeeds: (what, run) => check(what, run.end === 0, { wanted: "exit 0", seen: describeRun(run), run }),
    fails: (what, run, wanted = {}) => {
      const { codes, mentions = [] } = wanted;
      const error = errorOf(run);
      const text = `${error?.msg} ${error?.details}`;
      const holds =
        error !== undefined &&
        (codes === undefined || codes.includes(error.code)) &&
        mentions.every((mention) => text.includes(mention));
      const code =
        codes === undefined ? "an error object" : `an error object with code ${codes.join(" or ")}`;
      const naming = mentions.length === 0 ? "" : ` that names ${mentions.join(", ")}`;
      return check(what, holds, { wanted: `exit 1 and ${code}${naming}`, seen: describeRun(run), run });
    },
    same: (what, wanted, seen, run) => {
      const [want, have] = [JSON.stringify(wanted), JSON.stringify(seen) ?? "nothing"];
      return check(what, want === have, { wanted: want, seen: have, run });
    },
    unchanged: (what, differences, run) =>
      check(what, differences.length === 0, {
        wanted: "nothing that came (+) or went (-)",
        seen: differences.slice(0, 6).join(" | "),
        run,
      }),
  };
}
