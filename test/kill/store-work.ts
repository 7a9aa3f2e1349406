/**
 * Works on a database with the agent's own store, as a program: `node store-work.ts DIRECTORY`. Says `ack N` when a commit was
 * acknowledged. What commit N writes says N: an ENI and a cooldown together, or a lease.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { openStore } from "../../daemon/store/store.ts";
import { addressOf, BIG_BYTES, boot, type Commit, commits, leaseOf } from "./store-commits.ts";

const [, , directory = ""] = process.argv;
const CLOSED: readonly Commit["kind"][] = ["reopen"];

function work(): void {
  let store = openOrThrow();
  for (const commit of commits()) {
    if (CLOSED.includes(commit.kind)) {
      store[Symbol.dispose]();
      store = openOrThrow();
    } else if (commit.kind === "lease") {
      must(store.write([{ kind: "put-lease", lease: leaseOf(commit.number) }]).ok);
    } else {
      const size = commit.kind === "big" ? BIG_BYTES : 0;
      // Pages that stay as they are would not be written.
      const record = JSON.stringify({ number: commit.number, rest: String(commit.number % 10).repeat(size) });
      must(
        store.write([
          { kind: "rebuilt" },
          { kind: "put-eni", slot: 1, record },
          { kind: "put-cooldown", address: addressOf(1), untilMs: commit.number },
        ]).ok,
      );
    }
    writeSync(1, `ack ${commit.number}\n`);
  }
  store[Symbol.dispose]();
}

function openOrThrow() {
  const opened = openStore({ directory, ...boot(1) });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  return opened.value;
}

function must(isDone: boolean): void {
  if (!isDone) throw new Error("a commit failed");
}

work();
