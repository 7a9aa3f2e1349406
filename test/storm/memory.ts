/**
 * Does the memory of a process grow? Looks at it now and then, and compares the last third of the looks with the first.
 *
 * @module
 */

/** Bytes, after a collection of garbage. */
export type MemoryLook = {
  /** The part of the V8 heap that is in use. */
  readonly heapUsed: number;
  /** Buffers and other memory outside of it that objects hold. */
  readonly external: number;
  /** Resident set size. */
  readonly rss: number;
};

/** By how much the median of the last third is above that of the first, bytes; negative where it is below. */
export type Growth = { readonly heapBytes: number; readonly rssBytes: number };

/** What the heap may grow by in a storm of a minute, which begins just after the start: code and caches, bytes. */
export const HEAP_GROWTH_MAX = 10_000_000;

/** Throws where there are too few looks to compare. */
export function growthOf(looks: readonly MemoryLook[]): Growth {
  const third = Math.floor(looks.length / 3);
  if (third === 0) throw new Error(`${looks.length} looks at the memory are too few`);
  const change = (of: (look: MemoryLook) => number): number =>
    median(looks.slice(-third).map(of)) - median(looks.slice(0, third).map(of));
  return { heapBytes: change((look) => look.heapUsed + look.external), rssBytes: change(({ rss }) => rss) };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
