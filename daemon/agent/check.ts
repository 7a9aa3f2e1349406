/**
 * CHECK of a pod, and the same look at all pods for STATUS. Nothing is changed by a look.
 *
 * @module
 */
import { parseMac } from "../../proto/addr.ts";
import { attachmentKey } from "../../proto/attachment.ts";
import { describeFault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { poolDifferences } from "../core/check/lease.ts";
import { resultDifferences } from "../core/check/prev-result.ts";
import { isUnknown } from "../core/rebuild/rebuild.ts";
import { type CheckCall } from "../rpc/request.ts";
import { type LeaseRow } from "../store/schema.ts";
import { attachmentOf, heldBy, keptByLease, podIps, podLink, type Pods } from "./leases.ts";
import { sleep, SYSTEM_TIMERS } from "./timers.ts";

/** CHECK may come right after ADD: what differs is looked at once more after this time. */
const CONVERGENCE_MS = 100;

/** How long a repair waits for another call for the pod. */
const MEND_WAIT_MS = 1000;

/** The lock of the attachment is held. */
export async function check(pods: Pods, call: CheckCall): Promise<Result<void>> {
  const attachment = attachmentKey(call.attachment);
  const lease = heldBy(pods, call.attachment);
  const refuse = (differences: readonly string[]): Result<void> =>
    failed({ kind: "check-failed", attachment, differences });
  if (lease === undefined) return refuse(["the agent has no lease"]);
  if (lease.state !== "done") return refuse(["its ADD has not come to an end"]);
  // Of an attachment that was unknown the call says where it is; the kernel is asked whether that is so.
  const { ifName } = call.attachment;
  const inside = {
    ifName,
    netns: isUnknown(attachmentOf(lease)) ? call.netns : lease.netns,
  };
  const known = [
    ...(inside.netns === call.netns ? [] : [`it was made in ${inside.netns}, not in ${call.netns}`]),
    ...resultDifferences(call.prevResult, { ...lease, ...inside, addresses: podIps(lease) }),
  ];
  const mtu = await pods.mtuOf(lease.slot);
  // While its ENI comes up, nobody can tell.
  const bound = { ...inside, ...(mtu.ok && { mtuMax: mtu.value }) };
  let found = await look(pods, lease, bound);
  if (found.ok && found.value.length > 0) {
    await sleep(pods.timers ?? SYSTEM_TIMERS, CONVERGENCE_MS);
    found = await look(pods, lease, bound);
  }
  if (!found.ok) return found;
  const differences = [...known, ...found.value];
  if (differences.length === 0) return ok(undefined);
  pods.log.warn({ attachment, pod: lease.pod, differences }, "CHECK found differences");
  return refuse(differences);
}

type Looked = Pick<LeaseRow, "ifName" | "netns"> & { readonly mtuMax?: number };

/**
 * Pool and kernel, beside the lease. `ifName`, `netns`: where the pod's end is. Without `mtuMax`, in bytes, larger packets than
 * the ENI's are no difference.
 */
async function look(
  pods: Pods,
  lease: LeaseRow,
  { ifName, netns, mtuMax }: Looked = lease,
): Promise<Result<readonly string[]>> {
  const link = { ...podLink(lease, pods), ifName, netns };
  const bound = mtuMax === undefined ? {} : { mtuMax };
  const { slot } = lease;
  const fromPool = keptByLease(lease).flatMap((address) =>
    poolDifferences(pods.loop.pool(), attachmentOf(lease), { address, slot }),
  );
  const [hostMac, podMac] = [parseMac(lease.hostMac), parseMac(lease.podMac)];
  if (hostMac === undefined || podMac === undefined)
    return ok([...fromPool, "the lease does not say which MACs its interface has"]);
  const inKernel = await pods.kernel.checkPod({ ...link, hostMac, podMac, ...bound });
  return inKernel.ok ? ok([...fromPool, ...inKernel.value]) : inKernel;
}

/** One line for each thing that a running pod lacks in the kernel. Pods whose namespace is gone wait for their DEL. */
export async function checkAll(pods: Pods): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const lease of await running(pods)) {
    const found = await look(pods, lease);
    const differences = found.ok ? found.value : [describeFault(found.fault)];
    lines.push(...differences.map((difference) => `${lease.pod || lease.containerId}: ${difference}`));
  }
  return lines;
}

/** Makes again what hangs on the interfaces of running pods: routes, neighbours, nftables elements. */
export async function mendAll(pods: Pods): Promise<void> {
  for (const lease of await running(pods)) await mend(pods, lease);
}

/** The same for those that were seen to have changed. */
export async function mendSuspects(pods: Pods, isSuspect: (lease: LeaseRow) => boolean): Promise<void> {
  for (const lease of (await running(pods)).filter(isSuspect)) await mend(pods, lease);
}

async function mend(pods: Pods, lease: LeaseRow): Promise<void> {
  const key = attachmentKey(attachmentOf(lease));
  // A CHECK is short. Whoever works on it for long, or has in between, makes it whole or takes it away.
  using lock = await pods.locks.lock(key, MEND_WAIT_MS);
  if (lock === undefined || pods.held.get(key) !== lease) return;
  const found = await look(pods, lease);
  if (!found.ok || found.value.length === 0) return;
  const mtu = await pods.mtuOf(lease.slot);
  const made = mtu.ok ? await pods.kernel.attachPod(podLink(lease, pods, mtu.value)) : mtu;
  const about = { attachment: key, pod: lease.pod, differences: found.value };
  if (made.ok) pods.log.warn(about, "the pod's interface was mended");
  else pods.log.error({ ...about, fault: made.fault }, "the pod's interface could not be mended");
}

/** Leases of pods whose namespace and link are there, whatever the link is called. An ipvlan pod's is in its namespace. */
async function running(pods: Pods): Promise<readonly LeaseRow[]> {
  const traces = await pods.kernel.podTraces();
  if (!traces.ok) return [];
  const linked = new Set(traces.value.map(({ address }) => address));
  return [...pods.held.values()].filter(
    (lease) =>
      lease.state === "done" &&
      (lease.datapath === "ipvlan" || podIps(lease).some((ip) => linked.has(ip))) &&
      pods.checkNetns(lease.netns).ok,
  );
}
