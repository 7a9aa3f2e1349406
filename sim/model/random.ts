/**
 * The seeded random source of the simulated cloud. The same seed and the same calls give the same run.
 *
 * @module
 */

/** Draws from one seeded sequence. */
export type Random = {
  /** At least 0, less than 1. */
  unit(): number;
  /** An integer of `min` to `max`, both included. */
  between(min: number, max: number): number;
  /** One of `items`, which must not be empty. */
  pick<Item>(items: readonly Item[]): Item;
  /** `length` characters of `alphabet`. */
  text(length: number, alphabet: string): string;
};

/** Lower-case letters and digits, as in the names that the cloud gives. */
export const LOWER_ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789";
/** Letters of both cases and digits, as in access keys and tokens. */
export const ALNUM = `ABCDEFGHIJKLMNOPQRSTUVWXYZ${LOWER_ALNUM}`;
const UPPER_HEX = "0123456789ABCDEF";

/** A source for `seed`, of which the low 32 bits count. The generator is mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const unit = (): number => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (min: number, max: number): number => min + Math.floor(unit() * (max - min + 1));
  return {
    unit,
    between,
    pick: (items) => {
      const item = items[between(0, items.length - 1)];
      if (item === undefined) throw new Error("pick() from an empty list");
      return item;
    },
    text: (length, alphabet) =>
      Array.from({ length }, () => alphabet.charAt(between(0, alphabet.length - 1))).join(""),
  };
}

/** A request id in the cloud's form: an upper-case UUID. */
export function drawRequestId(random: Random): string {
  return [8, 4, 4, 4, 12].map((length) => random.text(length, UPPER_HEX)).join("-");
}
