/**
 * In place of `daemon/config/load.ts` for the agent: surplus addresses go back sooner than any configuration may say, or
 * each kill would wait for five seconds.
 *
 * @module
 */
import { loadConfig as load } from "../../../daemon/config/load.ts";
import { ok } from "../../../proto/result.ts";

export { loadCniConfig } from "../../../daemon/config/load.ts";

const SYNC_PERIOD_MS = 300;

export const loadConfig: typeof load = async (options) => {
  const loaded = await load(options);
  if (!loaded.ok) return loaded;
  return ok({ ...loaded.value, eni: { ...loaded.value.eni, poolSyncPeriodMs: SYNC_PERIOD_MS } });
};
