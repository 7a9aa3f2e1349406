/**
 * GC of a network: removes attachments that the runtime does not know any more. It goes on past what fails.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Listed, ruleOn } from "../core/gc/gc.ts";
import { type GcCall } from "../rpc/request.ts";
import { type LeaseRow } from "../store/schema.ts";
import { linkedPods, loggedAddresses, type Pods, remove } from "./leases.ts";

type Removal = { readonly key: string; readonly outcome: Result<void> };

/** Attachments that are being worked on, or are made meanwhile, are left alone: the list may be older than they. */
export async function collectGarbage(pods: Pods, call: GcCall): Promise<Result<void>> {
  const candidates = [...pods.held].filter(
    ([key, lease]) => lease.network === call.network && !pods.locks.isLocked(key),
  );
  const listedAs = listing(call);
  const unlisted = candidates.filter(([key]) => listedAs(key) !== "listed");
  if (unlisted.length === 0) return ok(undefined);
  const linked = await linkedPods(pods);
  if (!linked.ok) return linked;
  const removals = await Promise.all(
    unlisted.map(async ([key, lease]): Promise<Removal | undefined> => {
      const traces = { netns: pods.checkNetns(lease.netns).ok, link: linked.value.has(key) };
      const about = { attachment: key, pod: lease.pod, ...loggedAddresses(lease), ...traces };
      const ruling = ruleOn(listedAs(key), traces);
      if (ruling === "spare") pods.log.warn(about, "GC does not list a pod that is alive; it is left alone");
      if (ruling !== "remove") return undefined;
      pods.log.info(about, "GC removes a pod that is gone");
      return removeIfSame(pods, key, lease);
    }),
  );
  return joined(removals.filter((removal) => removal !== undefined));
}

function listing({ valid }: GcCall): (key: string) => Listed {
  if (valid === undefined) return () => "no-list";
  const keys = new Set(valid.map(attachmentKey));
  return (key) => (keys.has(key) ? "listed" : "unlisted");
}

/** Not where a call has come in between. */
async function removeIfSame(pods: Pods, key: string, candidate: LeaseRow): Promise<Removal | undefined> {
  using lock = pods.locks.tryLock(key);
  if (lock === undefined || pods.held.get(key) !== candidate) return undefined;
  return { key, outcome: await remove(pods, candidate) };
}

/** One fault for all: of the kind of the first, with what happened to each. */
function joined(removals: readonly Removal[]): Result<void> {
  const faults = removals.flatMap(({ key, outcome }) => (outcome.ok ? [] : [{ key, fault: outcome.fault }]));
  const [first] = faults;
  if (first === undefined) return ok(undefined);
  const op = `remove ${faults.length} of ${removals.length} stale attachments`;
  const each = faults.map(({ key, fault }) => `${key}: ${describeFault(fault)}`).join("; ");
  const fault: Fault =
    first.fault.kind === "kernel"
      ? { kind: "kernel", op, errno: first.fault.errno, extAck: each }
      : { kind: "store", op, reason: each };
  return failed(fault);
}
