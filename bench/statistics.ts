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

/**
 * The median of the ratios of samples that were taken together. `undefined` where there is none, or theirs is ever 0. Throws
 * where one has more samples than the other.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number | undefined {
  if (ours.length !== theirs.length)
    throw new Error(`${ours.length} samples cannot be paired with ${theirs.length}`);
  const ratios = ours.flatMap((value, at) => ratio(value, theirs[at] ?? 0) ?? []);
  return ratios.length === 0 || ratios.length < ours.length ? undefined : percentile(ratios, 0.5);
}
