/**
 * Who waits for an address. Each hears once: of a grant whose lease is on disk, of a refusal, or why there is neither.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type Result } from "../../proto/result.ts";
import { type Granted } from "../core/pool/model.ts";
import { type StoreChange } from "../store/schema.ts";

/** `storeMs`: how long it took to write it down. */
export type Grant = Granted & { readonly storeMs: number };

export type Asker = {
  readonly attachment: Attachment;
  /** What has to be written before it hears of the address. */
  readonly leaseOf: (granted: Granted) => StoreChange;
  readonly settle: (outcome: Result<Grant>) => void;
};

export type Askers = {
  /** From now on grants and refusals of the pool for this attachment are its own. */
  readonly add: (asker: Asker) => void;
  /** Takes the one who asked for this attachment out, if there is one: whoever takes it has to settle it. */
  readonly take: (attachment: Attachment) => Asker | undefined;
  readonly takeAll: () => readonly Asker[];
};

export function openAskers(): Askers {
  const askers = new Map<string, Asker>();
  return {
    add(asker) {
      askers.set(attachmentKey(asker.attachment), asker);
    },
    take(attachment) {
      const key = attachmentKey(attachment);
      const asker = askers.get(key);
      askers.delete(key);
      return asker;
    },
    takeAll() {
      const all = [...askers.values()];
      askers.clear();
      return all;
    },
  };
}
