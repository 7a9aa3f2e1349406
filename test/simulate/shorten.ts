/**
 * Shortens a failing history: leaves operations out, halves first and single ones in the end, as long as what is left still
 * fails (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
 *
 * @module
 */

/** A shortest list, in the sense that no single item can be left out; after `triesMax` tries, the shortest so far. */
export async function shorten<Item>(
  items: readonly Item[],
  fails: (items: readonly Item[]) => Promise<boolean>,
  triesMax: number,
): Promise<readonly Item[]> {
  let kept = items;
  let size = Math.ceil(kept.length / 2);
  let tries = 0;
  for (;;) {
    let isShorter = false;
    for (let from = 0; from < kept.length && tries < triesMax;) {
      const rest = kept.toSpliced(from, size);
      tries += 1;
      if (rest.length < kept.length && (await fails(rest))) {
        kept = rest;
        isShorter = true;
      } else from += size;
    }
    if (tries >= triesMax || (size === 1 && !isShorter)) return kept;
    if (size > 1) size = Math.ceil(size / 2);
  }
}
