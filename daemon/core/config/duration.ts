/**
 * Durations as the configuration writes them: `"30s"`, `"1h30m"`, `"1.5s"` (the notation of Go's time.ParseDuration).
 *
 * @module
 */

const UNIT_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const PART = /(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/g;
const WHOLE = /^(?:0|(?:(?:\d+(?:\.\d+)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/;

/** Whole milliseconds, rounded; `undefined` for what is no duration, and for a negative one. */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(PART)) sum += Number(amount) * unitMs(unit);
  return Number.isFinite(sum) ? Math.round(sum) : undefined;
}

function unitMs(unit: string | undefined): number {
  const found = Object.entries(UNIT_MS).find(([name]) => name === unit);
  if (found === undefined) throw new Error(`not a unit: ${unit}`);
  return found[1];
}
