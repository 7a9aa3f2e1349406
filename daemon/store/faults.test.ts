import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LeaseRow, type StoreChange } from "./schema.ts";
import { openStore, type Store } from "./store.ts";

let directory = "";
let path = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "terway-store-"));
  path = join(directory, "agent.db");
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function open(nowMs = 42): Store {
  const opened = openStore({ directory, bootId: "boot-1", nowMs, uptimeMs: 0 });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  return opened.value;
}

function leaseOf(index: number): StoreChange & { readonly lease: LeaseRow } {
  const lease: LeaseRow = {
    network: "terway",
    containerId: `c${index}`,
    ifName: "eth0",
    address: `10.0.${index >> 8}.${index & 0xff}`,
    address6: "",
    stack: "ipv4",
    slot: 2,
    state: "done",
    hostName: `tw${index}`,
    netns: `/run/netns/p${index}`,
    pod: `default/p${index}`,
    hostMac: "02:00:00:00:00:01",
    podMac: "02:00:00:00:00:02",
  };
  return { kind: "put-lease", lease };
}

/** As an agent leaves it: many pages, and nothing in the write-ahead log. */
function fill(): void {
  using store = open();
  expect(
    store.write([...Array.from({ length: 400 }, (_, index) => leaseOf(index)), { kind: "rebuilt" }]).ok,
  ).toBe(true);
}

function overwrite(offset: number, bytes: number): void {
  const fd = openSync(path, "r+");
  writeSync(fd, Buffer.alloc(bytes, 0x5a), 0, bytes, offset);
  closeSync(fd);
}

function asides(): string[] {
  return readdirSync(directory).filter((name) => name.includes("damaged"));
}

describe("openStore() of a damaged file", () => {
  const damages: readonly (readonly [string, () => void])[] = [
    ["header", () => overwrite(0, 100)],
    ["middle page", () => overwrite(Math.floor(statSync(path).size / 8192) * 4096, 4096)],
    ["page of the schema", () => overwrite(100, 3996)],
    ["truncated", () => truncateSync(path, statSync(path).size - 4096 * 3)],
    ["cut within a page", () => truncateSync(path, 5000)],
    ["another file", () => writeFileSync(path, "this is no database, and long enough ".repeat(40))],
    [
      "a lease without an address",
      () => {
        const db = new DatabaseSync(path);
        db.exec("UPDATE lease SET address = '10.0.0' WHERE container_id = 'c7'");
        db.close();
      },
    ],
  ];
  for (const [name, damage] of damages)
    it(`sets it aside, says so, and knows that all is to be found out: ${name}`, () => {
      fill();
      damage();
      const before = name === "a lease without an address" ? [] : [readFileSync(path)];
      {
        using store = open(1000);
        expect(store.lost).toMatch(
          /^the database was damaged \(.+\) and was set aside as .*agent\.db\.damaged-1000$/,
        );
        expect(store.load()).toEqual({ leases: [], enis: [], cooldowns: [], meta: {} });
        expect(store.write([leaseOf(1)]).ok).toBe(true);
      }
      const aside = readFileSync(join(directory, "agent.db.damaged-1000"));
      // Not a byte is changed, unless SQLite has found nothing wrong and brought its log in.
      expect(before.every((bytes) => bytes.equals(aside))).toBe(true);
      // The reason stays until what was lost is known again.
      {
        using store = open();
        expect(store.lost).toMatch(/^the database was damaged/);
        expect(store.write([leaseOf(2), { kind: "rebuilt" }]).ok).toBe(true);
      }
      using store = open();
      expect(store.lost).toBeUndefined();
      expect(store.load().leases).toHaveLength(2);
    });

  it("keeps the three newest", () => {
    for (let time = 1001; time <= 1006; time++) {
      open(time)[Symbol.dispose]();
      writeFileSync(path, "no database ".repeat(100));
    }
    open(1007)[Symbol.dispose]();
    expect(asides()).toEqual([1005, 1006, 1007].map((time) => `agent.db.damaged-${time}`));
  });
});

describe("openStore() without a database", () => {
  for (const [name, lose] of [
    ["there never was one", () => rmSync(directory, { recursive: true })],
    ["removed", () => rmSync(path)],
    ["of no length", () => truncateSync(path, 0)],
  ] as const)
    it(`begins a new one and knows that all is to be found out: ${name}`, () => {
      fill();
      lose();
      using store = open();
      expect([store.lost, store.load().leases, asides()]).toEqual(["there was no database", [], []]);
    });

  it("does not take the log of a database that is gone for its own", () => {
    const killed = open();
    killed.write([leaseOf(1)]);
    rmSync(path);
    using store = open();
    expect([store.lost, store.load().leases]).toEqual(["there was no database", []]);
    killed[Symbol.dispose]();
  });
});

/** A process that holds the database for itself. */
async function locker(): Promise<ChildProcess> {
  const program = `
    const { DatabaseSync } = require("node:sqlite");
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec("BEGIN EXCLUSIVE; PRAGMA user_version=3");
    process.stdout.write("locked");
    setTimeout(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

describe("openStore() and write() of a locked file", () => {
  it("say who has to go, and work when it has gone", async () => {
    fill();
    using before = open();
    const child = await locker();
    const reason = `another process has locked it (database is locked): end that process; fuser ${path} names it`;
    const startMs = performance.now();
    expect(before.write([leaseOf(1000)])).toEqual({
      ok: false,
      fault: { kind: "store", op: `write to ${path}`, reason },
    });
    expect(openStore({ directory, bootId: "boot-1", nowMs: 0, uptimeMs: 0 })).toEqual({
      ok: false,
      fault: { kind: "locked", fault: { kind: "store", op: `open ${path}`, reason } },
    });
    // Whoever calls is held up no longer than a moment.
    expect(performance.now() - startMs).toBeLessThan(2000);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(before.write([leaseOf(1000)]).ok).toBe(true);
    using after = open();
    expect(after.load().leases).toHaveLength(401);
  });
});
