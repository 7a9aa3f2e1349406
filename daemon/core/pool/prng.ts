/**
 * The pool's pseudo-random sequence, so that `step` stays a function: the state goes in, the next state comes out.
 * It spreads retries and picks vSwitches; nothing secret depends on it.
 *
 * @module
 */

/**
 * One step of mulberry32: `value` in [0, 1), and the state (an unsigned 32-bit integer) for the next one.
 * All 2^32 states lie on one cycle.
 */
export function nextRandom(state: number): { readonly value: number; readonly state: number } {
  const next = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(next ^ (next >>> 15), next | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return { value: ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32, state: next };
}
