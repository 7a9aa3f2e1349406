/**
 * What a killable agent is told: which run this is, and the effect behind which it dies.
 *
 * @module
 */

export type Plan = {
  /** Told apart in the trace. */
  readonly run: number;
  /** The number of the effect, from 1, or its name; 0: it lives. */
  readonly killAt: number | string;
};

/** Text of the file `plan`. */
export function formatPlan({ run, killAt }: Plan): string {
  return `${run} ${killAt}\n`;
}

/** Throws for any other text: the test has written it. */
export function parsePlan(text: string): Plan {
  const [, run, killAt] = /^(\d+) (.+)\n$/.exec(text) ?? [];
  if (run === undefined || killAt === undefined) throw new Error(`no plan: "${text}"`);
  return { run: Number(run), killAt: /^\d+$/.test(killAt) ? Number(killAt) : killAt };
}
