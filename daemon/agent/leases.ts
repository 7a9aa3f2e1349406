/**
 * What is known of the attachments of this node: a lease each, on disk and here.
 *
 * @module
 */
import { parseIpv4 } from "../../proto/addr.ts";
import { type IpAddress, parseIp, parseIpv6 } from "../../proto/addr6.ts";
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { decodeBandwidth, encodeBandwidth } from "../core/datapath/bandwidth-text.ts";
import { slaveName } from "../core/datapath/layout.ts";
import { hostLinkName } from "../core/datapath/link-name.ts";
import { type IpStack } from "../core/ip-stack.ts";
import { type Kernel, type PodAddresses, type PodLink } from "../core/kernel.ts";
import { type Granted } from "../core/pool/model.ts";
import { unknownAttachment } from "../core/rebuild/rebuild.ts";
import { type AddCall } from "../rpc/request.ts";
import { type LeaseRow } from "../store/schema.ts";
import { type Locks } from "./locks.ts";
import { type Log } from "./log.ts";
import { type Loop } from "./loop.ts";
import { type Timers } from "./timers.ts";

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
  readonly pendingDels: PendingDels;
  readonly nowMs: () => number;
  /** Absent: those of the machine. */
  readonly timers?: Timers;
  readonly log: Log;
  /** Bytes; of both ends of a pod's link, for pods on the ENI of the slot. */
  readonly mtuOf: (slot: number) => Promise<Result<number>>;
  /** Of new pods; the others have it in their leases. */
  readonly datapath: PodLink["datapath"];
  /** False: pods' addresses are of a block of the node, and `slot` of a lease is no ENI's. */
  readonly onEnis: boolean;
  /** The longest that an ADD waits for an address, whatever the caller would. */
  readonly addTimeoutMs: number;
  /** Leases of a former run, of this boot. */
  readonly leases: readonly LeaseRow[];
};

/** What ADD, DEL, CHECK and GC share. `held` is keyed by `attachmentKey`; an ADD puts another object in, a repeated one too. */
export type Pods = PodsOptions & { readonly held: Map<string, LeaseRow>; readonly locks: Locks };

/** `stack`: what the pod gets of a pair. */
export function newLease(
  call: AddCall,
  granted: Granted,
  former: LeaseRow | undefined,
  { stack, datapath }: { readonly stack: IpStack; readonly datapath: PodLink["datapath"] },
): LeaseRow {
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
    address6: granted.address6 ?? "",
    stack: granted.address6 === undefined ? "ipv4" : stack,
    slot: granted.slot,
    state: "pending",
    hostName: datapath === "veth" ? hostLinkName(call.attachment) : slaveName(granted.slot),
    netns: call.netns,
    pod: podName(call.args),
    hostMac: "",
    podMac: "",
    ...limits,
    ...(datapath === "ipvlan" && { datapath }),
  };
}

/**
 * The lease of an attachment. One that was rebuilt without the runtime's word is known by the name of its link alone, which
 * follows from the attachment.
 */
export function heldBy({ held }: Pick<Pods, "held">, attachment: Attachment): LeaseRow | undefined {
  return (
    held.get(attachmentKey(attachment)) ??
    held.get(attachmentKey(unknownAttachment(hostLinkName(attachment))))
  );
}

export function attachmentOf(lease: LeaseRow): Attachment {
  return { network: lease.network, containerId: lease.containerId, ifName: lease.ifName };
}

/** "namespace/name" of the pod, empty where the runtime does not say. */
export function podName(args: Readonly<Record<string, string>>): string {
  const name = args["K8S_POD_NAME"];
  return name === undefined ? "" : `${args["K8S_POD_NAMESPACE"] ?? ""}/${name}`;
}

/** `mtu`: bytes; taking a link away needs none. */
export function podLink(lease: LeaseRow, { onEnis }: Pick<PodsOptions, "onEnis">, mtu = 0): PodLink {
  const { hostName, netns, ifName, slot, datapath = "veth" } = lease;
  const addresses = addressesOfLease(lease);
  const bandwidth = lease.bandwidth === undefined ? undefined : decodeBandwidth(lease.bandwidth);
  return {
    hostName,
    netns,
    ifName,
    addresses,
    ...(onEnis && { slot }),
    mtu,
    datapath,
    ...(bandwidth && { bandwidth }),
  };
}

/** What the pod has of what the lease keeps for it. The store keeps text that this agent wrote; else it is damaged. */
export function addressesOfLease({ stack, address, address6 }: LeaseRow): PodAddresses {
  const v4 = parseIpv4(address);
  const v6 = address6 === "" ? undefined : parseIpv6(address6);
  const isWhole = v4 !== undefined && (stack === "ipv4" || v6 !== undefined);
  if (!isWhole) throw new Error(`the store holds a lease with the addresses "${address}", "${address6}"`);
  return { ...(stack !== "ipv6" && { v4 }), ...(stack !== "ipv4" && v6 !== undefined && { v6 }) };
}

/** All that the lease keeps: with "ipv6" the pair's IPv4 address as well, which nobody uses. */
export function keptByLease({ address, address6 }: LeaseRow): readonly IpAddress[] {
  return [address, address6].flatMap((text) => parseIp(text) ?? []);
}

/** The pod's addresses for the log. */
export function loggedAddresses(lease: LeaseRow): { readonly address?: string; readonly address6?: string } {
  const { v4, v6 } = addressesOfLease(lease);
  return { ...(v4 !== undefined && { address: v4 }), ...(v6 !== undefined && { address6: v6 }) };
}

/** The addresses that the pod has. */
export function podIps(lease: LeaseRow): readonly IpAddress[] {
  const { v4, v6 } = addressesOfLease(lease);
  return [v4, v6].filter((ip) => ip !== undefined);
}

/** Kernel first, then the pool: an address must not be given to another pod while packets still reach this one. */
export async function remove(pods: Pods, lease: LeaseRow): Promise<Result<void>> {
  const { kernel, log, nowMs } = pods;
  const startedMs = nowMs();
  const removed = await kernel.detachPod(podLink(lease, pods));
  const about = { attachment: attachmentKey(attachmentOf(lease)), pod: lease.pod, ...loggedAddresses(lease) };
  if (!removed.ok) {
    log.warn({ ...about, fault: removed.fault }, "the pod's interface could not be removed");
    return removed;
  }
  const released = await release(pods, lease);
  if (released.ok) log.info({ ...about, tookMs: roundMs(nowMs() - startedMs) }, "pod detached");
  else
    log.warn(
      { ...about, fault: released.fault },
      "the pod is detached, and its address kept until that is written",
    );
  return released;
}

/** Address and lease, in one transaction; the interface has to be gone. */
export async function release(pods: Pods, lease: LeaseRow): Promise<Result<void>> {
  const attachment = attachmentOf(lease);
  const outcome = await pods.loop.commit([{ kind: "delete-lease", ...attachment }], {
    kind: "released",
    attachment,
  });
  if (outcome.ok) pods.held.delete(attachmentKey(attachment));
  return outcome;
}

/** Whose interfaces the kernel has now: keys of `held`. */
export async function linkedPods(pods: Pods): Promise<Result<ReadonlySet<string>>> {
  const traces = await pods.kernel.podTraces();
  if (!traces.ok) return failed(traces.fault);
  const links = new Set(traces.value.map(({ hostName, address }) => `${hostName} ${address}`));
  const linked = [...pods.held].filter(([, lease]) =>
    podIps(lease).some((ip) => links.has(`${lease.hostName} ${ip}`)),
  );
  return ok(new Set(linked.map(([key]) => key)));
}

/** To a tenth of a millisecond. */
export function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10;
}
