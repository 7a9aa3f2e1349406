/**
 * The node's kernel in memory, behind the port that the agent knows it by. Each change is an effect of its own, so that the
 * agent can die between two of them. It outlives the agent; a reboot empties it.
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4 } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Kernel, type Suspect } from "../../daemon/core/kernel.ts";
import { type KernelView } from "../../daemon/core/rebuild/rebuild.ts";
import { type ServingBase } from "../../daemon/agent/serving.ts";
import {
  claimLink,
  cleanHost,
  configureEni,
  cutLink,
  emptyTables,
  forgetEni,
  isPassing,
  MACS,
  type ModelLink,
  nodeDifferences,
  podDifferences,
  podTraces,
  prepareEni,
  prepareHost,
  removeLink,
  survey,
  type Tables,
  unplug,
  wireLink,
} from "./kernel-tables.ts";
import { type Life } from "./life.ts";
import { type Scheduler } from "./scheduler.ts";

export type KernelModel = {
  readonly tables: Tables;
  /** Links over which packets pass now. */
  readonly passing: () => readonly ModelLink[];
  readonly isPassing: (link: ModelLink) => boolean;
  /** Calls that fail from now on, once each, and how often failures were ordered. */
  readonly failing: { count: number; ordered: number };
  /** Changes that are more than the listener's socket holds: it hears that something was lost (ENOBUFS). */
  readonly deaf: { count: number };
  readonly plug: (mac: Mac) => void;
  readonly unplug: (mac: Mac) => void;
  /** The namespace goes with all interfaces in it. */
  readonly endNamespace: (path: string) => void;
  /** Somebody else takes something away, and the kernel tells who listens. */
  readonly tamper: (damage: Damage) => void;
  /** All that the agent made is gone; the devices are there again. */
  readonly reboot: () => void;
  readonly portFor: (life: Life) => KernelPort;
  readonly checkNetns: (path: string) => Result<void>;
};

/** What the agent works with, and what a rebuild of its database asks. */
export type KernelPort = ServingBase["kernel"] & { readonly survey: () => Promise<Result<KernelView>> };

export type Damage =
  | { readonly kind: "link" | "down"; readonly hostName: string }
  | { readonly kind: "route"; readonly address: IpAddress }
  | { readonly kind: "eni-rule"; readonly slot: number }
  /** The rule of pods. */
  | { readonly kind: "pods-rule" }
  /** Our table of nftables. */
  | { readonly kind: "table" };

/** Told of a pod's link before packets pass over it. */
export type KernelWatch = { readonly onRouted: (link: Pick<ModelLink, "hostName" | "addresses">) => void };

const BROKEN: Fault = { kind: "kernel", op: "ip link add", errno: "ENOMEM" };
/** Of one change, in milliseconds. */
const STEP_MS = [0.1, 2] as const;
/** From the device to the answer of its gateway. */
const GATEWAY_MS = [2, 60] as const;
/** From a change to its notification: one read of the socket, and what is gathered behind it (`daemon/netlink/watch.ts`). */
const NOTICE_MS = [0.1, 270] as const;

const GATEWAYS = { v4: v4Of("169.254.1.1"), v6: v6Of("fe80::1") };

type Listener = (suspect: Suspect) => void;

type Machine = Omit<KernelModel, "portFor"> & {
  readonly scheduler: Scheduler;
  readonly watch: KernelWatch;
  readonly arrivals: Set<() => void>;
  readonly listeners: Set<Listener>;
  readonly tell: (suspect: Suspect) => void;
};

export function openKernelModel(scheduler: Scheduler, watch: KernelWatch): KernelModel {
  let indexes = 2;
  const tables = emptyTables();
  const { links, devices, namespaces } = tables;
  const arrivals = new Set<() => void>();
  const listeners = new Set<Listener>();
  const deaf = { count: 0 };
  const tell: Listener = (suspect) => {
    const isLost = deaf.count > 0;
    if (isLost) deaf.count -= 1;
    for (const listener of listeners) listener(isLost ? { kind: "all" } : suspect);
  };
  const plug = (mac: Mac): void => {
    devices.set(mac, (indexes += 1));
    for (const look of arrivals) look();
  };
  const isPassingHere = (link: ModelLink): boolean => isPassing(tables, link);
  const machine: Machine = {
    scheduler,
    watch,
    arrivals,
    listeners,
    tell,
    tables,
    passing: () => [...links.values()].filter(isPassingHere),
    isPassing: isPassingHere,
    failing: { count: 0, ordered: 0 },
    deaf,
    plug,
    unplug(mac) {
      const isServing = tables.eniRoutes.values().some((at) => at === mac);
      unplug(tables, mac);
      if (isServing) tell({ kind: "node" });
    },
    endNamespace(path) {
      namespaces.delete(path);
      for (const link of links.values()) if (link.netns === path) loseLink(machine, link);
    },
    tamper: (damage) => inflict(machine, damage),
    reboot() {
      const macs = [...devices.keys()];
      const { count } = tables;
      for (const table of [links, tables.routes, tables.elements, tables.chains, tables.eniRules])
        table.clear();
      for (const table of [tables.eniRoutes, devices, namespaces]) table.clear();
      Object.assign(tables.host, emptyTables().host);
      count.links += 1;
      listeners.clear();
      for (const mac of macs) plug(mac);
    },
    checkNetns: (path) =>
      namespaces.has(path) ? ok(undefined) : failed({ kind: "bad-netns", path, reason: "it does not exist" }),
  };
  return { ...machine, portFor: (life) => portFor(machine, life) };
}

function loseLink({ tables, tell }: Machine, link: ModelLink): void {
  removeLink(tables, link);
  const [address] = link.addresses;
  if (address !== undefined) tell({ kind: "pod", address, link: { hostName: link.hostName, isUp: false } });
}

function inflict(machine: Machine, damage: Damage): void {
  const { tables, tell } = machine;
  switch (damage.kind) {
    case "link": {
      const link = tables.links.get(damage.hostName);
      if (link === undefined) return;
      tables.torn.add(link.index);
      loseLink(machine, link);
      return;
    }
    case "down": {
      const { hostName } = damage;
      const link = tables.links.get(hostName);
      if (link === undefined) return;
      // Its routes go, and do not come back with it.
      for (const [address, index] of tables.routes) if (index === link.index) tables.routes.delete(address);
      tables.links.set(hostName, { ...link, isUp: false, isWired: false });
      const [address] = link.addresses;
      if (address !== undefined) tell({ kind: "pod", address, link: { hostName, isUp: false } });
      return;
    }
    case "route":
      if (tables.routes.delete(damage.address)) tell({ kind: "pod", address: damage.address });
      return;
    case "eni-rule":
      if (tables.eniRules.delete(damage.slot)) tell({ kind: "node" });
      return;
    case "pods-rule":
      if (tables.host.hasRule) tell({ kind: "node" });
      tables.host.hasRule = false;
      return;
    case "table":
      if (tables.host.hasTable) tell({ kind: "all" });
      tables.host.hasTable = false;
      for (const table of [tables.elements, tables.chains]) table.clear();
      return;
    default:
      damage satisfies never;
  }
}

function portFor(machine: Machine, life: Life): KernelPort {
  const { scheduler, tables, listeners } = machine;
  const { devices, links } = tables;
  const prepared = new Set<number>();
  /** One effect after a time that is drawn; never comes back where the agent has died meanwhile. */
  const effect = <Value>(act: () => Value, [minMs, maxMs]: readonly [number, number] = STEP_MS) =>
    new Promise<Value>((resolve) => {
      scheduler.after(minMs + scheduler.random.unit() * (maxMs - minMs), () => {
        if (life.spend()) resolve(act());
      });
    });
  /** The same, unless it was ordered to fail. */
  const step = <Value>(act: () => Result<Value>, takes?: readonly [number, number]) =>
    effect(() => (fails(machine) ? failed(BROKEN) : act()), takes);
  return {
    prepareHost: () => step(() => ok(prepareHost(tables))),
    prepareEni: (slot) => step(() => prepareEni(tables, slot, prepared)),
    giveBackMemory: () => effect(() => undefined),
    watchDrift: (onSuspect) =>
      effect(() => {
        const listener: Listener = (suspect) => {
          const [minMs, maxMs] = NOTICE_MS;
          const inMs = minMs + scheduler.random.unit() * (maxMs - minMs);
          life.timers.after(inMs, () => listeners.has(listener) && onSuspect(suspect));
        };
        listeners.add(listener);
        return ok({
          async [Symbol.asyncDispose]() {
            listeners.delete(listener);
          },
        });
      }),
    mtuOf: (ifIndex) =>
      step(() =>
        devices.values().some((index) => index === ifIndex)
          ? ok(1500)
          : failed({ kind: "kernel", op: "ip link show", errno: "ENODEV" }),
      ),
    cleanHost: () =>
      step(() => {
        prepared.clear();
        return cleanHost(tables);
      }),
    awaitEni: (mac, signal) => life.during(arrival(machine, mac, signal)),
    configureEni: (eni) => step(() => configureEni(tables, eni, prepared), GATEWAY_MS),
    eniSlots: () => step(() => ok([...tables.eniRules].toSorted((a, b) => a - b))),
    forgetEni: (slot) =>
      step(() => {
        prepared.delete(slot);
        return forgetEni(tables, slot);
      }),
    async attachPod(pod) {
      const made = await step(() => claimLink(tables, pod));
      if (!made.ok) return made;
      return effect(() => {
        const former = links.get(pod.hostName);
        if (fails(machine)) {
          if (former !== undefined && made.value.isNew) removeLink(tables, former);
          return failed(BROKEN);
        }
        const { v4, v6 } = pod.addresses;
        if (former === undefined || !machine.isPassing(former))
          machine.watch.onRouted({
            hostName: pod.hostName,
            addresses: [v4, v6].filter((ip) => ip !== undefined),
          });
        const wired = wireLink(tables, pod, made.value);
        if (!wired.ok) return wired;
        const gateways = { ...(v4 && { v4: GATEWAYS.v4 }), ...(v6 && { v6: GATEWAYS.v6 }) };
        return ok({ ...MACS, gateways });
      });
    },
    async detachPod(pod) {
      const cut = await step(() => ok(cutLink(tables, pod)));
      if (!cut.ok) return cut;
      return effect(() => {
        const link = links.get(pod.hostName);
        if (link !== undefined) removeLink(tables, link);
        return ok(undefined);
      });
    },
    checkPod: (pod) => step(() => ok(podDifferences(tables, pod))),
    checkNode: (enis) => step(() => ok(nodeDifferences(tables, enis))),
    podTraces: () => step(() => ok(podTraces(tables))),
    survey: () => step(() => ok(survey(tables))),
  };
}

/** True once for each failure that was ordered. */
function fails({ failing }: Machine): boolean {
  if (failing.count === 0) return false;
  failing.count -= 1;
  return true;
}

type Arrival = Awaited<ReturnType<Kernel["awaitEni"]>>;

function arrival({ tables, arrivals, scheduler }: Machine, mac: Mac, signal: AbortSignal): Promise<Arrival> {
  return new Promise((resolve) => {
    const startedMs = scheduler.nowMs();
    const look = (): void => {
      const ifIndex = tables.devices.get(mac);
      if (ifIndex === undefined && !signal.aborted) return;
      arrivals.delete(look);
      signal.removeEventListener("abort", look);
      const waitedMs = Math.round(scheduler.nowMs() - startedMs);
      const outcome: Arrival =
        ifIndex === undefined
          ? failed({ kind: "deadline", what: `the device ${mac}`, waitedMs })
          : ok({ ifIndex, name: `eth${ifIndex}` });
      scheduler.after(scheduler.random.unit(), () => resolve(outcome));
    };
    arrivals.add(look);
    signal.addEventListener("abort", look);
    look();
  });
}

function v4Of(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function v6Of(text: string): Ipv6 {
  const parsed = parseIpv6(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}
