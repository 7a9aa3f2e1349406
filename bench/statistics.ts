/**
 * Medians, percentiles and ratios of samples. Pure.
 *
 * @module
 */

/** The value below which `share` (0 to 1) of the samples lie: nearest rank. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new Error("no samples");
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export type Summary = { readonly n: number; readonly p50: number; readonly p90: number; readonly min: number };

export function summarise(samples: readonly number[]): Summary {
  return {
    n: samples.length,
    p50: percentile(samples, 0.5),
    p90: percentile(samples, 0.9),
    min: Math.min(...samples),
  };
}
