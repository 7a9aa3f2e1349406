/**
 * A disk whose power fails: what programs did to some files, and what may be left of it. A file is what was synced last, and of
 * the writes since then any may be there or not. A name is there for certain once its file or its directory was synced.
 *
 * @module
 */

export type DiskEvent =
  | { readonly kind: "write"; readonly file: string; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly file: string; readonly size: number }
  | { readonly kind: "sync"; readonly file: string }
  | { readonly kind: "sync-directory" }
  | { readonly kind: "create"; readonly file: string }
  | { readonly kind: "remove"; readonly file: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  /** Something was promised. */
  | { readonly kind: "ack"; readonly number: number };

/** Which of the changes since the last sync are left. */
export type Loss = (typeof LOSSES)[number];

export const LOSSES = [
  /** All: the process was killed, the power did not fail. */
  "nothing lost",
  "all that was not synced lost",
  "the later half lost",
  /** And half of it is another page's old content. */
  "the last write torn",
  "all but the last write lost",
  /** One file is as written, the others as synced. */
  "only the log written",
  "only the database written",
] as const;

/** By name. */
export type Files = ReadonlyMap<string, Uint8Array>;

type Change = Extract<DiskEvent, { readonly kind: "write" | "truncate" }>;

/** A file with what has not been synced of it. */
type Inode = { synced: Uint8Array; pending: Change[] };

/** Sectors are written whole. */
const SECTOR_BYTES = 512;

/** What may be on the disk behind these events. */
export function leftOf(events: readonly DiskEvent[], loss: Loss): Files {
  const now = new Map<string, Inode>();
  let durable = new Map<string, Inode>();
  for (const event of events) {
    switch (event.kind) {
      case "write":
      case "truncate":
        inodeOf(now, event.file).pending.push(event);
        break;
      case "sync": {
        const inode = inodeOf(now, event.file);
        inode.synced = applied(inode.synced, inode.pending);
        inode.pending = [];
        durable.set(event.file, inode);
        break;
      }
      case "sync-directory":
        durable = new Map(now);
        break;
      case "create":
        inodeOf(now, event.file);
        break;
      case "remove":
        now.delete(event.file);
        break;
      case "rename":
        now.set(event.to, inodeOf(now, event.from));
        now.delete(event.from);
        break;
      case "ack":
        break;
      default:
        return event satisfies never;
    }
  }
  const names = loss === "nothing lost" ? now : durable;
  return new Map([...names].map(([name, inode]) => [name, applied(inode.synced, kept(name, inode, loss))]));
}

function inodeOf(files: Map<string, Inode>, name: string): Inode {
  const known = files.get(name) ?? { synced: new Uint8Array(0), pending: [] };
  files.set(name, known);
  return known;
}

function kept(name: string, { pending }: Inode, loss: Loss): readonly Change[] {
  switch (loss) {
    case "nothing lost":
      return pending;
    case "all that was not synced lost":
      return [];
    case "the later half lost":
      return pending.slice(0, Math.ceil(pending.length / 2));
    case "the last write torn":
      return [...pending.slice(0, -1), ...pending.slice(-1).flatMap(torn)];
    case "all but the last write lost":
      return pending.slice(-1);
    case "only the log written":
      return name.endsWith("-wal") ? pending : [];
    case "only the database written":
      return name.endsWith("-wal") ? [] : pending;
    default:
      return loss satisfies never;
  }
}

function torn(change: Change): readonly Change[] {
  if (change.kind === "truncate") return [];
  const half = Math.floor(change.bytes.length / 2 / SECTOR_BYTES) * SECTOR_BYTES;
  return [{ ...change, bytes: change.bytes.subarray(0, half) }];
}

function applied(before: Uint8Array, changes: readonly Change[]): Uint8Array {
  if (changes.length === 0) return before;
  const ends = changes.map((change) =>
    change.kind === "truncate" ? change.size : change.at + change.bytes.length,
  );
  const room = new Uint8Array(Math.max(before.length, ...ends));
  room.set(before);
  let size = before.length;
  for (const change of changes) {
    if (change.kind === "write") {
      room.set(change.bytes, change.at);
      size = Math.max(size, change.at + change.bytes.length);
    } else {
      room.fill(0, change.size);
      size = change.size;
    }
  }
  return room.subarray(0, size);
}
