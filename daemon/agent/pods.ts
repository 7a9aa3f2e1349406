/**
 * ADD and DEL of a pod, from the call to its answer: address from the pool, lease on disk, interface in the kernel,
 * lease marked done. Nothing here asks the Kubernetes API or, with an idle address in the pool, the cloud.
 *
 * @module
 */
import { parseIpv4 } from "../../proto/addr.ts";
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { hostLinkName } from "../core/datapath/link-name.ts";
import { type Kernel, type PodInterfaces, type PodLink } from "../core/kernel.ts";
import { type PodCall } from "../rpc/request.ts";
import { type AddResult, type AgentApi } from "../rpc/server.ts";
import { type LeaseRow, type StoreChange } from "../store/schema.ts";
import { type Log } from "./log.ts";
import { type Grant, type Loop } from "./loop.ts";

export type PodsOptions = {
  readonly loop: Loop;
  readonly kernel: Kernel;
  /** Is CNI_NETNS a pod's network namespace? Asked before an address is: a wrong path must not cost an ENI. */
  readonly checkNetns: (path: string) => Result<void>;
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  readonly nowMs: () => number;
  readonly log: Log;
  /** Bytes; of both ends of the pod's link. */
  readonly mtu: number;
  /** The longest that an ADD waits for an address, whatever the caller would. */
  readonly addTimeoutMs: number;
  /** Leases of a former run, of this boot. */
  readonly leases: readonly LeaseRow[];
};

/** Taken off the caller's deadline, so that our answer with the cause arrives before the caller gives up. */
const ANSWER_MARGIN_MS = 2000;

export function openPods(options: PodsOptions): AgentApi {
  const pods = new Map(options.leases.map((lease) => [attachmentKey(lease), lease]));
  const locks = openLocks();
  return {
    add: async (call) => {
      const unlock = locks.tryLock(attachmentKey(call.attachment));
      if (unlock === undefined)
        return failed({ kind: "attachment-busy", attachment: attachmentKey(call.attachment) });
      try {
        return await add(options, pods, call);
      } finally {
        unlock();
      }
    },
    del: async (call) => {
      const key = attachmentKey(call.attachment);
      const startedMs = options.nowMs();
      options.loop.cancel(call.attachment);
      const unlock = await locks.lock(key, call.deadlineMs);
      if (unlock === undefined) {
        const waitedMs = Math.round(options.nowMs() - startedMs);
        return failed({ kind: "deadline", what: `waiting for the ADD of ${key} to end`, waitedMs });
      }
      try {
        return await del(options, pods, call);
      } finally {
        unlock();
      }
    },
  };
}

async function add(
  options: PodsOptions,
  pods: Map<string, LeaseRow>,
  call: PodCall,
): Promise<Result<AddResult>> {
  const { loop, nowMs, log } = options;
  const key = attachmentKey(call.attachment);
  const startedMs = nowMs();
  const netns = options.checkNetns(call.netns);
  if (!netns.ok) return netns;
  const former = pods.get(key);
  if (former !== undefined && (former.state !== "done" || former.netns !== call.netns)) {
    const removed = await remove(options, pods, former);
    if (!removed.ok) return removed;
  }
  const waitMs = Math.min(Math.max(call.deadlineMs - ANSWER_MARGIN_MS, 1), options.addTimeoutMs);
  const grant = await loop.acquire({
    attachment: call.attachment,
    deadlineMs: startedMs + waitMs,
    leaseOf: (given) => ({ kind: "put-lease", lease: leaseOf(call, given, pods.get(key)) }),
  });
  const grantedMs = nowMs();
  const about = { attachment: key, pod: podOf(call.args) };
  if (!grant.ok) {
    log.warn(
      { ...about, fault: grant.fault, tookMs: Math.round(grantedMs - startedMs) },
      "no address for the pod",
    );
    return grant;
  }
  const lease = leaseOf(call, grant.value, pods.get(key));
  pods.set(key, lease);
  const made = await options.kernel.attachPod(podLink(lease, options.mtu));
  if (!made.ok) {
    log.warn({ ...about, fault: made.fault }, "the pod's interface could not be made; the change was undone");
    // A repeated ADD of a pod that runs: it keeps what it has.
    if (lease.state === "pending") release(options, pods, lease);
    return made;
  }
  const done: LeaseRow = { ...lease, state: "done", hostMac: made.value.hostMac, podMac: made.value.podMac };
  const written = options.write([{ kind: "put-lease", lease: done }]);
  if (!written.ok) {
    await remove(options, pods, lease);
    return written;
  }
  pods.set(key, done);
  const doneMs = nowMs();
  const took = { waitedMs: round(grantedMs - startedMs), kernelMs: round(doneMs - grantedMs) };
  log.info({ ...about, address: lease.address, slot: lease.slot, ...took }, "pod attached");
  return ok(resultOf(done, made.value, options.mtu));
}

async function del(options: PodsOptions, pods: Map<string, LeaseRow>, call: PodCall): Promise<Result<void>> {
  const lease = pods.get(attachmentKey(call.attachment));
  // Nothing is known of it, so nothing was made: CNI SPEC.md 1.1.0, DEL succeeds for unknown containers.
  if (lease === undefined) return ok(undefined);
  return remove(options, pods, lease);
}

/** Kernel first, then the pool: an address must not be given to another pod while packets still reach this one. */
async function remove(
  options: PodsOptions,
  pods: Map<string, LeaseRow>,
  lease: LeaseRow,
): Promise<Result<void>> {
  const { hostName, netns, ifName } = lease;
  const startedMs = options.nowMs();
  const address = podLink(lease, options.mtu).address;
  const removed = await options.kernel.detachPod({ hostName, address, netns, ifName });
  const about = { attachment: attachmentKey(lease), pod: lease.pod, address };
  if (!removed.ok) {
    options.log.warn({ ...about, fault: removed.fault }, "the pod's interface could not be removed");
    return removed;
  }
  const released = release(options, pods, lease);
  options.log.info({ ...about, tookMs: round(options.nowMs() - startedMs) }, "pod detached");
  return released;
}

function release(options: PodsOptions, pods: Map<string, LeaseRow>, lease: LeaseRow): Result<void> {
  const attachment = attachmentOf(lease);
  const outcome = options.loop.dispatch({ kind: "released", attachment }, [
    { kind: "delete-lease", ...attachment },
  ]);
  if (outcome.ok) pods.delete(attachmentKey(lease));
  return outcome;
}

function leaseOf(call: PodCall, grant: Grant, former: LeaseRow | undefined): LeaseRow {
  // A repeated ADD of a pod that is attached keeps its lease as it is.
  if (former?.state === "done" && former.address === grant.address) return former;
  return {
    ...call.attachment,
    address: grant.address,
    slot: grant.slot,
    state: "pending",
    hostName: hostLinkName(call.attachment),
    netns: call.netns,
    pod: podOf(call.args),
    hostMac: "",
    podMac: "",
  };
}

export function attachmentOf(lease: LeaseRow): Attachment {
  return { network: lease.network, containerId: lease.containerId, ifName: lease.ifName };
}

function podLink(lease: LeaseRow, mtu: number): PodLink {
  const { hostName, netns, ifName, slot } = lease;
  return { hostName, netns, ifName, address: addressOf(lease), slot, mtu };
}

function podOf(args: Readonly<Record<string, string>>): string {
  const name = args["K8S_POD_NAME"];
  return name === undefined ? "" : `${args["K8S_POD_NAMESPACE"] ?? ""}/${name}`;
}

function resultOf(lease: LeaseRow, made: PodInterfaces, mtu: number): AddResult {
  return {
    interfaces: [
      { name: lease.hostName, mac: made.hostMac, sandbox: "", mtu },
      { name: lease.ifName, mac: made.podMac, sandbox: lease.netns, mtu },
    ],
    ips: [{ address: `${lease.address}/32`, gateway: made.gateway, interface: 1 }],
    routes: [{ dst: "0.0.0.0/0", gw: made.gateway }],
  };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

type Locks = {
  readonly tryLock: (key: string) => (() => void) | undefined;
  /** Waits for the one who holds it, `waitMs` at most; `undefined` where it was not to be had. */
  readonly lock: (key: string, waitMs: number) => Promise<(() => void) | undefined>;
};

/** One call at a time for an attachment. */
function openLocks(): Locks {
  const held = new Map<string, Promise<void>>();
  const tryLock = (key: string): (() => void) | undefined => {
    if (held.has(key)) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(key, promise);
    return () => {
      held.delete(key);
      resolve();
    };
  };
  return {
    tryLock,
    async lock(key, waitMs) {
      const signal = AbortSignal.timeout(waitMs);
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      for (;;) {
        const unlock = tryLock(key);
        if (unlock !== undefined || signal.aborted) return unlock;
        await Promise.race([held.get(key), aborted]);
      }
    },
  };
}

/** The store keeps text that this agent wrote; anything else in it is damage. */
function addressOf(lease: LeaseRow): PodLink["address"] {
  const address = parseIpv4(lease.address);
  if (address === undefined) throw new Error(`the store holds a lease with the address ${lease.address}`);
  return address;
}
