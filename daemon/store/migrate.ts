/**
 * A database when it is opened: its tables are made or brought up to date, what ended with the last boot is dropped, and
 * times are brought to the present clock. All in one transaction, so a start that is cut off finds the former state.
 *
 * Three keys of `meta` are the store's own. `boot`: the boot that wrote last. `epoch`: the wall clock's time of that boot, in
 * milliseconds, as its agent saw it; where the clock was set since, all times of the table `cooldown` move with it. `lost`:
 * why nothing is known of what a former database knew, until it is known again.
 *
 * @module
 */
import { type DatabaseSync } from "node:sqlite";
import { LATER_INDEX, LATER_LEASE_COLUMNS, META_OF_STORE, SCHEMA, SCHEMA_VERSION } from "./schema.ts";
import { StoreTrouble } from "./trouble.ts";

export type Boot = {
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  /** Wall clock. */
  readonly nowMs: number;
  /** Since the boot, whatever was done to the wall clock: CLOCK_BOOTTIME. */
  readonly uptimeMs: number;
};

/** Less is the clock's own inaccuracy, not somebody who has set it. */
const CLOCK_STEP_MS = 1000;

export type Prepared = {
  /** What a person should know. */
  readonly notices: readonly string[];
  /** Why what a former database knew is not known; absent where it is. */
  readonly lost?: string;
};

/** `lost`: what to remember as the reason where the database is a new one. Throws what SQLite says, and for a newer schema. */
export function prepare(db: DatabaseSync, boot: Boot, lost: string): Prepared {
  const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version > SCHEMA_VERSION)
    throw new StoreTrouble(
      "newer",
      `it was written by a newer terwayd (schema ${version}, this one knows ${SCHEMA_VERSION})`,
    );
  db.exec("BEGIN IMMEDIATE");
  try {
    migrate(db);
    const former = ownMeta(db);
    // A new file has version 0 and no tables.
    if (version === 0) putMeta(db, META_OF_STORE.lost, lost);
    const notices = former.boot === undefined ? [] : atStart(db, boot, former.boot, Number(former.epoch));
    putMeta(db, META_OF_STORE.boot, boot.bootId);
    putMeta(db, META_OF_STORE.epoch, String(boot.nowMs - boot.uptimeMs));
    const why = ownMeta(db).lost;
    db.exec("COMMIT");
    return { notices, ...(why !== undefined && { lost: why }) };
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

function migrate(db: DatabaseSync): void {
  db.exec(SCHEMA);
  const columns = new Set(
    db
      .prepare("SELECT name FROM pragma_table_info('lease')")
      .all()
      .map(({ name }) => name),
  );
  for (const [name, type] of Object.entries(LATER_LEASE_COLUMNS))
    if (!columns.has(name)) db.exec(`ALTER TABLE lease ADD COLUMN ${name} ${type}`);
  db.exec(LATER_INDEX);
  db.exec(`PRAGMA user_version=${SCHEMA_VERSION}`);
}

/** Drops what ended with another boot; within the same one moves what the clock was set by. */
function atStart(db: DatabaseSync, boot: Boot, formerBoot: string, formerEpochMs: number): readonly string[] {
  if (formerBoot !== boot.bootId) {
    const { changes } = db.prepare("DELETE FROM lease").run();
    db.exec("DELETE FROM meta WHERE key = 'facts'");
    return [
      `the machine was booted since the last run: ${changes} leases of pods that ended with it were dropped`,
    ];
  }
  const stepMs = boot.nowMs - boot.uptimeMs - formerEpochMs;
  if (!Number.isFinite(stepMs) || Math.abs(stepMs) < CLOCK_STEP_MS) return [];
  const { changes } = db.prepare("UPDATE cooldown SET until_ms = until_ms + ?").run(stepMs);
  const seconds = Math.round(stepMs / 1000);
  return [
    `the clock was set by ${seconds} s since the last run: the ends of ${changes} cooldowns were moved with it`,
  ];
}

type Own = Partial<Record<keyof typeof META_OF_STORE, string>>;

function ownMeta(db: DatabaseSync): Own {
  return Object.fromEntries(
    db
      .prepare("SELECT key, value FROM meta")
      .all()
      .map(({ key, value }) => [String(key), String(value)]),
  );
}

function putMeta(db: DatabaseSync, key: string, value: string): void {
  db.prepare("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value").run(
    key,
    value,
  );
}
