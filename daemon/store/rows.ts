/**
 * The statements that write the rows of the database, and what reads them back.
 *
 * @module
 */
import { type DatabaseSync, type StatementSync } from "node:sqlite";
import { parseIpv4 } from "../../proto/addr.ts";
import { parseIpv6 } from "../../proto/addr6.ts";
import { type LeaseRow, META_OF_STORE, type MetaKey, type StoreChange } from "./schema.ts";
import { StoreTrouble } from "./trouble.ts";

export type Stored = {
  readonly leases: readonly LeaseRow[];
  /** Encoded records by slot. */
  readonly enis: readonly { readonly slot: number; readonly record: string }[];
  readonly cooldowns: readonly { readonly address: string; readonly untilMs: number }[];
  readonly meta: Readonly<Partial<Record<MetaKey, string>>>;
};

/** All changes or none. Throws what SQLite says. */
export type Writer = (changes: readonly StoreChange[]) => void;

export function openWriter(db: DatabaseSync): Writer {
  const putLease = db.prepare(
    `INSERT INTO lease (network, container_id, ifname, address, slot, state, host_name, netns, pod, host_mac, pod_mac,
     bandwidth, address6, stack, datapath) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (network, container_id, ifname) DO UPDATE SET address = excluded.address, slot = excluded.slot,
     state = excluded.state, host_name = excluded.host_name, netns = excluded.netns, pod = excluded.pod,
     host_mac = excluded.host_mac, pod_mac = excluded.pod_mac, bandwidth = excluded.bandwidth,
     address6 = excluded.address6, stack = excluded.stack, datapath = excluded.datapath`,
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
        const state = [...made, l.bandwidth ?? null, l.address6, l.stack, l.datapath ?? "veth"];
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
      case "rebuilt":
        return forgetMeta.run(META_OF_STORE.lost);
      default:
        return change satisfies never;
    }
  };
  const forgetMeta = db.prepare("DELETE FROM meta WHERE key = ?");
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
      // A full disk and the like have ended it already.
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  };
}

function upsert(db: DatabaseSync, table: string, key: string, value: string): StatementSync {
  return db.prepare(
    `INSERT INTO ${table} VALUES (?, ?) ON CONFLICT (${key}) DO UPDATE SET ${value} = excluded.${value}`,
  );
}

/** What the agent need not know. */
const STORES_OWN: ReadonlySet<string> = new Set(Object.values(META_OF_STORE));

function wholeLease(lease: LeaseRow): LeaseRow {
  const { containerId, address, address6 } = lease;
  const isWhole = parseIpv4(address) !== undefined && (address6 === "" || parseIpv6(address6) !== undefined);
  if (isWhole) return lease;
  throw new StoreTrouble(
    "damaged",
    `the lease of ${containerId} has the addresses "${address}", "${address6}"`,
  );
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stackOf(value: unknown): LeaseRow["stack"] {
  return value === "dual" || value === "ipv6" ? value : "ipv4";
}

/** Everything. Throws where a lease has an address that is none: whoever wrote that was not this agent. */
export function load(db: DatabaseSync): Stored {
  return {
    leases: db
      .prepare("SELECT * FROM lease")
      .all()
      .map((row) =>
        wholeLease({
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
          ...(row["datapath"] === "ipvlan" && { datapath: row["datapath"] }),
        }),
      ),
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
        .prepare("SELECT key, value FROM meta")
        .all()
        .filter((row) => !STORES_OWN.has(text(row["key"])))
        .map((row) => [text(row["key"]), text(row["value"])]),
    ),
  };
}
