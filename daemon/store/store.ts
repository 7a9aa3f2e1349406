/**
 * What the agent must not forget, in SQLite (node:sqlite, WAL). Two connections to one file: changes that outlive the
 * boot are synced to disk before `write` returns (`synchronous=FULL`, about 1 ms), leases are not (`NORMAL`, about
 * 0.02 ms): a killed process loses neither, and a power loss takes the pods along with their leases.
 *
 * @module
 */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  LATER_INDEX,
  LATER_LEASE_COLUMNS,
  type LeaseRow,
  type MetaKey,
  outlivesBoot,
  SCHEMA,
  SCHEMA_VERSION,
  type StoreChange,
} from "./schema.ts";

export type Stored = {
  readonly leases: readonly LeaseRow[];
  /** Encoded records by slot. */
  readonly enis: readonly { readonly slot: number; readonly record: string }[];
  readonly cooldowns: readonly { readonly address: string; readonly untilMs: number }[];
  readonly meta: Readonly<Partial<Record<MetaKey, string>>>;
};

export type Store = Disposable & {
  /** All changes or none. */
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  readonly load: () => Stored;
  /** What a person should know about how it was opened: a new boot, a database that had to be set aside. */
  readonly notices: readonly string[];
};

export type StoreOptions = {
  readonly directory: string;
  /** /proc/sys/kernel/random/boot_id: leases of another boot are dropped, their interfaces died with it. */
  readonly bootId: string;
  /** Names a database that is set aside: "agent.db.damaged-<this>". */
  readonly nowMs: number;
};

const FILE = "agent.db";

/** A database that cannot be read is set aside, not deleted, and a new one begun: the agent never refuses to start for it. */
export function openStore(options: StoreOptions): Result<Store> {
  const path = join(options.directory, FILE);
  try {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    try {
      return ok(openAt(path, options.bootId, []));
    } catch (error) {
      if (!isDamage(error)) throw error;
      const aside = `${path}.damaged-${Math.floor(options.nowMs)}`;
      renameSync(path, aside);
      for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
      const notice = `the database could not be read (${reasonOf(error)}); it was set aside as ${aside}, the state is rebuilt from the cloud`;
      return ok(openAt(path, options.bootId, [notice]));
    }
  } catch (error) {
    return failed({ kind: "store", op: `open ${path}`, reason: reasonOf(error) });
  }
}

class DamagedError extends Error {}

/** SQLITE_CORRUPT (11), SQLITE_NOTADB (26), or a failed check: not a full disk, not a missing right. */
function isDamage(error: unknown): boolean {
  const code = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return error instanceof DamagedError || code === 11 || code === 26;
}

function openAt(path: string, bootId: string, earlier: readonly string[]): Store {
  const lasting = new DatabaseSync(path);
  try {
    return withConnections(lasting, path, bootId, earlier);
  } catch (error) {
    lasting.close();
    throw error;
  }
}

function withConnections(
  lasting: DatabaseSync,
  path: string,
  bootId: string,
  earlier: readonly string[],
): Store {
  lasting.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;");
  const check = lasting.prepare("PRAGMA quick_check(1)").get();
  if (check?.["quick_check"] !== "ok") {
    throw new DamagedError(`quick_check: ${String(check?.["quick_check"])}`);
  }
  const notices = [...earlier, ...prepare(lasting, bootId)];
  const booted = new DatabaseSync(path);
  booted.exec("PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=2000;");
  const writers = { lasting: openWriter(lasting), booted: openWriter(booted) };
  return {
    notices,
    load: () => load(lasting),
    write(changes) {
      if (changes.length === 0) return ok(undefined);
      const writer = changes.some(outlivesBoot) ? writers.lasting : writers.booted;
      try {
        writer(changes);
        return ok(undefined);
      } catch (error) {
        return failed<Fault>({ kind: "store", op: `write to ${path}`, reason: reasonOf(error) });
      }
    },
    [Symbol.dispose]() {
      booted.close();
      lasting.close();
    },
  };
}

/** Makes the tables, drops leases of an earlier boot; returns notices. */
function prepare(db: DatabaseSync, bootId: string): string[] {
  const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `it was written by a newer terwayd (schema ${version}, this one knows ${SCHEMA_VERSION}); install that one again`,
    );
  }
  // A new file has version 0 and no tables. All or nothing: a start that is cut off finds the former version.
  db.exec("BEGIN IMMEDIATE");
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
  db.exec(`PRAGMA user_version=${SCHEMA_VERSION}; COMMIT`);
  const before = db.prepare("SELECT value FROM meta WHERE key = 'boot'").get()?.["value"];
  db.prepare(
    "INSERT INTO meta VALUES ('boot', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  ).run(bootId);
  if (before === undefined || before === bootId) return [];
  const { changes } = db.prepare("DELETE FROM lease").run();
  db.exec("DELETE FROM meta WHERE key = 'facts'");
  return [
    `the machine was booted since the last run: ${changes} leases of pods that ended with it were dropped`,
  ];
}

type Writer = (changes: readonly StoreChange[]) => void;

function openWriter(db: DatabaseSync): Writer {
  const putLease = db.prepare(
    `INSERT INTO lease (network, container_id, ifname, address, slot, state, host_name, netns, pod, host_mac, pod_mac,
     bandwidth, address6, stack) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (network, container_id, ifname) DO UPDATE SET address = excluded.address, slot = excluded.slot,
     state = excluded.state, host_name = excluded.host_name, netns = excluded.netns, pod = excluded.pod,
     host_mac = excluded.host_mac, pod_mac = excluded.pod_mac, bandwidth = excluded.bandwidth,
     address6 = excluded.address6, stack = excluded.stack`,
  );
  const deleteLease = db.prepare("DELETE FROM lease WHERE network = ? AND container_id = ? AND ifname = ?");
  const putEni = upsert(db, "eni (slot, record)", "slot", "record");
  const deleteEni = db.prepare("DELETE FROM eni WHERE slot = ?");
  const putCooldown = upsert(db, "cooldown (address, until_ms)", "address", "until_ms");
  const deleteCooldown = db.prepare("DELETE FROM cooldown WHERE address = ?");
  const putMeta = upsert(db, "meta (key, value)", "key", "value");
  const one = (change: StoreChange): unknown => {
    switch (change.kind) {
      case "put-lease": {
        const l = change.lease;
        const made = [l.state, l.hostName, l.netns, l.pod, l.hostMac, l.podMac];
        const state = [...made, l.bandwidth ?? null, l.address6, l.stack];
        return putLease.run(l.network, l.containerId, l.ifName, l.address, l.slot, ...state);
      }
      case "delete-lease":
        return deleteLease.run(change.network, change.containerId, change.ifName);
      case "put-eni":
        return putEni.run(change.slot, change.record);
      case "delete-eni":
        return deleteEni.run(change.slot);
      case "put-cooldown":
        return putCooldown.run(change.address, change.untilMs);
      case "delete-cooldown":
        return deleteCooldown.run(change.address);
      case "put-meta":
        return putMeta.run(change.key, change.value);
      default:
        return change satisfies never;
    }
  };
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  return (changes) => {
    const [first] = changes;
    // A transaction by itself.
    if (first !== undefined && changes.length === 1) {
      one(first);
      return;
    }
    begin.run();
    try {
      for (const change of changes) one(change);
      commit.run();
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  };
}

function upsert(db: DatabaseSync, table: string, key: string, value: string): StatementSync {
  return db.prepare(
    `INSERT INTO ${table} VALUES (?, ?) ON CONFLICT (${key}) DO UPDATE SET ${value} = excluded.${value}`,
  );
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stackOf(value: unknown): LeaseRow["stack"] {
  return value === "dual" || value === "ipv6" ? value : "ipv4";
}

function load(db: DatabaseSync): Stored {
  return {
    leases: db
      .prepare("SELECT * FROM lease")
      .all()
      .map((row) => ({
        network: text(row["network"]),
        containerId: text(row["container_id"]),
        ifName: text(row["ifname"]),
        address: text(row["address"]),
        address6: text(row["address6"]),
        stack: stackOf(row["stack"]),
        slot: Number(row["slot"]),
        state: row["state"] === "done" ? "done" : "pending",
        hostName: text(row["host_name"]),
        netns: text(row["netns"]),
        pod: text(row["pod"]),
        hostMac: text(row["host_mac"]),
        podMac: text(row["pod_mac"]),
        ...(typeof row["bandwidth"] === "string" && { bandwidth: row["bandwidth"] }),
      })),
    enis: db
      .prepare("SELECT slot, record FROM eni ORDER BY slot")
      .all()
      .map((row) => ({ slot: Number(row["slot"]), record: text(row["record"]) })),
    cooldowns: db
      .prepare("SELECT address, until_ms FROM cooldown")
      .all()
      .map((row) => ({ address: text(row["address"]), untilMs: Number(row["until_ms"]) })),
    meta: Object.fromEntries(
      db
        .prepare("SELECT key, value FROM meta WHERE key <> 'boot'")
        .all()
        .map((row) => [text(row["key"]), text(row["value"])]),
    ),
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
