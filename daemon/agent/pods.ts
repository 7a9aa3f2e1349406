/**
 * What the agent does for pods: ADD, DEL, CHECK and GC as the plugin asks for them, and DELs that were kept on disk. One
 * call at a time for an attachment.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AgentApi } from "../rpc/server.ts";
import { attach } from "./attach.ts";
import { type LeaseRow } from "../store/schema.ts";
import { check, checkAll, mendAll, mendSuspects } from "./check.ts";
import { collectGarbage, sweep } from "./gc.ts";
import { heldBy, type Pods, type PodsOptions, remove } from "./leases.ts";
import { openLocks } from "./locks.ts";

export type OpenPods = Omit<AgentApi, "status"> & {
  /**
   * A DEL from the spool. `isPending` is asked once nobody else works on the attachment: an ADD may have carried the DEL
   * out itself. `finish` is called before anybody else may.
   */
  readonly replayDel: (
    attachment: Attachment,
    pending: { readonly isPending: () => boolean; readonly finish: () => void },
  ) => Promise<Result<void>>;
  /** Frees what pods left whose end nobody told of: see `gc.ts`. */
  readonly sweep: () => Promise<Result<void>>;
  /** One line for each thing that a running pod lacks in the kernel. */
  readonly checkAll: () => Promise<readonly string[]>;
  /** Makes it again. */
  readonly mendAll: () => Promise<void>;
  /** Makes again what of these is not as it was made. */
  readonly mendSuspects: (isSuspect: (lease: LeaseRow) => boolean) => Promise<void>;
};

/** How long a DEL from the spool waits for another call; it is tried again later. */
const REPLAY_WAIT_MS = 5000;

const DELETED: Fault = { kind: "not-ready", reason: "the pod was deleted while it waited for an address" };

export function openPods(options: PodsOptions): OpenPods {
  const pods: Pods = {
    ...options,
    held: new Map(options.leases.map((lease) => [attachmentKey(lease), lease])),
    locks: openLocks(options.timers),
  };
  return {
    async add(call) {
      const key = attachmentKey(call.attachment);
      using lock = pods.locks.tryLock(key);
      if (lock === undefined) return failed({ kind: "attachment-busy", attachment: key });
      return await attach(pods, call);
    },
    del({ attachment, deadlineMs }) {
      options.loop.cancel(attachment, DELETED);
      return whenFree(pods, attachment, deadlineMs, () => detach(pods, attachment));
    },
    check: (call) => whenFree(pods, call.attachment, call.deadlineMs, () => check(pods, call)),
    gc: (call) => collectGarbage(pods, call),
    replayDel: (attachment, { isPending, finish }) =>
      whenFree(pods, attachment, REPLAY_WAIT_MS, async () => {
        if (!isPending()) return ok(undefined);
        const detached = await detach(pods, attachment);
        if (detached.ok) finish();
        return detached;
      }),
    sweep: () => sweep(pods),
    checkAll: () => checkAll(pods),
    mendAll: () => mendAll(pods),
    mendSuspects: (isSuspect) => mendSuspects(pods, isSuspect),
  };
}

/** Carries `work` out when no other call works on the attachment. */
async function whenFree(
  pods: Pods,
  attachment: Attachment,
  waitMs: number,
  work: () => Promise<Result<void>>,
): Promise<Result<void>> {
  const key = attachmentKey(attachment);
  const startedMs = pods.nowMs();
  using lock = await pods.locks.lock(key, waitMs);
  if (lock !== undefined) return await work();
  const waitedMs = Math.round(pods.nowMs() - startedMs);
  return failed({ kind: "deadline", what: `waiting for the other call for ${key} to end`, waitedMs });
}

async function detach(pods: Pods, attachment: Attachment): Promise<Result<void>> {
  const lease = heldBy(pods, attachment);
  // Nothing is known of it, so nothing was made: CNI SPEC.md 1.1.0, DEL succeeds for unknown containers.
  return lease === undefined ? ok(undefined) : remove(pods, lease);
}
