/**
 * The node's kernel in memory, behind the port that the agent knows it by: namespaces, pods' links and routes, devices of
 * ENIs and their tables. Each change is an effect of its own, so that the agent can die between two of them. It outlives
 * the agent; a reboot empties it.
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type EniLink, type Kernel, type PodLink, type PodTrace } from "../../daemon/core/kernel.ts";
import { type ServingBase } from "../../daemon/agent/serving.ts";
import { type Life } from "./life.ts";
import { type Scheduler } from "./scheduler.ts";

export type ModelLink = {
  readonly hostName: string;
  readonly netns: string;
  readonly ifName: string;
  readonly addresses: readonly IpAddress[];
  readonly slot: number | undefined;
  /** Routes, neighbours and elements are there: packets pass. */
  routed: boolean;
};

export type KernelModel = {
  /** By name of the host's end. */
  readonly links: Map<string, ModelLink>;
  /** ENIs with table, rule and gateway, by slot. */
  readonly slots: Map<number, Mac>;
  /** Devices of ENIs: index by MAC. */
  readonly devices: Map<Mac, number>;
  /** Paths that lead to a namespace. */
  readonly namespaces: Set<string>;
  /** Calls of this kind that fail from now on, once each. */
  readonly failing: { count: number };
  readonly plug: (mac: Mac) => void;
  readonly unplug: (mac: Mac) => void;
  /** The namespace goes with all interfaces in it. */
  readonly endNamespace: (path: string) => void;
  /** All that the agent made is gone; the devices are there again. */
  readonly reboot: () => void;
  readonly portFor: (life: Life) => ServingBase["kernel"];
  readonly checkNetns: (path: string) => Result<void>;
};

/** Told of a pod's routes when they have come. */
export type KernelWatch = { readonly onRouted: (link: ModelLink) => void };

const BROKEN: Fault = { kind: "kernel", op: "ip link add", errno: "ENOMEM" };
/** Of one change, in milliseconds. */
const STEP_MS = [0.1, 2] as const;
/** From the device to the answer of its gateway. */
const GATEWAY_MS = [2, 60] as const;

const MACS = { hostMac: macOf("02:00:00:00:00:01"), podMac: macOf("02:00:00:00:00:02") };
const GATEWAYS = { v4: v4Of("169.254.1.1"), v6: v6Of("fe80::1") };

type Machine = Omit<KernelModel, "portFor"> & {
  readonly scheduler: Scheduler;
  readonly watch: KernelWatch;
  readonly arrivals: Set<() => void>;
};

export function openKernelModel(scheduler: Scheduler, watch: KernelWatch): KernelModel {
  let indexes = 2;
  const links: KernelModel["links"] = new Map();
  const slots: KernelModel["slots"] = new Map();
  const devices: KernelModel["devices"] = new Map();
  const namespaces = new Set<string>();
  const arrivals = new Set<() => void>();
  const plug = (mac: Mac): void => {
    devices.set(mac, (indexes += 1));
    for (const look of arrivals) look();
  };
  const machine: Machine = {
    scheduler,
    watch,
    arrivals,
    links,
    slots,
    devices,
    namespaces,
    failing: { count: 0 },
    plug,
    unplug(mac) {
      devices.delete(mac);
      // Its table's routes go with the device.
      for (const [slot, at] of slots) if (at === mac) slots.delete(slot);
    },
    endNamespace(path) {
      namespaces.delete(path);
      for (const link of links.values()) if (link.netns === path) removeLink(machine, link);
    },
    reboot() {
      const macs = [...devices.keys()];
      for (const link of links.values()) removeLink(machine, link);
      namespaces.clear();
      slots.clear();
      devices.clear();
      for (const mac of macs) plug(mac);
    },
    checkNetns: (path) =>
      namespaces.has(path) ? ok(undefined) : failed({ kind: "bad-netns", path, reason: "it does not exist" }),
  };
  return { ...machine, portFor: (life) => portFor(machine, life) };
}

function removeLink({ links }: Machine, link: ModelLink): void {
  link.routed = false;
  links.delete(link.hostName);
}

function portFor(machine: Machine, life: Life): ServingBase["kernel"] {
  const { scheduler, links, slots, devices } = machine;
  /** One effect after a time that is drawn; never comes back where the agent has died meanwhile. */
  const effect = <Value>(act: () => Value, [minMs, maxMs]: readonly [number, number] = STEP_MS) =>
    new Promise<Value>((resolve) => {
      scheduler.after(minMs + scheduler.random.unit() * (maxMs - minMs), () => {
        if (life.spend()) resolve(act());
      });
    });
  const done = (): Result<void> => (fails(machine) ? failed(BROKEN) : ok(undefined));
  return {
    prepareHost: () => effect(done),
    prepareEni: () => effect(done),
    giveBackMemory: () => effect(() => undefined),
    // Nobody tells the agent what others change: it has to find it by looking.
    watchDrift: () => effect(() => ok({ [Symbol.asyncDispose]: () => Promise.resolve() })),
    mtuOf: () => effect(() => (fails(machine) ? failed(BROKEN) : ok(1500))),
    cleanHost: () => effect(done),
    awaitEni: (mac, signal) => life.during(arrival(machine, mac, signal)),
    configureEni: ({ slot, mac }) =>
      effect(() => {
        if (fails(machine)) return failed(BROKEN);
        if (!devices.has(mac)) return failed({ kind: "kernel", op: "ip link set up", errno: "ENODEV" });
        slots.set(slot, mac);
        return ok(undefined);
      }, GATEWAY_MS),
    forgetEni: (slot) =>
      effect(() => {
        if (fails(machine)) return failed(BROKEN);
        slots.delete(slot);
        return ok(undefined);
      }),
    async attachPod(pod) {
      const made = await effect(() => makeLink(machine, pod));
      if (!made.ok) return made;
      return effect(() => {
        const link = links.get(pod.hostName);
        if (link === undefined || fails(machine)) {
          if (link !== undefined && made.value === "new") removeLink(machine, link);
          return failed(BROKEN);
        }
        if (!link.routed) {
          link.routed = true;
          machine.watch.onRouted(link);
        }
        const { v4, v6 } = pod.addresses;
        const gateways = { ...(v4 && { v4: GATEWAYS.v4 }), ...(v6 && { v6: GATEWAYS.v6 }) };
        return ok({ ...MACS, gateways });
      });
    },
    async detachPod({ hostName }) {
      const unrouted = await effect(() => {
        if (fails(machine)) return failed(BROKEN);
        const link = links.get(hostName);
        if (link !== undefined) link.routed = false;
        return ok(undefined);
      });
      if (!unrouted.ok) return unrouted;
      return effect(() => ok(void links.delete(hostName)));
    },
    checkPod: (pod) => effect(() => (fails(machine) ? failed(BROKEN) : ok(podDifferences(machine, pod)))),
    checkNode: (enis) => effect(() => (fails(machine) ? failed(BROKEN) : ok(nodeDifferences(machine, enis)))),
    podTraces: () => effect(() => (fails(machine) ? failed(BROKEN) : ok(traces(machine)))),
  };
}

/** True once for each failure that was ordered. */
function fails({ failing }: Machine): boolean {
  if (failing.count === 0) return false;
  failing.count -= 1;
  return true;
}

type Arrival = Awaited<ReturnType<Kernel["awaitEni"]>>;

function arrival({ devices, arrivals, scheduler }: Machine, mac: Mac, signal: AbortSignal): Promise<Arrival> {
  return new Promise((resolve) => {
    const startedMs = scheduler.nowMs();
    const look = (): void => {
      const ifIndex = devices.get(mac);
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

function makeLink(machine: Machine, pod: PodLink): Result<"new" | "there"> {
  const { links } = machine;
  const { hostName, netns, ifName, slot } = pod;
  if (fails(machine)) return failed(BROKEN);
  const there = machine.checkNetns(netns);
  if (!there.ok) return there;
  const addresses = addressesOf(pod);
  const former = links.get(hostName);
  const isSame = former?.netns === netns && former.addresses.join() === addresses.join();
  if (former !== undefined && isSame) return ok("there");
  for (const link of links.values())
    if (link.netns === netns && link.ifName === ifName && link.hostName !== hostName)
      return failed({ kind: "interface-exists", ifName, netns });
  if (former !== undefined) removeLink(machine, former);
  links.set(hostName, { hostName, netns, ifName, addresses, slot, routed: false });
  return ok("new");
}

function addressesOf({ addresses: { v4, v6 } }: PodLink): readonly IpAddress[] {
  return [v4, v6].filter((address) => address !== undefined);
}

function podDifferences({ links, namespaces }: Machine, pod: PodLink): readonly string[] {
  const link = links.get(pod.hostName);
  if (!namespaces.has(pod.netns)) return [`network namespace ${pod.netns} is gone`];
  if (link === undefined) return [`link ${pod.hostName} is missing`];
  const addresses = addressesOf(pod).join();
  const other = link.addresses.join() === addresses ? [] : [`${link.addresses.join()}, not ${addresses}`];
  return [...other, ...(link.routed ? [] : [`route ${addresses} dev ${pod.hostName} is missing`])];
}

function nodeDifferences({ slots, devices }: Machine, enis: readonly EniLink[]): readonly string[] {
  return enis.flatMap(({ slot, mac }) => {
    if (!devices.has(mac)) return [`device ${mac} is missing`];
    return slots.get(slot) === mac ? [] : [`rule of slot ${slot} is missing`];
  });
}

function traces({ links }: Machine): readonly PodTrace[] {
  return [...links.values()]
    .filter(({ routed }) => routed)
    .flatMap(({ hostName, addresses }) => addresses.map((address) => ({ hostName, address })));
}

function macOf(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
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
