/**
 * Plays operations on the real kernel, in namespaces of its own, with `daemon/netlink/`.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Mac } from "../../proto/addr.ts";
import { addressesOf, eniTable, GROUP, NFT, PRIORITY, TABLE } from "../../daemon/core/datapath/layout.ts";
import { type EniLink, type PodInterfaces, type PodLink, type Suspect } from "../../daemon/core/kernel.ts";
import { openKernel, type OpenKernel } from "../../daemon/netlink/kernel.ts";
import { attempt, type Lab, mac, must, openLab, sh } from "../../daemon/netlink/lab.ts";
import {
  type DrawnDamage,
  type KernelOperation,
  linkOf,
  NAMESPACES,
  nodeWords,
  type Player,
  podWords,
  shapeOf,
  SLOTS,
  surveyWords,
  suspectWords,
  type TableFacts,
  type Told,
  traceWords,
  wordsOf,
} from "./kernel-operations.ts";

/** Links of pods that are gone are deleted at once. */
const AT_ONCE = { gapMs: 0, latestMs: 0, linksMax: 1 };
/** How long something that has to come is awaited. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 5;
/** From the first notification of a change to the last. */
const GATHER_MS = 60;
const NO_MAC = mac("02:00:00:00:00:00");

/** `macs`: of the ENIs' devices, by slot. */
export type RealKernel = AsyncDisposable & { readonly play: Player; readonly macs: readonly Mac[] };

type Machine = {
  readonly lab: Lab;
  readonly kernel: OpenKernel;
  readonly suspects: Suspect[];
  /** Names of namespaces. */
  readonly names: readonly string[];
  /** As they were when their device was there last. */
  readonly enis: EniLink[];
  readonly interfaces: Map<number, PodInterfaces>;
};

export async function openRealKernel(): Promise<RealKernel> {
  await using stack = new AsyncDisposableStack();
  const lab = stack.use(openLab(0, "dual"));
  const kernel = stack.use(
    await openKernel({
      nodeNetns: lab.nodeNetns,
      deletionBounds: AT_ONCE,
      gatewayPatienceMs: PATIENCE_MS,
    }),
  );
  const suspects: Suspect[] = [];
  stack.use(must(await kernel.watchDrift((suspect) => suspects.push(suspect))));
  const names = Array.from({ length: NAMESPACES }, (_, number) => lab.nameOf(lab.newPod(0, number)));
  const enis = SLOTS.map((slot) => lab.eni(slot));
  const machine: Machine = { lab, kernel, suspects, names, enis, interfaces: new Map() };
  const moved = stack.move();
  return {
    macs: enis.map((eni) => eni.mac),
    play: (operation) => play(machine, operation),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

async function play(machine: Machine, operation: KernelOperation): Promise<unknown> {
  const { kernel, lab } = machine;
  switch (operation.kind) {
    case "attach":
    case "detach":
    case "check-pod":
      return ofPod(machine, operation.kind, operation.pod);
    case "new-namespace":
      return attempt(`ip netns add ${nameOf(machine, operation.netns)}`);
    case "end-namespace":
      return endNamespace(machine, operation.netns);
    case "configure":
    case "forget":
    case "prepare-eni":
    case "mtu":
    case "await":
    case "plug":
    case "unplug":
      return ofEni(machine, operation.kind, operation.slot);
    case "traces":
      return wordsOf(await kernel.podTraces(), traceWords);
    case "slots":
      return wordsOf(await kernel.eniSlots(), (slots) => slots);
    case "survey":
      return wordsOf(await kernel.survey(), surveyWords);
    case "check-node":
      return wordsOf(await kernel.checkNode(machine.enis), nodeWords);
    case "prepare-host":
      return wordsOf(await kernel.prepareHost(), () => "done");
    case "clean-host": {
      const cleaned = wordsOf(await kernel.cleanHost(), () => "done");
      await untilDeleted(lab);
      return cleaned;
    }
    case "tables":
      return tablesOf(lab);
    case "damage":
      return inflict(machine, operation.damage);
    default:
      return operation satisfies never;
  }
}

async function ofPod(
  machine: Machine,
  kind: "attach" | "detach" | "check-pod",
  number: number,
): Promise<unknown> {
  const { kernel, interfaces, lab } = machine;
  const pod = podOf(machine, number);
  switch (kind) {
    case "attach": {
      const made = await kernel.attachPod(pod);
      if (made.ok) interfaces.set(number, made.value);
      return wordsOf(made, ({ gateways }) => gateways);
    }
    case "detach": {
      const detached = wordsOf(await kernel.detachPod(pod), () => "done");
      await untilDeleted(lab);
      return detached;
    }
    case "check-pod": {
      const { hostMac, podMac } = interfaces.get(number) ?? { hostMac: NO_MAC, podMac: NO_MAC };
      const found = await kernel.checkPod({ ...pod, hostMac, podMac });
      return wordsOf(found, (lines) => podWords(lines, shapeOf(number)));
    }
    default:
      return kind satisfies never;
  }
}

async function ofEni(
  machine: Machine,
  kind: Extract<KernelOperation, { readonly slot: 0 | 1 }>["kind"],
  slot: 0 | 1,
): Promise<unknown> {
  const { kernel, lab, enis } = machine;
  const eni = eniOf(machine, slot);
  switch (kind) {
    case "configure":
      return wordsOf(await kernel.configureEni(eni), () => "done");
    case "forget":
      return wordsOf(await kernel.forgetEni(slot), () => "done");
    case "prepare-eni":
      return wordsOf(await kernel.prepareEni(slot), () => "done");
    case "mtu":
      return wordsOf(await kernel.mtuOf(eni.ifIndex), () => "known");
    case "await": {
      // For nothing, or for as long as a busy machine needs.
      const isThere = list(`ip -n ${lab.node} -j link show`).some(({ ifname }) => ifname === `eni${slot}`);
      const stop = AbortSignal.timeout(isThere ? PATIENCE_MS : LOOK_MS);
      return wordsOf(await kernel.awaitEni(eni.mac, stop), () => "there");
    }
    case "unplug":
      return attempt(`ip -n ${lab.node} link set eni${slot} netns ${lab.vpc}`);
    case "plug": {
      const isBack = attempt(`ip -n ${lab.vpc} link set eni${slot} netns ${lab.node}`);
      if (isBack) enis[slot] = lab.eni(slot);
      return isBack;
    }
    default:
      return kind satisfies never;
  }
}

function nameOf({ names }: Machine, netns: number): string {
  const name = names[netns];
  if (name === undefined) throw new Error(`there is no namespace ${netns}`);
  return name;
}

function podOf(machine: Machine, number: number): PodLink {
  const shape = shapeOf(number);
  return linkOf(shape, `/run/netns/${nameOf(machine, shape.netns)}`);
}

function eniOf({ enis }: Machine, slot: number): EniLink {
  const eni = enis[slot];
  if (eni === undefined) throw new Error(`there is no ENI ${slot}`);
  return eni;
}

type Listed = { readonly ifname?: string; readonly link_index?: number; readonly ifindex?: number };

function list(command: string): readonly Listed[] {
  const listed: readonly Listed[] = JSON.parse(sh(command) || "[]");
  // iproute2 lists what does not match a filter as an empty object.
  return listed.filter(({ ifname }) => ifname !== undefined);
}

/** False: it did not come to hold within `PATIENCE_MS`. */
async function until(holds: () => boolean): Promise<boolean> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > endMs) return false;
    await delay(LOOK_MS);
  }
  return true;
}

function untilDeleted({ node }: Lab): Promise<boolean> {
  return until(() => list(`ip -n ${node} -j link show group ${GROUP.doomed}`).length === 0);
}

/** The kernel takes its links apart a moment later. */
async function endNamespace(machine: Machine, netns: number): Promise<unknown> {
  const { lab } = machine;
  const name = nameOf(machine, netns);
  if (!attempt(`ip netns exec ${name} true`)) return "was gone";
  const [end] = list(`ip -n ${name} -j link show`).filter(({ ifname }) => ifname === "eth0");
  machine.suspects.length = 0;
  sh(`ip netns del ${name}`);
  if (end === undefined) return { told: [] };
  const isThere = ({ ifindex }: Listed): boolean => ifindex === end.link_index;
  await until(() => !list(`ip -n ${lab.node} -j link show`).some(isThere));
  return told(machine);
}

/** Whom the listener was told of. */
async function told({ suspects }: Machine): Promise<Told> {
  await until(() => suspectWords(suspects).length > 0);
  await delay(GATHER_MS);
  return { told: suspectWords(suspects) };
}

async function inflict(machine: Machine, damage: DrawnDamage): Promise<unknown> {
  const { lab, suspects } = machine;
  const { node } = lab;
  suspects.length = 0;
  switch (damage.kind) {
    case "link":
    case "down": {
      const { hostName } = podOf(machine, damage.pod);
      const isUp = list(`ip -n ${node} -j link show up`).some(({ ifname }) => ifname === hostName);
      if (damage.kind === "down" && !isUp) return "was gone";
      const does = damage.kind === "link" ? `del ${hostName}` : `set ${hostName} down`;
      return attempt(`ip -n ${node} link ${does}`) ? told(machine) : "was gone";
    }
    case "route": {
      const [address = ""] = addressesOf(podOf(machine, damage.pod).addresses);
      const family = address.includes(":") ? "-6" : "-4";
      const isDeleted = attempt(`ip -n ${node} ${family} route del ${address} table ${TABLE.pods}`);
      return isDeleted ? told(machine) : "was gone";
    }
    case "eni-rule": {
      const rule = `rule del pref ${PRIORITY.eni} table ${eniTable(damage.slot)}`;
      const isDeleted = attempt(`ip -n ${node} -4 ${rule}`);
      attempt(`ip -n ${node} -6 ${rule}`);
      return isDeleted ? told(machine) : "was gone";
    }
    case "pods-rule": {
      const isDeleted = attempt(`ip -n ${node} -4 rule del pref ${PRIORITY.pods}`);
      attempt(`ip -n ${node} -6 rule del pref ${PRIORITY.pods}`);
      return isDeleted ? told(machine) : "was gone";
    }
    case "table": {
      const isDeleted = attempt(`ip netns exec ${node} nft delete table ip ${NFT.table}`);
      attempt(`ip netns exec ${node} nft delete table ip6 ${NFT.table}`);
      return isDeleted ? told(machine) : "was gone";
    }
    default:
      return damage satisfies never;
  }
}

function tablesOf({ node }: Lab): TableFacts {
  const rules = sh(`ip -n ${node} -4 rule`);
  const chains = sh(`ip netns exec ${node} nft list chains`);
  const links = list(`ip -n ${node} -j link show group ${GROUP.pods}`);
  return {
    links: links.map(({ ifname = "" }) => ifname).toSorted(),
    podsRule: new RegExp(`^${PRIORITY.pods}:.* lookup ${TABLE.pods}`, "m").test(rules),
    eniRules: SLOTS.filter((slot) =>
      new RegExp(`^${PRIORITY.eni}:.* lookup ${eniTable(slot)}\\b`, "m").test(rules),
    ),
    chains: SLOTS.filter((slot) => chains.includes(`chain eni${slot} {`)),
  };
}
