/**
 * GC of a network: removes attachments that the runtime does not know any more. And the sweep, which the agent does by itself.
 * Both go on past what fails.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { hostLinkName } from "../core/datapath/link-name.ts";
import { type Listed, ruleOn } from "../core/gc/gc.ts";
import { isUnknown } from "../core/rebuild/rebuild.ts";
import { type GcCall } from "../rpc/request.ts";
import { type LeaseRow } from "../store/schema.ts";
import { attachmentOf, linkedPods, loggedAddresses, type Pods, remove } from "./leases.ts";

type Removal = { readonly key: string; readonly outcome: Result<void> };

type Candidate = readonly [key: string, lease: LeaseRow];

/** Attachments that are being worked on, or are made meanwhile, are left alone: the list may be older than they. */
export function collectGarbage(pods: Pods, call: GcCall): Promise<Result<void>> {
  const isHere = ({ network }: LeaseRow): boolean => network === call.network;
  // Nobody knows of which network an unknown attachment is, unless there is but one.
  const isOnly = [...pods.held.values()].every((lease) => isHere(lease) || isUnknown(attachmentOf(lease)));
  const candidates = [...pods.held].filter(
    ([, lease]) => isHere(lease) || (isOnly && isUnknown(attachmentOf(lease))),
  );
  return collect(pods, candidates, listing(call));
}

/**
 * What needs no list: leases of pods of which the node has neither namespace nor interface any more, and of ADDs that could
 * not be undone.
 */
export async function sweep(pods: Pods): Promise<Result<void>> {
  const [interrupted, others]: [Candidate[], Candidate[]] = [[], []];
  for (const candidate of pods.held) (candidate[1].state === "done" ? others : interrupted).push(candidate);
  const undone = await Promise.all(interrupted.map(([key, lease]) => removeIfSame(pods, key, lease)));
  const swept = await collect(pods, others, () => "no-list");
  return swept.ok ? joined(undone.filter((removal) => removal !== undefined)) : swept;
}

async function collect(
  pods: Pods,
  candidates: readonly Candidate[],
  listedAs: (key: string, lease: LeaseRow) => Listed,
): Promise<Result<void>> {
  const unlisted = candidates.filter(
    ([key, lease]) => !pods.locks.isLocked(key) && listedAs(key, lease) !== "listed",
  );
  if (unlisted.length === 0) return ok(undefined);
  const linked = await linkedPods(pods);
  if (!linked.ok) return linked;
  const removals = await Promise.all(
    unlisted.map(async ([key, lease]): Promise<Removal | undefined> => {
      const traces = { netns: pods.checkNetns(lease.netns).ok, link: linked.value.has(key) };
      const about = { attachment: key, pod: lease.pod, ...loggedAddresses(lease), ...traces };
      const ruling = ruleOn(listedAs(key, lease), traces);
      if (ruling === "spare") pods.log.warn(about, "GC does not list a pod that is alive; it is left alone");
      if (ruling !== "remove") return undefined;
      pods.log.info(about, "GC removes a pod that is gone");
      return removeIfSame(pods, key, lease);
    }),
  );
  return joined(removals.filter((removal) => removal !== undefined));
}

function listing({ valid }: GcCall): (key: string, lease: LeaseRow) => Listed {
  if (valid === undefined) return () => "no-list";
  const keys = new Set(valid.map(attachmentKey));
  const links = new Set(valid.map(hostLinkName));
  return (key, lease) =>
    keys.has(key) || (isUnknown(attachmentOf(lease)) && links.has(lease.hostName)) ? "listed" : "unlisted";
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
