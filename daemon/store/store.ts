/**
 * What the agent must not forget, in SQLite (node:sqlite, WAL). Two connections to one file: changes that outlive the
 * boot are synced to disk before `write` returns (`synchronous=FULL`, about 1 ms), leases are not (`NORMAL`, about
 * 0.02 ms): a killed process loses neither, and a power loss takes the pods along with their leases.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { setAside } from "./aside.ts";
import { type Boot, prepare } from "./migrate.ts";
import { load, openWriter, type Stored } from "./rows.ts";
import { outlivesBoot, type StoreChange } from "./schema.ts";
import { explain, saidBy, StoreTrouble, type TroubleKind, troubleOf } from "./trouble.ts";

export type Store = Disposable & {
  /** All changes or none; a fault says what happened, to which file, and what to do. */
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  readonly load: () => Stored;
  /** What a person should know about how it was opened: a new boot, a clock that was set, a database that was set aside. */
  readonly notices: readonly string[];
  /** Has a write found that the file is damaged? */
  readonly isDamaged: () => boolean;
  /** Why it does not know what the node has, which has to be found out before anything is given to pods. See "rebuilt". */
  readonly lost?: string;
};

/** `directory`: made where it is missing. */
export type StoreOptions = Boot & { readonly directory: string };

/** `kind`: whether waiting may help. */
export type OpenFault = { readonly kind: TroubleKind; readonly fault: Fault };

const FILE = "agent.db";
/** Nobody else writes to it; a write that waits keeps the whole agent waiting. */
const BUSY_MS = 100;

/** A database that cannot be read is set aside, not deleted, and a new one begun. */
export function openStore(options: StoreOptions): Result<Store, OpenFault> {
  const path = join(options.directory, FILE);
  try {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    try {
      return ok(openAt(path, options, "there was no database"));
    } catch (error) {
      if (troubleOf(error, path) !== "damaged") throw error;
      const aside = setAside(path, options.nowMs);
      return ok(
        openAt(path, options, `the database was damaged (${saidBy(error)}) and was set aside as ${aside}`),
      );
    }
  } catch (error) {
    return failed({ kind: troubleOf(error, path), fault: faultOf(`open ${path}`, error, path) });
  }
}

function openAt(path: string, boot: Boot, lost: string): Store {
  const lasting = new DatabaseSync(path);
  try {
    return withConnections(lasting, path, boot, lost);
  } catch (error) {
    lasting.close();
    throw error;
  }
}

function withConnections(lasting: DatabaseSync, path: string, boot: Boot, why: string): Store {
  lasting.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=${BUSY_MS};`);
  const check = lasting.prepare("PRAGMA quick_check(1)").get();
  if (check?.["quick_check"] !== "ok")
    throw new StoreTrouble("damaged", `quick_check: ${String(check?.["quick_check"])}`);
  const { notices, lost } = prepare(lasting, boot, why);
  // What cannot be read is to be found now.
  load(lasting);
  const booted = new DatabaseSync(path);
  booted.exec(`PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=${BUSY_MS};`);
  let damaged = false;
  const writers = { lasting: openWriter(lasting), booted: openWriter(booted) };
  return {
    notices,
    ...(lost !== undefined && { lost }),
    load: () => load(lasting),
    isDamaged: () => damaged,
    write(changes) {
      if (changes.length === 0) return ok(undefined);
      const writer = changes.some(outlivesBoot) ? writers.lasting : writers.booted;
      try {
        writer(changes);
        return ok(undefined);
      } catch (error) {
        damaged ||= troubleOf(error, path) === "damaged";
        return failed(faultOf(`write to ${path}`, error, path));
      }
    },
    [Symbol.dispose]() {
      booted.close();
      lasting.close();
    },
  };
}

function faultOf(op: string, error: unknown, path: string): Fault {
  return { kind: "store", op, reason: explain(error, path) };
}
