/**
 * The power fails behind every write of the real store and of the plugin's spool: what was acknowledged and outlives the boot is
 * there, nothing is half there, and the database is never damaged.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openSpool } from "../../daemon/spool/spool.ts";
import { openStore } from "../../daemon/store/store.ts";
import { spoolName } from "../../proto/spool.ts";
import { confFor, plugin } from "../harness/pod.ts";
import { must } from "../harness/process.ts";
import { diskEvents, tracedDisk } from "./disk-trace.ts";
import { type DiskEvent, type Files, leftOf, type Loss, LOSSES } from "./disk.ts";
import { boot, commits } from "./store-commits.ts";

const directory = mkdtempSync(join(tmpdir(), `tw${process.pid}w-`));
/** In memory: thousands of databases are opened there, and each would wait for a disk. */
const memory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `tw${process.pid}w-`));
const WORK = join(import.meta.dirname, "store-work.ts");
/** Of the pages of a long log every so many is enough: they are alike. */
const [LONG_LOG_BYTES, EVERY] = [400_000, 97];
const TIMEOUT_MS = 300_000;

afterAll(() => {
  for (const place of [directory, memory]) rmSync(place, { recursive: true, force: true });
});

/** Numbers of commits whose rows outlive the boot, and of those that do not. */
const LASTING = numbersOf((kind) => kind === "pair" || kind === "big");
const LEASES = numbersOf((kind) => kind === "lease");

function numbersOf(isIt: (kind: string) => boolean): readonly number[] {
  return commits().flatMap(({ kind, number }) => (isIt(kind) ? [number] : []));
}

/** How many events to take: after each, but for the pages and commits of a long log, which are alike. */
function prefixes(events: readonly DiskEvent[]): readonly number[] {
  let isLong = false;
  return events.flatMap((event, at) => {
    if (event.kind === "write" && event.file.endsWith("-wal")) isLong = event.at > LONG_LOG_BYTES;
    const isOfDatabase = "file" in event && !event.file.endsWith("-wal");
    return isLong && !isOfDatabase && at % EVERY !== 0 ? [] : [at + 1];
  });
}

/** Tells files that were looked at already. */
function openSeen(): (files: Files, loss: Loss, acked: number) => boolean {
  const seen = new Set<string>();
  return (files, loss, acked) => {
    const hash = createHash("sha1").update(`${loss === "nothing lost"} ${acked}`);
    for (const [name, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(name).update(bytes);
    const key = hash.digest("hex");
    const isSeen = seen.has(key);
    seen.add(key);
    return isSeen;
  };
}

function put(place: string, files: Files): void {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { mode: 0o700 });
  for (const [name, bytes] of files) writeFileSync(join(place, name), bytes);
}

/** Any sentence: what the store lost that it must not lose. */
function lostIn(place: string, acks: readonly number[], loss: Loss): string | undefined {
  const isKill = loss === "nothing lost";
  const opened = openStore({ directory: place, ...boot(isKill ? 1 : 2) });
  if (!opened.ok) return `it cannot be opened: ${JSON.stringify(opened.fault)}`;
  using store = opened.value;
  const acked = Math.max(0, ...acks.filter((number) => LASTING.includes(number)));
  const begun = LASTING.find((number) => number > acked) ?? acked;
  const damage = store.notices.find((notice) => notice.includes("damaged")) ?? store.lost;
  if (damage !== undefined && (acked > 0 || damage.includes("damaged"))) return damage;
  const { enis, cooldowns, leases } = store.load();
  const eni = enis.map(({ record }) => Number(/"number":(\d+)/.exec(record)?.[1]))[0] ?? 0;
  const cooldown = cooldowns[0]?.untilMs ?? 0;
  if (eni !== cooldown) return `half a transaction: ENI of ${eni}, cooldown of ${cooldown}`;
  if (eni !== acked && eni !== begun) return `${acked} was acknowledged, ${eni} is there`;
  const kept = leases.length;
  const promised = acks.filter((number) => LEASES.includes(number)).length;
  if (isKill ? kept < promised : kept > 0) return `${kept} leases, ${promised} were acknowledged`;
  return undefined;
}

/** Every loss behind each event; one sentence for each promise that was broken, and how many disks were tried. */
function lossesOf(events: readonly DiskEvent[]): {
  readonly tried: number;
  readonly broken: readonly string[];
} {
  const place = join(memory, "left");
  const isSeen = openSeen();
  const broken: string[] = [];
  let tried = 0;
  for (const count of prefixes(events)) {
    const before = events.slice(0, count);
    const acks = before.flatMap((event) => (event.kind === "ack" ? [event.number] : []));
    for (const loss of LOSSES) {
      const files = new Map([...leftOf(before, loss)].filter(([name]) => !name.endsWith("-shm")));
      if (isSeen(files, loss, Math.max(0, ...acks))) continue;
      tried += 1;
      put(place, files);
      const lost = lostIn(place, acks, loss);
      if (lost !== undefined) broken.push(`behind ${count} events, ${loss}: ${lost}`);
    }
  }
  return { tried, broken };
}

describe("openStore(), where the power has failed", () => {
  it(
    "keeps what was acknowledged and outlives the boot, whole; without syncs that would be found",
    async () => {
      const place = join(directory, "work");
      mkdirSync(place);
      const trace = join(directory, "trace");
      const [file = "", ...args] = tracedDisk(trace);
      await must(file, [...args, process.execPath, WORK, place]);
      const events = diskEvents(readFileSync(trace, "utf8"), place);
      const { tried, broken } = lossesOf(events);
      process.stdout.write(
        `power loss of the store: ${events.length} events, ${tried} disks, ${broken.length} losses\n`,
      );
      expect(broken).toEqual([]);
      expect(events.filter(({ kind }) => kind === "ack").length).toBe(commits().length);
      expect(tried).toBeGreaterThan(300);
      // A log that nobody syncs.
      const careless = events.filter((event) => event.kind !== "sync" || !event.file.endsWith("-wal"));
      expect(lossesOf(careless.slice(0, 150)).broken).not.toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe("openSpool(), where the power has failed", () => {
  it("has the DEL that was answered, and never half of one", async () => {
    const place = join(directory, "state/spool");
    const trace = join(directory, "spool-trace");
    const attachment = { network: "terway", containerId: "sandbox", ifName: "eth0" };
    const conf = confFor(
      '{"cniVersion": "1.0.0", "name": "terway", "type": "terway"}',
      join(directory, "run/none"),
    );
    const pod = { name: "p", namespace: "none", containerId: attachment.containerId, conf };
    const ran = await plugin("DEL", pod, { CNI_NETNS: "" }, tracedDisk(trace));
    expect(ran).toMatchObject({ status: 0, stdout: "" });
    const events = diskEvents(readFileSync(trace, "utf8"), place);
    expect(events.map(({ kind }) => kind)).toEqual(["create", "write", "sync", "rename", "sync-directory"]);
    for (let count = 0; count <= events.length; count++)
      for (const loss of LOSSES) {
        const left = join(memory, "left");
        const files = leftOf(events.slice(0, count), loss);
        put(left, files);
        const heard: string[] = [];
        const spool = openSpool({
          directory: left,
          carryOut: async ({ attachment: kept }, { finish }) => {
            heard.push(spoolName(kept) ?? "");
            finish();
            return { ok: true, value: undefined };
          },
          report: ({ kind }) => {
            if (kind !== "carried-out") heard.push(kind);
          },
          nowMs: () => performance.now(),
        });
        if (!spool.ok) throw new Error(spool.fault);
        await spool.value.replay();
        await spool.value[Symbol.asyncDispose]();
        const name = spoolName(attachment) ?? "";
        const isThere = files.has(name);
        expect(heard, `behind ${count} events, ${loss}`).toEqual(isThere ? [name] : []);
        if (count === events.length) expect(isThere).toBe(true);
      }
  });
});
