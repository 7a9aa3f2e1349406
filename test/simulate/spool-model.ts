/**
 * The directory of DELs that the plugin could not tell the agent, in memory, with the retries of `daemon/spool/spool.ts`.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { ok, type Result } from "../../proto/result.ts";
import { type Spool, type SpoolOptions } from "../../daemon/spool/spool.ts";
import { type Life } from "./life.ts";

export type SpoolModel = {
  /** Keeps a DEL, as the plugin does. */
  readonly keep: (attachment: Attachment) => void;
  readonly kept: () => number;
  readonly has: (attachment: Attachment) => boolean;
  /** The agent's end of it, for one life. */
  readonly portFor: (life: Life, carryOut: SpoolOptions["carryOut"]) => Spool;
};

/** As in `daemon/spool/spool.ts`. */
const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 60_000;

type File = { readonly attachment: Attachment };

/** `onDone`: a DEL was carried out, and its file is removed. */
export function openSpoolModel(onDone: (attachment: Attachment) => void): SpoolModel {
  const files = new Map<string, File>();
  let notify: (() => void) | undefined;
  const has = (attachment: Attachment): boolean => files.has(attachmentKey(attachment));
  return {
    has,
    kept: () => files.size,
    keep(attachment) {
      files.set(attachmentKey(attachment), { attachment });
      notify?.();
    },
    portFor(life, carryOut) {
      const carry = async (file: File, tries: number): Promise<void> => {
        const key = attachmentKey(file.attachment);
        const isPending = (): boolean => files.get(key) === file;
        if (!isPending()) return;
        const finish = (): void => {
          if (!isPending() || !life.spend()) return;
          files.delete(key);
          onDone(file.attachment);
        };
        const done: Result<void> = await carryOut(
          { attachment: file.attachment, netns: "" },
          { isPending, finish },
        );
        if (done.ok) return;
        const retryMs = Math.min(RETRY_BASE_MS * 2 ** tries, RETRY_CAP_MS);
        life.timers.after(retryMs, () => void carry(file, tries + 1));
      };
      const tried = new Set<File>();
      const pass = async (): Promise<void> => {
        const due = [...files.values()].filter((file) => !tried.has(file));
        for (const file of due) tried.add(file);
        await Promise.all(due.map((file) => carry(file, 0)));
      };
      notify = () => void life.timers.after(1, () => void pass());
      return {
        has: (attachment) => life.isAlive() && has(attachment),
        forget(attachment) {
          if (life.spend()) files.delete(attachmentKey(attachment));
          return ok(undefined);
        },
        replay: pass,
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
  };
}
