/**
 * Numbers that look random and come again for the same seed.
 * Source: mulberry32, a generator of 32 bits of state that is in the public domain.
 *
 * @module
 */

export type Random = {
  /** An integer of 0 to `limit - 1`; `limit` is at most 2^32. */
  readonly below: (limit: number) => number;
  /** True in one of `times` cases. */
  readonly oneIn: (times: number) => boolean;
  /** One of `list`, which is not empty. */
  readonly pick: <Item>(list: readonly Item[]) => Item;
  /** Up to `lengthMax` bytes. */
  readonly bytes: (lengthMax: number) => Uint8Array;
};

/** The generator of case number `index` of a run: each case can be made again without those before it. */
export function randomOf(seed: number, index: number): Random {
  let state = (Math.imul(seed ^ 0x5b_d1_e9_95, 0x9e_37_79_b1) + Math.imul(index, 0x85_eb_ca_6b)) >>> 0;
  const next = (): number => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    oneIn: (times) => below(times) === 0,
    pick: (list) => {
      const item = list[below(list.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    bytes: (lengthMax) => {
      const bytes = new Uint8Array(below(lengthMax + 1));
      for (let at = 0; at < bytes.length; at += 1) bytes[at] = next();
      return bytes;
    },
  };
}
