/**
 * The promises of the architecture, as they can be seen from outside after each event. What breaks one is written down
 * once, with the time.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type EniId } from "../../proto/ids.ts";
import { type Mac } from "../../proto/addr.ts";
import { INTENT_TAG } from "../../daemon/core/eni-tags.ts";
import { type Model } from "../../sim/model/model.ts";
import { listParameter } from "../../sim/model/parameters.ts";
import { type FabricChange } from "../../sim/model/fabric.ts";
import { type AddResult } from "../../daemon/rpc/server.ts";
import { unknownAttachment } from "../../daemon/core/rebuild/rebuild.ts";
import { type LeaseRow } from "../../daemon/store/schema.ts";
import { type SentCall } from "./cloud-caller.ts";
import { type KernelModel, type KernelWatch } from "./kernel-model.ts";
import { type ModelLink } from "./kernel-tables.ts";
import { type Node } from "./node.ts";
import { type CallWatch, type Sandbox } from "./runtime.ts";
import { type Scheduler } from "./scheduler.ts";
import { type StoreModel } from "./store-model.ts";

export type Offence = { readonly atMs: number; readonly text: string };

export type Promises = {
  readonly offences: readonly Offence[];
  readonly add: (text: string) => void;
  readonly kernelWatch: KernelWatch;
  readonly callWatch: CallWatch;
  /** A call of the agent leaves for the cloud. */
  readonly onCall: (call: SentCall) => void;
  /** A DEL of the spool was carried out. */
  readonly onDelKept: (attachment: Attachment) => void;
  /** One intent makes one ENI, however often its call is repeated. Looks where an ENI was asked for since the last time. */
  readonly checkIntents: (model: Model, nowMs: number) => void;
  /** What the data plane was told: who has which address. */
  readonly onFabric: (changes: readonly FabricChange[]) => void;
  /** After each event. */
  readonly check: () => void;
  /** The agent starts, perhaps with another configuration: a shorter cooldown holds for what was released before, too. */
  readonly onStart: (cooldownMs: number) => void;
  /** A lease was deleted: its addresses are released. */
  readonly onReleased: (lease: LeaseRow) => void;
  /** Addresses that an operator took away: whoever is given one before the agent has noticed is damaged. */
  readonly taken: Map<string, "going" | "gone">;
  /** ENIs that are in the node, and by which MAC. */
  readonly macs: ReadonlyMap<EniId, Mac>;
  /** How often each refusal was given. */
  readonly refusals: ReadonlyMap<string, number>;
};

/** Filled in once all parts are open. */
export type Late = {
  readonly scheduler: Scheduler;
  node?: Node;
  kernel?: KernelModel;
  store?: StoreModel;
  sandboxes?: ReadonlySet<Sandbox>;
};

type Released = {
  readonly hostName: string;
  readonly atMs: number;
  /** Nobody may have it before. */
  readonly untilMs: number;
};

/** An ENI that was asked for is there after this time, if it comes at all. */
const CREATION_MS = 30_000;

export function openPromises(late: Late): Promises {
  const offences: Offence[] = [];
  const refusals = new Map<string, number>();
  let createdMs = Number.NEGATIVE_INFINITY;
  const released = new Map<string, Released>();
  const taken: Promises["taken"] = new Map();
  const macs = new Map<EniId, Mac>();
  const allowed = new Map<EniId, Set<string>>();
  const add = (text: string): void => {
    offences.push({ atMs: late.scheduler.nowMs(), text });
  };
  /** Links over which packets pass now. */
  const routed = (): readonly ModelLink[] => late.kernel?.passing() ?? [];

  const checkCooldown = (address: string, { atMs, untilMs }: Released): void => {
    const nowMs = late.scheduler.nowMs();
    if (nowMs < untilMs)
      add(
        `promise 4: ${address} is used again ${Math.round(nowMs - atMs)} ms after its release, not after ${Math.round(untilMs - atMs)}`,
      );
  };

  const kernelWatch: KernelWatch = {
    onRouted(link) {
      for (const address of link.addresses) {
        for (const other of routed())
          if (other.hostName !== link.hostName && other.addresses.includes(address))
            add(`promise 1: ${address} is routed to ${other.hostName} and to ${link.hostName}`);
        const last = released.get(address);
        if (last !== undefined && last.hostName !== link.hostName) checkCooldown(address, last);
        released.delete(address);
      }
    },
  };

  const callWatch: CallWatch = {
    onAdded(sandbox, result) {
      const key = attachmentKey(sandbox.attachment);
      const lease = late.store?.rows().leases.get(key);
      const told = addressesOf(result);
      const address = told.join();
      const isLeased =
        lease?.state === "done" && told.every((ip) => ip === lease.address || ip === lease.address6);
      if (!isLeased)
        add(
          `promise 1: ADD of ${key} is answered with ${address}, the store has ${lease?.state} ${lease?.address} ${lease?.address6}`,
        );
      const link = late.kernel?.tables.links.get(sandbox.hostName);
      const isGone = late.kernel?.tables.namespaces.has(sandbox.netns) !== true;
      const isPassing = link !== undefined && late.kernel?.isPassing(link) === true;
      if (!isGone && !sandbox.tampered && (!isPassing || link.addresses.join() !== address))
        add(`promise 1: ADD of ${key} is answered with ${address}, the kernel has ${link?.addresses.join()}`);
      const kept = [lease?.address ?? "", lease?.address6 ?? ""];
      if (kept.some((ip) => taken.has(ip))) sandbox.damaged = true;
      const former = sandbox.result === undefined ? address : addressesOf(sandbox.result).join();
      if (former !== address && !sandbox.damaged && !sandbox.mayBeUnknown)
        add(`promise 1: ${key} had ${former} and is told ${address}`);
    },
    onDeleted(sandbox) {
      const key = attachmentKey(sandbox.attachment);
      if (sandbox.adding > 0) return;
      const unknown = attachmentKey(unknownAttachment(sandbox.hostName));
      const { leases } = late.store?.rows() ?? {};
      if (leases?.has(key) === true || leases?.has(unknown) === true)
        add(`promise 3: ${key} has a lease after its DEL`);
      // A link that was not whole when the database was lost, or whose ENI was gone, goes with its namespace.
      const isLost = sandbox.damaged && sandbox.wasRebuilt;
      if (!isLost && (late.kernel?.tables.links.get(sandbox.hostName)?.addresses.length ?? 0) > 0)
        add(`promise 3: ${key} has a link after its DEL`);
    },
    onRefused(command, fault) {
      const name = `${command} ${fault.kind}`;
      refusals.set(name, (refusals.get(name) ?? 0) + 1);
      if (fault.kind === "internal") add(`promise 8: ${command} fails by a bug: ${fault.reason}`);
      if (command.startsWith("DEL of an unknown")) add(`promise 3: ${command} fails: ${fault.kind}`);
    },
    onLate(command, sandbox) {
      add(
        `promise 8: ${command} of ${attachmentKey(sandbox.attachment)} is not answered within its deadline`,
      );
    },
    onCheckFailed(sandbox, fault) {
      if (sandbox.damaged || sandbox.tampered || fault.kind !== "check-failed") return;
      add(`promise 7: CHECK of ${fault.attachment}, which nobody touched: ${fault.differences.join("; ")}`);
    },
  };

  return {
    offences,
    add,
    kernelWatch,
    callWatch,
    macs,
    taken,
    refusals,
    onDelKept(attachment) {
      const key = attachmentKey(attachment);
      if (late.store?.rows().leases.has(key) === true)
        add(`promise 3: ${key} has a lease after its kept DEL`);
    },
    checkIntents(model, nowMs) {
      if (late.scheduler.nowMs() > createdMs + CREATION_MS) return;
      const intents = new Set<string>();
      for (const { id, tags } of model.state(nowMs).enis) {
        const intent = tags.find(({ key }) => key === INTENT_TAG)?.value;
        if (intent === undefined) continue;
        if (intents.has(intent))
          add(`promise 2: leak: ${id} was made by an intent that has made another one`);
        intents.add(intent);
      }
    },
    onCall({ action, parameters }) {
      if (action === "CreateNetworkInterface") createdMs = late.scheduler.nowMs();
      const { NetworkInterfaceId: eni } = parameters;
      const isUnassign = action === "UnassignPrivateIpAddresses" || action === "UnassignIpv6Addresses";
      if (eni === undefined || !(isUnassign || /^(Detach|Delete)Network/.test(action))) return;
      const id = [...allowed.keys()].find((known) => known === eni);
      const addresses = isUnassign
        ? [...listParameter(parameters, "PrivateIpAddress"), ...listParameter(parameters, "Ipv6Address")]
        : [...((id === undefined ? undefined : allowed.get(id)) ?? [])];
      for (const link of routed())
        for (const address of link.addresses)
          if (addresses.includes(address))
            add(`promise 5: ${action} of ${eni} while ${link.hostName} uses ${address}`);
    },
    onFabric(changes) {
      for (const change of changes) {
        // The data plane lags: it may be told only now that the address was there before.
        if (change.op === "allow" && taken.get(change.address) === "gone") taken.delete(change.address);
        if (change.op === "revoke" && taken.has(change.address)) taken.set(change.address, "gone");
        applyFabric(change, { macs, allowed }, late);
      }
    },
    check() {
      const pool = late.node?.pool();
      if (pool === undefined) return;
      // What nobody wrote down yet, and what the pool did not hear of, is a matter of the same event.
      for (const [key, lease] of late.store?.rows().leases ?? []) {
        const eni = pool.enis.get(lease.slot);
        const state =
          [...(eni?.addresses ?? [])].find(([address]) => address === lease.address)?.[1] ??
          [...pool.unplaced].find(([address]) => address === lease.address)?.[1].state;
        if (state?.kind === "used" && attachmentKey(state.attachment) === key) continue;
        add(
          `promise 1: ${key} has the lease of ${lease.address}, which is ${state?.kind ?? "unknown"} to the pool`,
        );
      }
    },
    onStart(cooldownMs) {
      const latestMs = late.scheduler.nowMs() + cooldownMs;
      for (const [ip, last] of released)
        released.set(ip, { ...last, untilMs: Math.min(last.untilMs, latestMs) });
    },
    onReleased({ address, address6, hostName }) {
      const atMs = late.scheduler.nowMs();
      const untilMs = atMs + (late.node?.config().cooldownS ?? 0) * 1000;
      for (const ip of [address, address6]) if (ip !== "") released.set(ip, { hostName, atMs, untilMs });
    },
  };
}

function addressesOf({ ips }: AddResult): readonly string[] {
  return ips.map(({ address }) => address.replace(/\/\d+$/, ""));
}

function applyFabric(
  change: FabricChange,
  { macs, allowed }: { readonly macs: Map<EniId, Mac>; readonly allowed: Map<EniId, Set<string>> },
  { kernel }: Late,
): void {
  switch (change.op) {
    case "plug":
      macs.set(change.eni, change.mac);
      allowed.set(change.eni, allowed.get(change.eni) ?? new Set());
      kernel?.plug(change.mac);
      return;
    case "unplug": {
      const mac = macs.get(change.eni);
      macs.delete(change.eni);
      allowed.delete(change.eni);
      if (mac !== undefined) kernel?.unplug(mac);
      return;
    }
    case "allow":
      allowed.get(change.eni)?.add(change.address);
      return;
    case "revoke":
      allowed.get(change.eni)?.delete(change.address);
      return;
    case "check-source":
      return;
    default:
      change satisfies never;
  }
}
