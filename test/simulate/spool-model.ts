/**
 * The directory of DELs that the plugin could not tell the agent, in memory, with the passes and retries of
 * `daemon/spool/spool.ts`. Checked against it by the same operations on both (`spool-model.test.ts`).
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
const RESCAN_MS = 30_000;

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
      const { timers } = life;
      const retries = new Map<string, { readonly tries: number; readonly atMs: number }>();
      let timer: Disposable | undefined;
      let running: Promise<void> | undefined;
      let [again, closed] = [false, false];

      const one = async (key: string): Promise<void> => {
        const file = files.get(key);
        if (file === undefined) return;
        const { attachment } = file;
        const isPending = (): boolean => files.get(key) === file;
        const finish = (): void => {
          if (!isPending() || !life.spend()) return;
          files.delete(key);
          onDone(attachment);
        };
        const done: Result<void> = await carryOut({ attachment, netns: "" }, { isPending, finish });
        if (done.ok) {
          retries.delete(key);
          return;
        }
        const tries = (retries.get(key)?.tries ?? 0) + 1;
        const retryMs = Math.min(RETRY_BASE_MS * 2 ** (tries - 1), RETRY_CAP_MS);
        retries.set(key, { tries, atMs: timers.elapsedMs() + retryMs });
      };
      const pass = async (): Promise<void> => {
        for (const key of retries.keys()) if (!files.has(key)) retries.delete(key);
        const due = [...files.keys()].filter((key) => (retries.get(key)?.atMs ?? 0) <= timers.elapsedMs());
        await Promise.all(due.map(one));
      };
      const wakeLater = (): void => {
        timer?.[Symbol.dispose]();
        if (closed || files.size === 0) return;
        const nextMs = Math.min(...retries.values().map(({ atMs }) => atMs)) - timers.elapsedMs();
        timer = timers.after(Math.min(Math.max(nextMs, 10), RESCAN_MS), () => void replay());
      };
      /** One pass at a time; who asks while one is under way gets another after it. */
      function replay(): Promise<void> {
        again = true;
        running ??= (async () => {
          for (; again; again = again && !closed) {
            again = false;
            await pass();
          }
          running = undefined;
          wakeLater();
        })();
        return running;
      }
      notify = () => void timers.after(1, () => void replay());
      return {
        has: (attachment) => life.isAlive() && has(attachment),
        forget(attachment) {
          if (life.spend()) files.delete(attachmentKey(attachment));
          return ok(undefined);
        },
        replay,
        async [Symbol.asyncDispose]() {
          closed = true;
          timer?.[Symbol.dispose]();
          await running;
        },
      };
    },
  };
}
