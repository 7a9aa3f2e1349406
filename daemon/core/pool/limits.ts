/**
 * What the cloud's refusals teach about the instance type.
 *
 * @module
 */
import { type Draft, note } from "./draft.ts";
import { type Limits } from "./model.ts";

/**
 * So many addresses more were refused (at least 1), which makes `limit` an upper bound of the addresses of one ENI. From
 * now on half as many are asked for at a time, so that the true limit is found from below.
 */
export function learnAddresses(draft: Draft, refused: number, limit: number): void {
  const { pool } = draft;
  pool.batchMax = Math.max(1, Math.floor(Math.min(refused, pool.batchMax ?? refused) / 2));
  setLimits(draft, { addressesPerEni: Math.max(1, Math.min(pool.limits.addressesPerEni, limit)) });
}

/** One more ENI was refused although no more than `attached` are there. At least one is tried again now and then. */
export function learnEnis(draft: Draft, attached: number): void {
  setLimits(draft, { enisMax: Math.max(1, Math.min(draft.pool.limits.enisMax, attached)) });
}

/** Changes the limits and has them written down, if they change. */
export function setLimits(draft: Draft, change: Partial<Limits>): void {
  const { pool } = draft;
  const limits = { ...pool.limits, ...change };
  if (limits.enisMax === pool.limits.enisMax && limits.addressesPerEni === pool.limits.addressesPerEni)
    return;
  pool.limits = limits;
  pool.learnt = { ...pool.learnt, ...change };
  draft.effects.push({ kind: "persist-limits" });
  note(
    draft,
    "info",
    `learnt: at most ${limits.enisMax} secondary ENIs with ${limits.addressesPerEni} addresses each`,
  );
}
