import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Boot } from "./migrate.ts";
import { type LeaseRow } from "./schema.ts";
import { openStore, type Store } from "./store.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "terway-store-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const LEASE: LeaseRow = {
  network: "terway",
  containerId: "c1",
  ifName: "eth0",
  address: "10.0.0.5",
  address6: "",
  stack: "ipv4",
  slot: 2,
  state: "pending",
  hostName: "tw0123456789abc",
  netns: "/run/netns/p1",
  pod: "default/p1",
  hostMac: "02:00:00:00:00:01",
  podMac: "02:00:00:00:00:02",
};

/** The tables of schema 1, and one row of each. */
const FORMER = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE lease (
    network TEXT NOT NULL,
    container_id TEXT NOT NULL,
    ifname TEXT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    slot INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done')),
    host_name TEXT NOT NULL,
    netns TEXT NOT NULL,
    pod TEXT NOT NULL,
    host_mac TEXT NOT NULL,
    pod_mac TEXT NOT NULL,
    PRIMARY KEY (network, container_id, ifname)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE eni (slot INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
  CREATE TABLE cooldown (address TEXT PRIMARY KEY, until_ms REAL NOT NULL) STRICT, WITHOUT ROWID;
  PRAGMA user_version=1;
  INSERT INTO meta VALUES ('boot', 'boot-1'), ('facts', 'f');
  INSERT INTO lease VALUES ('terway', 'c1', 'eth0', '10.0.0.5', 2, 'done', 'tw0123456789abc', '/run/netns/p1',
    'default/p1', '02:00:00:00:00:01', '02:00:00:00:00:02');
  INSERT INTO eni VALUES (2, '{}');
  INSERT INTO cooldown VALUES ('10.0.0.6', 1700);
`;

function openWhen(boot: Boot): Store {
  const opened = openStore({ directory, ...boot });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  return opened.value;
}

function open(bootId = "boot-1"): Store {
  return openWhen({ bootId, nowMs: 42, uptimeMs: 2 });
}

function until(store: Store): number | undefined {
  return store.load().cooldowns[0]?.untilMs;
}

describe("openStore()", () => {
  it("gives back after a restart what was written", () => {
    {
      using store = open();
      expect(
        store.write([
          { kind: "put-lease", lease: LEASE },
          {
            kind: "put-lease",
            lease: { ...LEASE, state: "done", bandwidth: "ingress 1000 0", datapath: "ipvlan" },
          },
          { kind: "put-eni", slot: 2, record: "{}" },
          { kind: "put-cooldown", address: "10.0.0.6", untilMs: 1700 },
          { kind: "put-meta", key: "limits", value: "[3,15]" },
        ]),
      ).toEqual({ ok: true, value: undefined });
    }
    using store = open();
    expect(store.notices).toEqual([]);
    expect(store.load()).toEqual({
      leases: [{ ...LEASE, state: "done", bandwidth: "ingress 1000 0", datapath: "ipvlan" }],
      enis: [{ slot: 2, record: "{}" }],
      cooldowns: [{ address: "10.0.0.6", untilMs: 1700 }],
      meta: { limits: "[3,15]" },
    });
    const { network, containerId, ifName } = LEASE;
    store.write([
      { kind: "delete-lease", network, containerId, ifName },
      { kind: "delete-eni", slot: 2 },
      { kind: "delete-cooldown", address: "10.0.0.6" },
    ]);
    expect(store.load()).toEqual({ leases: [], enis: [], cooldowns: [], meta: { limits: "[3,15]" } });
  });

  it("takes limits away that a lease has no more", () => {
    using store = open();
    store.write([{ kind: "put-lease", lease: { ...LEASE, bandwidth: "egress 1000 0" } }]);
    store.write([{ kind: "put-lease", lease: LEASE }]);
    expect(store.load().leases).toEqual([LEASE]);
  });

  it("keeps pairs, and refuses an IPv6 address for two attachments", () => {
    const pair: LeaseRow = { ...LEASE, address6: "fd00::5", stack: "dual" };
    using store = open();
    const others = ["c2", "c3"].map((containerId, index): LeaseRow => ({
      ...LEASE,
      containerId,
      address: `10.0.1.${index}`,
    }));
    const changes = [pair, ...others].map((lease) => ({ kind: "put-lease" as const, lease }));
    expect(store.write(changes)).toEqual({ ok: true, value: undefined });
    expect(store.load().leases).toEqual([pair, ...others]);
    const stolen: LeaseRow = { ...pair, containerId: "c4", address: "10.0.0.6", stack: "ipv6" };
    expect(store.write([{ kind: "put-lease", lease: stolen }])).toMatchObject({
      ok: false,
      fault: { reason: expect.stringContaining("UNIQUE") },
    });
  });

  it("takes over what an agent has written that knew IPv4 alone", () => {
    const former = new DatabaseSync(join(directory, "agent.db"));
    former.exec(FORMER);
    former.close();
    const pair: LeaseRow = {
      ...LEASE,
      state: "done",
      address6: "fd00::5",
      stack: "dual",
      bandwidth: "egress 1000 0",
    };
    {
      using store = open();
      expect(store.load()).toEqual({
        leases: [{ ...LEASE, state: "done" }],
        enis: [{ slot: 2, record: "{}" }],
        cooldowns: [{ address: "10.0.0.6", untilMs: 1700 }],
        meta: { facts: "f" },
      });
      expect(store.write([{ kind: "put-lease", lease: pair }]).ok).toBe(true);
      expect(store.load().leases).toEqual([pair]);
    }
    // A second start has nothing left to do.
    using again = open();
    expect([again.load().leases, again.notices]).toEqual([[pair], []]);
  });

  it("refuses one address for two attachments, and then writes nothing of the batch", () => {
    using store = open();
    store.write([{ kind: "put-lease", lease: LEASE }]);
    const outcome = store.write([
      { kind: "put-meta", key: "limits", value: "lost" },
      { kind: "put-lease", lease: { ...LEASE, containerId: "c2" } },
    ]);
    expect(outcome).toMatchObject({
      ok: false,
      fault: { kind: "store", reason: expect.stringContaining("UNIQUE") },
    });
    expect(store.load()).toMatchObject({ leases: [LEASE], meta: {} });
  });

  it("drops the leases of an earlier boot and keeps what outlives it", () => {
    {
      using store = open();
      store.write([
        { kind: "put-lease", lease: LEASE },
        { kind: "put-eni", slot: 0, record: "kept" },
        { kind: "put-meta", key: "facts", value: "of the old boot" },
      ]);
    }
    using store = open("boot-2");
    expect(store.notices).toEqual([expect.stringContaining("1 leases")]);
    expect(store.load()).toMatchObject({ leases: [], enis: [{ slot: 0, record: "kept" }], meta: {} });
  });

  it("leaves a database of a newer agent alone", () => {
    open()[Symbol.dispose]();
    const newer = new DatabaseSync(join(directory, "agent.db"));
    newer.exec("PRAGMA user_version=99");
    newer.close();
    const opened = openStore({ directory, bootId: "boot-1", nowMs: 42, uptimeMs: 2 });
    const reason =
      "it was written by a newer terwayd (schema 99, this one knows 4): install that version again, or drain the node with it first";
    const fault = { kind: "store", op: `open ${join(directory, "agent.db")}`, reason };
    expect(opened).toEqual({ ok: false, fault: { kind: "newer", fault } });
    expect(readdirSync(directory).filter((name) => name.includes("damaged"))).toEqual([]);
  });

  it("says what is wrong where it cannot write at all", () => {
    writeFileSync(join(directory, "file"), "");
    const opened = openStore({
      directory: join(directory, "file/below"),
      bootId: "b",
      nowMs: 0,
      uptimeMs: 0,
    });
    expect(opened).toMatchObject({
      ok: false,
      fault: { kind: "other", fault: { kind: "store", reason: expect.stringContaining("ENOTDIR") } },
    });
  });

  it("moves cooldowns with a clock that was set, and only then", () => {
    {
      using store = openWhen({ bootId: "b", nowMs: 1_000_000, uptimeMs: 100_000 });
      store.write([{ kind: "put-cooldown", address: "10.0.0.6", untilMs: 1_030_000 }]);
    }
    {
      using store = openWhen({ bootId: "b", nowMs: 1_005_000, uptimeMs: 104_900 });
      expect([until(store), store.notices]).toEqual([1_030_000, []]);
    }
    {
      // An hour forward, while 5 s passed; and back again.
      using store = openWhen({ bootId: "b", nowMs: 4_610_000, uptimeMs: 110_000 });
      expect(until(store)).toBe(4_629_900);
      expect(store.notices).toEqual([
        "the clock was set by 3600 s since the last run: the ends of 1 cooldowns were moved with it",
      ]);
    }
    using store = openWhen({ bootId: "b", nowMs: 1_015_000, uptimeMs: 115_000 });
    expect(until(store)).toBe(1_029_900);
  });

  it("keeps leases when the process is killed", () => {
    const program = `
      import { openStore } from ${JSON.stringify(join(import.meta.dirname, "store.ts"))};
      const { value: store } = openStore({ directory: ${JSON.stringify(directory)}, bootId: "boot-1", nowMs: 0, uptimeMs: 0 });
      store.write([{ kind: "put-lease", lease: ${JSON.stringify(LEASE)} }]);
      process.kill(process.pid, "SIGKILL");`;
    const child = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", program], {
      encoding: "utf8",
    });
    expect(child.signal, child.stderr).toBe("SIGKILL");
    using store = open();
    expect(store.load().leases).toEqual([LEASE]);
  });
});
