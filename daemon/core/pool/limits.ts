/**
 * What the cloud's refusals teach about the instance type.
 *
 * @module
 */
import { type Family } from "../ip-stack.ts";
import { type Draft, note } from "./draft.ts";
import { type Limits } from "./model.ts";
import { limitOf } from "./pairs.ts";

/**
 * So many addresses more of the family were refused (at least 1), which makes `limit` an upper bound of those of one ENI.
 * From now on half as many are asked for at a time, so that the true limit is found from below.
 */
export function learnAddresses(draft: Draft, family: Family, refused: number, limit: number): void {
  const { pool } = draft;
  const key = family === "ipv4" ? "batchMax" : "batch6Max";
  pool[key] = Math.max(1, Math.floor(Math.min(refused, pool[key] ?? refused) / 2));
  const most = Math.max(1, Math.min(limitOf(pool.limits, family), limit));
  setLimits(draft, family === "ipv4" ? { addressesPerEni: most } : { addresses6PerEni: most });
}

/** One more ENI was refused although no more than `attached` are there. At least one is tried again now and then. */
export function learnEnis(draft: Draft, attached: number): void {
  setLimits(draft, { enisMax: Math.max(1, Math.min(draft.pool.limits.enisMax, attached)) });
}

/** Changes the limits and has them written down, if they change. */
export function setLimits(draft: Draft, change: Partial<Limits>): void {
  const { pool } = draft;
  const limits = { ...pool.limits, ...change };
  const { enisMax, addressesPerEni, addresses6PerEni } = pool.limits;
  const isSame = limits.enisMax === enisMax && limits.addressesPerEni === addressesPerEni;
  if (isSame && limits.addresses6PerEni === addresses6PerEni) return;
  pool.limits = limits;
  pool.learnt = { ...pool.learnt, ...change };
  draft.effects.push({ kind: "persist-limits" });
  const ipv6 = limits.addresses6PerEni === undefined ? "" : `, and ${limits.addresses6PerEni} of IPv6`;
  note(
    draft,
    "info",
    `learnt: at most ${limits.enisMax} secondary ENIs with ${limits.addressesPerEni} addresses each${ipv6}`,
  );
}
