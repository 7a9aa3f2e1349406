/**
 * How many calls a node made, from what `terway-sim calls -o json` says before and after. Pure.
 *
 * @module
 */
import { type CallReport } from "../sim/model/calls.ts";

/** Refused, throttled and lost calls are calls too. */
export type Calls = {
  readonly openApi: number;
  /** Reads of the metadata service, requests for its tokens included. */
  readonly metadata: number;
  /** OpenAPI action -> calls; without those that were not called. */
  readonly actions: Readonly<Record<string, number>>;
};

const METADATA = new Set(["Metadata", "MetadataToken"]);

/** What came between two reports. */
export function callsBetween(before: CallReport, after: CallReport): Calls {
  const counts = Object.entries(after.totals)
    .map(([action, { calls }]) => [action, calls - (before.totals[action]?.calls ?? 0)] as const)
    .filter(([, calls]) => calls > 0);
  const api = counts.filter(([action]) => !METADATA.has(action));
  const metadata = counts.filter(([action]) => METADATA.has(action));
  return { openApi: total(api), metadata: total(metadata), actions: Object.fromEntries(api) };
}

/** `2 AssignPrivateIpAddresses, 1 CreateNetworkInterface`; "none". */
export function describeCalls(calls: Calls): string {
  const parts = Object.entries(calls.actions).map(([action, count]) => `${count} ${action}`);
  return parts.length === 0 ? "none" : parts.toSorted().join(", ");
}

function total(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((sum, [, calls]) => sum + calls, 0);
}
