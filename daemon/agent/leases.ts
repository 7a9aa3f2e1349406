/**
 * What is known of the attachments of this node: a lease each, on disk and here.
 *
 * @module
 */
import { type Ipv4, parseIpv4 } from "../../proto/addr.ts";
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { decodeBandwidth, encodeBandwidth } from "../core/datapath/bandwidth-text.ts";
import { hostLinkName } from "../core/datapath/link-name.ts";
import { type Kernel, type PodLink } from "../core/kernel.ts";
import { type AddCall } from "../rpc/request.ts";
import { type LeaseRow, type StoreChange } from "../store/schema.ts";
import { type Locks } from "./locks.ts";
import { type Log } from "./log.ts";
import { type Granted, type Loop } from "./loop.ts";

/** A DEL that the plugin kept on disk is older than any ADD that arrives. */
export type PendingDels = {
  readonly has: (attachment: Attachment) => boolean;
  /** Fails where its file cannot be removed: it would be carried out later, on what was made since. */
  readonly forget: (attachment: Attachment) => Result<void>;
};

export type PodsOptions = {
  readonly loop: Loop;
  readonly kernel: Kernel;
  /** Is it the path of a pod's network namespace? Asked before an address is: a wrong path must not cost an ENI. */
  readonly checkNetns: (path: string) => Result<void>;
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  readonly pendingDels: PendingDels;
  readonly nowMs: () => number;
  readonly log: Log;
  /** Bytes; of both ends of the pod's link. */
  readonly mtu: number;
  /** False: pods' addresses are of a block of the node, and `slot` of a lease is no ENI's. */
  readonly onEnis: boolean;
  /** The longest that an ADD waits for an address, whatever the caller would. */
  readonly addTimeoutMs: number;
  /** Leases of a former run, of this boot. */
  readonly leases: readonly LeaseRow[];
};

/** A lease, and when the ADD that made or repeated it arrived: GC leaves alone what is younger than its call. */
export type Held = { readonly lease: LeaseRow; readonly sinceMs: number };

/** What ADD, DEL, CHECK and GC share. `held` is keyed by `attachmentKey`. */
export type Pods = PodsOptions & { readonly held: Map<string, Held>; readonly locks: Locks };

export function newLease(call: AddCall, granted: Granted, former: LeaseRow | undefined): LeaseRow {
  const bandwidth = encodeBandwidth(call.bandwidth);
  const limits = bandwidth !== undefined && { bandwidth };
  // A repeated ADD of a pod that is attached keeps its lease as it is; its limits may be others now.
  if (former?.state === "done" && former.address === granted.address) {
    const { bandwidth: _, ...lease } = former;
    return { ...lease, ...limits };
  }
  return {
    ...call.attachment,
    address: granted.address,
    slot: granted.slot,
    state: "pending",
    hostName: hostLinkName(call.attachment),
    netns: call.netns,
    pod: podName(call.args),
    hostMac: "",
    podMac: "",
    ...limits,
  };
}

export function attachmentOf(lease: LeaseRow): Attachment {
  return { network: lease.network, containerId: lease.containerId, ifName: lease.ifName };
}

/** "namespace/name" of the pod, empty where the runtime does not say. */
export function podName(args: Readonly<Record<string, string>>): string {
  const name = args["K8S_POD_NAME"];
  return name === undefined ? "" : `${args["K8S_POD_NAMESPACE"] ?? ""}/${name}`;
}

export function podLink(lease: LeaseRow, { mtu, onEnis }: Pick<PodsOptions, "mtu" | "onEnis">): PodLink {
  const { hostName, netns, ifName, slot } = lease;
  const addresses = { v4: addressOfLease(lease) };
  const bandwidth = lease.bandwidth === undefined ? undefined : decodeBandwidth(lease.bandwidth);
  return {
    hostName,
    netns,
    ifName,
    addresses,
    ...(onEnis && { slot }),
    mtu,
    datapath: "veth",
    ...(bandwidth && { bandwidth }),
  };
}

/** The store keeps text that this agent wrote; anything else in it is damage. */
export function addressOfLease(lease: LeaseRow): Ipv4 {
  const address = parseIpv4(lease.address);
  if (address === undefined) throw new Error(`the store holds a lease with the address ${lease.address}`);
  return address;
}

/** Kernel first, then the pool: an address must not be given to another pod while packets still reach this one. */
export async function remove(pods: Pods, lease: LeaseRow): Promise<Result<void>> {
  const { kernel, log, nowMs } = pods;
  const startedMs = nowMs();
  const removed = await kernel.detachPod(podLink(lease, pods));
  const about = { attachment: attachmentKey(attachmentOf(lease)), pod: lease.pod, address: lease.address };
  if (!removed.ok) {
    log.warn({ ...about, fault: removed.fault }, "the pod's interface could not be removed");
    return removed;
  }
  const released = release(pods, lease);
  log.info({ ...about, tookMs: roundMs(nowMs() - startedMs) }, "pod detached");
  return released;
}

/** Address and lease, in one transaction; the interface has to be gone. */
export function release(pods: Pods, lease: LeaseRow): Result<void> {
  const attachment = attachmentOf(lease);
  const outcome = pods.loop.dispatch({ kind: "released", attachment }, [
    { kind: "delete-lease", ...attachment },
  ]);
  if (outcome.ok) pods.held.delete(attachmentKey(attachment));
  return outcome;
}

/** Whose interfaces the kernel has now: keys of `held`. */
export async function linkedPods(pods: Pods): Promise<Result<ReadonlySet<string>>> {
  const traces = await pods.kernel.podTraces();
  if (!traces.ok) return failed(traces.fault);
  const links = new Set(traces.value.map(({ hostName, address }) => `${hostName} ${address}`));
  const linked = [...pods.held].filter(([, { lease }]) => links.has(`${lease.hostName} ${lease.address}`));
  return ok(new Set(linked.map(([key]) => key)));
}

/** To a tenth of a millisecond. */
export function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10;
}
