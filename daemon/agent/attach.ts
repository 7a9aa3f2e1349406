/**
 * ADD of a pod, from the call to its answer: address from the pool, lease on disk, interface in the kernel, lease marked
 * done. Nothing here asks the Kubernetes API or, with an idle address in the pool, the cloud.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type PodInterfaces } from "../core/kernel.ts";
import { type Granted } from "../core/pool/model.ts";
import { type AddCall } from "../rpc/request.ts";
import { type Added, type AddResult } from "../rpc/server.ts";
import { type LeaseRow } from "../store/schema.ts";
import {
  addressesOfLease,
  heldBy,
  loggedAddresses,
  newLease,
  podLink,
  podName,
  type Pods,
  release,
  remove,
  roundMs,
} from "./leases.ts";
import { type Grant } from "./askers.ts";
import { sleep, SYSTEM_TIMERS } from "./timers.ts";

/** Taken off the caller's deadline, so that our answer with the cause arrives before the caller gives up. */
const ANSWER_MARGIN_MS = 2000;
/** How long the device of a pod's ENI is awaited where the pod has its address already, and how often it is looked for. */
const [ENI_WAIT_MS, ENI_LOOK_MS] = [5000, 20];

/** The lock of the attachment is held. Where the caller goes away, all that the call made is undone. */
export async function attach(pods: Pods, call: AddCall): Promise<Result<Added>> {
  const { nowMs, log, held } = pods;
  const key = attachmentKey(call.attachment);
  const about = { attachment: key, pod: podName(call.args) };
  const startedMs = nowMs();
  const ready = await makeReady(pods, call);
  if (!ready.ok) return ready;
  const grant = await acquire(pods, call, startedMs);
  const grantedMs = nowMs();
  if (!grant.ok) {
    const tookMs = Math.round(grantedMs - startedMs);
    log.warn({ ...about, fault: grant.fault, tookMs }, "no address for the pod");
    return grant;
  }
  const lease = leaseOf(pods, call, grant.value);
  held.set(key, lease);
  const made = await makeInterface(pods, call, lease, startedMs);
  const madeMs = nowMs();
  if (!made.ok) return made;
  const done: LeaseRow = { ...lease, state: "done", hostMac: made.value.hostMac, podMac: made.value.podMac };
  const written = await pods.loop.commit([{ kind: "put-lease", lease: done }]);
  if (!written.ok) {
    // A pod that runs keeps what it has: its lease is on disk since its first ADD.
    if (lease.state === "pending") await remove(pods, lease);
    return written;
  }
  held.set(key, done);
  const doneMs = nowMs();
  const took = { waitedMs: roundMs(grantedMs - startedMs), kernelMs: roundMs(doneMs - grantedMs) };
  const { storeMs } = grant.value;
  const timing = {
    wait: roundMs(grantedMs - startedMs - storeMs),
    store: roundMs(storeMs + doneMs - madeMs),
    netlink: roundMs(madeMs - grantedMs),
    total: roundMs(doneMs - startedMs),
  };
  log.info({ ...about, ...loggedAddresses(lease), slot: lease.slot, ...took, timing }, "pod attached");
  return ok({ result: resultOf(done, made.value), timing });
}

/** Is the namespace one? Then away with what a former sandbox of the same name has left, or a DEL that was not heard. */
async function makeReady(pods: Pods, call: AddCall): Promise<Result<void>> {
  const netns = pods.checkNetns(call.netns);
  if (!netns.ok) return netns;
  const former = heldBy(pods, call.attachment);
  const isDeleted = pods.pendingDels.has(call.attachment);
  const isOther = former !== undefined && (former.state !== "done" || former.netns !== call.netns);
  if (former !== undefined && (isOther || isDeleted)) {
    const removed = await remove(pods, former);
    if (!removed.ok) return removed;
  }
  return isDeleted ? pods.pendingDels.forget(call.attachment) : ok(undefined);
}

async function acquire(pods: Pods, call: AddCall, startedMs: number): Promise<Result<Grant>> {
  const { loop } = pods;
  const { attachment, signal } = call;
  if (signal.aborted) return failed(gone(pods, startedMs));
  const stop = (): void => loop.cancel(attachment, gone(pods, startedMs));
  signal.addEventListener("abort", stop, { once: true });
  const waitMs = Math.min(Math.max(call.deadlineMs - ANSWER_MARGIN_MS, 1), pods.addTimeoutMs);
  const grant = await loop.acquire({
    attachment,
    deadlineMs: startedMs + waitMs,
    leaseOf: (granted) => ({
      kind: "put-lease",
      lease: leaseOf(pods, call, granted),
    }),
  });
  signal.removeEventListener("abort", stop);
  return grant;
}

function leaseOf(pods: Pods, call: AddCall, granted: Granted): LeaseRow {
  const { loop, held, datapath } = pods;
  const former = held.get(attachmentKey(call.attachment));
  return newLease(call, granted, former, { stack: loop.pool().settings.ipStack, datapath });
}

type MadeInterfaces = PodInterfaces & { readonly mtu: number };

/** The interface, or nothing of it. What a repeated ADD finds of a pod that runs is left as it is, whatever happens. */
async function makeInterface(
  pods: Pods,
  call: AddCall,
  lease: LeaseRow,
  startedMs: number,
): Promise<Result<MadeInterfaces>> {
  const about = { attachment: attachmentKey(call.attachment), pod: lease.pod, ...loggedAddresses(lease) };
  const isOurs = lease.state === "pending";
  const isGone = (): boolean => call.signal.aborted;
  const undone = (): Result<MadeInterfaces> => {
    pods.log.warn({ ...about }, "the caller has gone; the ADD was undone");
    return failed(gone(pods, startedMs));
  };
  if (isGone() && isOurs) {
    await release(pods, lease);
    return undone();
  }
  const mtu = await mtuOnceKnown(pods, lease.slot, call, startedMs);
  const made = mtu.ok ? await pods.kernel.attachPod(podLink(lease, pods, mtu.value)) : mtu;
  if (!made.ok) {
    pods.log.warn(
      { ...about, fault: made.fault },
      "the pod's interface could not be made; the change was undone",
    );
    // The kernel may have had something of it before, which it leaves.
    if (isOurs) await remove(pods, lease);
    return made;
  }
  if (mtu.ok && (!isGone() || !isOurs)) return ok({ ...made.value, mtu: mtu.value });
  const removed = await remove(pods, lease);
  return removed.ok ? undone() : removed;
}

/** After a start of the agent a pod may be asked for again before the device of its ENI was looked at. */
async function mtuOnceKnown(
  pods: Pods,
  slot: number,
  { signal, deadlineMs }: AddCall,
  startedMs: number,
): Promise<Result<number>> {
  const { mtuOf, nowMs, timers = SYSTEM_TIMERS } = pods;
  const untilMs = Math.min(nowMs() + ENI_WAIT_MS, startedMs + deadlineMs - ANSWER_MARGIN_MS);
  for (;;) {
    const mtu = await mtuOf(slot);
    const isOnItsWay = !mtu.ok && mtu.fault.kind === "not-ready";
    if (!isOnItsWay || signal.aborted || nowMs() >= untilMs) return mtu;
    await sleep(timers, ENI_LOOK_MS);
  }
}

/** Nobody reads it, but the log. */
function gone({ nowMs }: Pods, startedMs: number): Fault {
  const cause = "the caller has gone";
  return { kind: "deadline", what: "ADD", waitedMs: nowMs() - startedMs, cause };
}

/** Both families the same way: everything by the next hop. An ipvlan pod has no end of its own on the node. */
function resultOf(lease: LeaseRow, made: MadeInterfaces): AddResult {
  const { gateways, mtu, prefixLengths = { v4: 32, v6: 128 } } = made;
  const addresses = addressesOfLease(lease);
  const v4 = { address: addresses.v4, bits: prefixLengths.v4, gateway: gateways.v4, dst: "0.0.0.0/0" };
  const v6 = { address: addresses.v6, bits: prefixLengths.v6, gateway: gateways.v6, dst: "::/0" };
  const end = { name: lease.hostName, mac: lease.hostMac, sandbox: "", mtu };
  const onNode = lease.datapath === undefined ? [end] : [];
  const families = [v4, v6].flatMap(({ address, gateway, ...family }) =>
    address === undefined || gateway === undefined ? [] : [{ address, gateway, ...family }],
  );
  return {
    interfaces: [...onNode, { name: lease.ifName, mac: lease.podMac, sandbox: lease.netns, mtu }],
    ips: families.map(({ address, bits, gateway }) => ({
      address: `${address}/${bits}`,
      gateway,
      interface: onNode.length,
    })),
    routes: families.map(({ dst, gateway: gw }) => ({ dst, gw })),
  };
}
