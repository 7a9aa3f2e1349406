/**
 * How long to wait before a call is repeated, and how long something that cannot work is left alone.
 *
 * @module
 */

/** After the first failure; doubled with each further one. */
const BASE_MS = 200;
/** The longest pause between two tries of something that may work any moment. */
const CAP_MS = 5_000;
/** The pause where a person has to change something first. */
export const CONFIGURATION_RETRY_MS = 60_000;
const ACCOUNT_RETRY_MAX_MS = 600_000;
/** Between two views of something in transition. */
const LOOK_BASE_MS = 2_000;
const LOOK_CAP_MS = 10_000;

/**
 * The pause after failure number `tries` (1, 2, …): 200 ms doubled each time up to 5 s, of which the upper half is
 * random (`random` in [0, 1)), never shorter than what the cloud asked for.
 */
export function backOffMs(tries: number, random: number, retryAfterMs = 0): number {
  return Math.max(jittered(Math.min(BASE_MS * 2 ** (tries - 1), CAP_MS), random), retryAfterMs);
}

/** The pause before look number `tries` (1, 2, …) at the same thing: 2 s, half as much again each time, up to 10 s. */
export function lookPauseMs(tries: number, random: number): number {
  return jittered(Math.min(LOOK_BASE_MS * 1.5 ** (tries - 1), LOOK_CAP_MS), random);
}

/** The pause after refusal number `tries` (1, 2, …) because of a limit of the account: one minute, doubled, up to ten. */
export function accountPauseMs(tries: number): number {
  return Math.min(CONFIGURATION_RETRY_MS * 2 ** (tries - 1), ACCOUNT_RETRY_MAX_MS);
}

function jittered(ms: number, random: number): number {
  return Math.round(ms * (0.5 + random / 2));
}
