/**
 * What a look at all sources (`daemon/core/reconcile/`) wants of the pool: addresses that the kernel uses are held back, and the
 * API is asked about what the metadata service shows otherwise.
 *
 * @module
 */
import { type Draft, edit, editAll, isKnown, lookIn } from "./draft.ts";
import { type PoolEvent } from "./model.ts";

/** Longer than the pause between two looks: as long as the kernel uses it, the address is never idle. */
export const HOLD_MS = 180_000;

type Reconciled = Extract<PoolEvent, { readonly kind: "reconciled" }>;

export function onReconciled(draft: Draft, { hold, ask, survey }: Reconciled): void {
  const { pool, nowMs } = draft;
  const untilMs = nowMs + HOLD_MS;
  for (const address of hold) {
    for (const [
      slot,
      {
        addresses,
        state: { kind },
      },
    ] of pool.enis) {
      // One that leaves serves nobody, and the kernel is asked again before it does.
      if (kind === "detaching" || kind === "deleting") continue;
      const state = addresses.get(address);
      const isShort = state?.kind === "idle" || (state?.kind === "cooling" && state.untilMs < untilMs);
      if (!isShort) continue;
      edit(draft, slot)?.addresses.set(address, { kind: "cooling", untilMs });
      draft.effects.push({ kind: "persist-cooldown", address, untilMs });
    }
  }
  for (const eni of editAll(draft)) if (isKnown(eni) && ask.includes(eni.facts.id)) lookIn(draft, eni, 0);
  if (survey) pool.survey = { ...pool.survey, atMs: Math.min(pool.survey.atMs, nowMs) };
}
