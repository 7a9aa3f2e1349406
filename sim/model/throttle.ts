/**
 * The rate limit of the API: fixed windows of a minute per action, shared by everybody in the account.
 *
 * @module
 */
import { type Action } from "./action-names.ts";

const WINDOW_MS = 60_000;

/** The newest window of each action, and how many calls were too many since the start. */
export type ThrottleWindows = Map<
  Action,
  { readonly window: number; readonly admitted: number; readonly exceeded: number }
>;

/** Admits the call, or says after how many milliseconds the window ends. */
export function admit(
  windows: ThrottleWindows,
  action: Action,
  quota: number,
  nowMs: number,
): number | undefined {
  const window = Math.floor(nowMs / WINDOW_MS);
  const current = windows.get(action);
  const admitted = current?.window === window ? current.admitted : 0;
  const exceeded = current?.exceeded ?? 0;
  if (admitted >= quota) {
    windows.set(action, { window, admitted, exceeded: exceeded + 1 });
    return (window + 1) * WINDOW_MS - nowMs;
  }
  windows.set(action, { window, admitted: admitted + 1, exceeded });
  return undefined;
}
