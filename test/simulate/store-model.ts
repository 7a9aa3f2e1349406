/**
 * The agent's store as rows in memory: the promises of `daemon/store/store.ts`, with what a power loss takes. Checked
 * against the real store by the same operations on both (`store-model.test.ts`).
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type LeaseRow, type MetaKey, outlivesBoot, type StoreChange } from "../../daemon/store/schema.ts";
import { type Boot } from "../../daemon/store/migrate.ts";
import { type Stored } from "../../daemon/store/rows.ts";
import { type Store } from "../../daemon/store/store.ts";

type Rows = {
  readonly leases: Map<string, LeaseRow>;
  readonly enis: Map<number, string>;
  readonly cooldowns: Map<string, number>;
  readonly meta: Map<MetaKey, string>;
  /** Why it does not know what the node has. */
  lost: string | undefined;
};

export type StoreModel = {
  /** As `openStore`: rows that died with an earlier boot are gone, and cooldowns move with the clock. */
  readonly open: (boot: Boot) => Pick<Store, "write" | "load" | "lost">;
  readonly rows: () => Rows;
  /** The machine lost power: of the commits since the last synced one the newest `lost` are gone. */
  readonly losePower: (lost: number) => void;
  /** The file is deleted, while no agent runs. */
  readonly lose: () => void;
  /** Commits that a power loss could take. */
  readonly unsynced: () => number;
  /** Why writes fail now; `undefined`: they do not. */
  readonly trouble: { reason: string | undefined };
};

/** As in `daemon/store/migrate.ts`. */
const CLOCK_STEP_MS = 1000;

export function openStoreModel(): StoreModel {
  let rows = emptyRows();
  let synced = emptyRows();
  let commits: (readonly StoreChange[])[] = [];
  let former: { readonly bootId: string; readonly epochMs: number } | undefined;
  const trouble: StoreModel["trouble"] = { reason: undefined };
  const sync = (): void => {
    for (const changes of commits) for (const change of changes) apply(synced, change);
    commits = [];
  };
  const write = (changes: readonly StoreChange[]): Result<void> => {
    if (changes.length === 0) return ok(undefined);
    const reason = trouble.reason ?? clash(rows, changes);
    if (reason !== undefined) return failed({ kind: "store", op: "write to agent.db", reason });
    for (const change of changes) apply(rows, change);
    commits.push(changes);
    if (changes.some(outlivesBoot)) sync();
    return ok(undefined);
  };
  return {
    open({ bootId, nowMs, uptimeMs }) {
      const epochMs = nowMs - uptimeMs;
      const stepMs = former === undefined ? 0 : epochMs - former.epochMs;
      if (former !== undefined && former.bootId !== bootId) {
        rows.leases.clear();
        rows.meta.delete("facts");
      } else if (Math.abs(stepMs) >= CLOCK_STEP_MS)
        for (const [address, untilMs] of rows.cooldowns) rows.cooldowns.set(address, untilMs + stepMs);
      former = { bootId, epochMs };
      synced = copy(rows);
      commits = [];
      return { write, load: () => load(rows), ...(rows.lost !== undefined && { lost: rows.lost }) };
    },
    rows: () => rows,
    losePower(lost) {
      const kept = commits.slice(0, Math.max(0, commits.length - lost));
      commits = kept;
      sync();
      rows = copy(synced);
    },
    lose() {
      rows = emptyRows();
      synced = emptyRows();
      commits = [];
      former = undefined;
    },
    unsynced: () => commits.length,
    trouble,
  };
}

function emptyRows(): Rows {
  return {
    leases: new Map(),
    enis: new Map(),
    cooldowns: new Map(),
    meta: new Map(),
    lost: "there was no database",
  };
}

function copy({ leases, enis, cooldowns, meta, lost }: Rows): Rows {
  return {
    leases: new Map(leases),
    enis: new Map(enis),
    cooldowns: new Map(cooldowns),
    meta: new Map(meta),
    lost,
  };
}

function apply(rows: Rows, change: StoreChange): void {
  switch (change.kind) {
    case "put-lease":
      rows.leases.set(attachmentKey(change.lease), change.lease);
      return;
    case "delete-lease":
      rows.leases.delete(attachmentKey(change));
      return;
    case "put-eni":
      rows.enis.set(change.slot, change.record);
      return;
    case "delete-eni":
      rows.enis.delete(change.slot);
      return;
    case "put-cooldown":
      rows.cooldowns.set(change.address, change.untilMs);
      return;
    case "delete-cooldown":
      rows.cooldowns.delete(change.address);
      return;
    case "put-meta":
      rows.meta.set(change.key, change.value);
      return;
    case "rebuilt":
      rows.lost = undefined;
      return;
    default:
      change satisfies never;
  }
}

/** The two unique indexes of `lease`: an address is one attachment's. */
function clash(rows: Rows, changes: readonly StoreChange[]): string | undefined {
  if (!changes.some(({ kind }) => kind === "put-lease")) return undefined;
  const leases = new Map(rows.leases);
  for (const change of changes) {
    if (change.kind === "delete-lease") leases.delete(attachmentKey(change));
    if (change.kind !== "put-lease") continue;
    const { lease } = change;
    leases.set(attachmentKey(lease), lease);
    const holders = [...leases.values()];
    if (holders.filter(({ address }) => address === lease.address).length > 1)
      return "UNIQUE constraint failed: lease.address";
    if (lease.address6 !== "" && holders.filter(({ address6 }) => address6 === lease.address6).length > 1)
      return "UNIQUE constraint failed: lease.address6";
  }
  return undefined;
}

function load({ leases, enis, cooldowns, meta }: Rows): Stored {
  return {
    leases: [...leases.values()],
    enis: [...enis].map(([slot, record]) => ({ slot, record })).sort((a, b) => a.slot - b.slot),
    cooldowns: [...cooldowns].map(([address, untilMs]) => ({ address, untilMs })),
    meta: Object.fromEntries(meta),
  };
}
