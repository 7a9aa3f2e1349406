/**
 * Medians, percentiles and ratios of samples. Pure.
 *
 * @module
 */

/** The smallest sample that at least `share` (0 to 1) of the samples do not exceed: nearest rank. Throws without samples. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new Error("no samples");
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** In the unit of the samples; `n` is how many there are. */
export type Summary = {
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly min: number;
};

/** Throws without samples. */
export function summarise(samples: readonly number[]): Summary {
  return {
    n: samples.length,
    p50: percentile(samples, 0.5),
    p90: percentile(samples, 0.9),
    p99: percentile(samples, 0.99),
    min: percentile(samples, 0),
  };
}

/** `ours / theirs`; below 1 ours is the smaller one. `undefined` where theirs is 0: nothing can be said then. */
export function ratio(ours: number, theirs: number): number | undefined {
  return theirs === 0 ? undefined : ours / theirs;
}
