/**
 * One value that is fetched when it is wanted, kept while it is fresh, and fetched once for all who want it at the
 * same time.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";

export type Entry<Value> = {
  readonly value: Value;
  /** Fetched anew from then on. */
  readonly freshUntilMs: number;
  /** Where fetching fails, still given out until then. */
  readonly usableUntilMs: number;
};

export type Cached<Value> = {
  get(): Promise<Result<Value>>;
  /** Forgets this value; another one, fetched meanwhile, stays. */
  drop(value: Value): void;
};

/** `load` must not reject. */
export function cached<Value>(load: () => Promise<Result<Entry<Value>>>, now: () => number): Cached<Value> {
  let entry: Entry<Value> | undefined;
  let loading: Promise<Result<Value>> | undefined;

  const refresh = async (): Promise<Result<Value>> => {
    const loaded = await load();
    loading = undefined;
    if (loaded.ok) entry = loaded.value;
    else if (entry === undefined || now() >= entry.usableUntilMs) return loaded;
    return ok(entry.value);
  };

  return {
    get() {
      if (entry !== undefined && now() < entry.freshUntilMs) return Promise.resolve(ok(entry.value));
      loading ??= refresh();
      return loading;
    },
    drop(value) {
      if (entry?.value === value) entry = undefined;
    },
  };
}
