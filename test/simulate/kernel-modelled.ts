/**
 * Plays operations on the kernel model, in virtual time, with the answers in the words of `kernel-operations.ts`.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { addressesOf } from "../../daemon/core/datapath/layout.ts";
import { type EniLink, type PodLink, type Suspect } from "../../daemon/core/kernel.ts";
import { ip } from "../../daemon/netlink/lab.ts";
import { type KernelModel, type KernelPort, openKernelModel } from "./kernel-model.ts";
import {
  type DrawnDamage,
  type KernelOperation,
  linkOf,
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
import { MACS } from "./kernel-tables.ts";
import { beginLife } from "./life.ts";
import { openScheduler, type Scheduler } from "./scheduler.ts";

/** Longer than any answer and any notification takes. */
const ANSWER_MS = 500;

type Machine = {
  readonly scheduler: Scheduler;
  readonly model: KernelModel;
  readonly port: KernelPort;
  readonly suspects: Suspect[];
  readonly macs: readonly Mac[];
  /** Of each ENI's device, when it was there last. */
  readonly indexes: number[];
};

/** `macs`: of the ENIs' devices, by slot. `change`: puts a wrong answer in. */
export async function openModelled(
  macs: readonly Mac[],
  change: (port: KernelPort, model: KernelModel) => KernelPort = (port) => port,
): Promise<Player> {
  const scheduler = openScheduler(1);
  const model = openKernelModel(scheduler, { onRouted: () => undefined });
  const life = beginLife(1, scheduler, () => undefined);
  const suspects: Suspect[] = [];
  const port = change(model.portFor(life), model);
  for (const mac of macs) model.plug(mac);
  const indexes = macs.map((mac) => model.tables.devices.get(mac) ?? 0);
  const machine: Machine = { scheduler, model, port, suspects, macs, indexes };
  for (let netns = 0; netns < 5; netns++) model.tables.namespaces.add(String(netns));
  await during(
    machine,
    port.watchDrift((suspect) => suspects.push(suspect)),
  );
  return (operation) => play(machine, operation);
}

/** Lets time pass until the answer is there, and what was caused by it. */
async function during<Value>({ scheduler }: Machine, answer: Promise<Value>): Promise<Value> {
  await scheduler.run(ANSWER_MS, () => undefined);
  return answer;
}

async function play(machine: Machine, operation: KernelOperation): Promise<unknown> {
  const { model, port } = machine;
  const { namespaces } = model.tables;
  machine.suspects.length = 0;
  switch (operation.kind) {
    case "attach":
    case "detach":
    case "check-pod":
      return ofPod(machine, operation.kind, operation.pod);
    case "new-namespace": {
      const netns = String(operation.netns);
      if (namespaces.has(netns)) return false;
      namespaces.add(netns);
      return true;
    }
    case "end-namespace": {
      const netns = String(operation.netns);
      if (!namespaces.has(netns)) return "was gone";
      model.endNamespace(netns);
      return told(machine);
    }
    case "configure":
    case "forget":
    case "prepare-eni":
    case "mtu":
    case "await":
    case "plug":
    case "unplug":
      return ofEni(machine, operation.kind, operation.slot);
    case "traces":
      return wordsOf(await during(machine, port.podTraces()), traceWords);
    case "slots":
      return wordsOf(await during(machine, port.eniSlots()), (slots) => slots);
    case "survey":
      return wordsOf(await during(machine, port.survey()), surveyWords);
    case "check-node":
      return wordsOf(
        await during(machine, port.checkNode(SLOTS.map((slot) => eniOf(machine, slot)))),
        nodeWords,
      );
    case "prepare-host":
      return wordsOf(await during(machine, port.prepareHost()), () => "done");
    case "clean-host":
      return wordsOf(await during(machine, port.cleanHost()), () => "done");
    case "tables":
      return tablesOf(model);
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
  const { port } = machine;
  const pod = podOf(number);
  switch (kind) {
    case "attach":
      return wordsOf(await during(machine, port.attachPod(pod)), ({ gateways }) => gateways);
    case "detach":
      return wordsOf(await during(machine, port.detachPod(pod)), () => "done");
    case "check-pod":
      return wordsOf(await during(machine, port.checkPod({ ...pod, ...MACS })), (lines) =>
        podWords(lines, shapeOf(number)),
      );
    default:
      return kind satisfies never;
  }
}

async function ofEni(
  machine: Machine,
  kind: Extract<KernelOperation, { readonly slot: 0 | 1 }>["kind"],
  slot: 0 | 1,
): Promise<unknown> {
  const { port, model, indexes } = machine;
  const eni = eniOf(machine, slot);
  const { mac } = eni;
  switch (kind) {
    case "configure":
      return wordsOf(await during(machine, port.configureEni(eni)), () => "done");
    case "forget":
      return wordsOf(await during(machine, port.forgetEni(slot)), () => "done");
    case "prepare-eni":
      return wordsOf(await during(machine, port.prepareEni(slot)), () => "done");
    case "mtu":
      return wordsOf(await during(machine, port.mtuOf(eni.ifIndex)), () => "known");
    case "await": {
      const late = new AbortController();
      machine.scheduler.after(30, () => late.abort());
      return wordsOf(await during(machine, port.awaitEni(mac, late.signal)), () => "there");
    }
    case "unplug": {
      const isThere = model.tables.devices.has(mac);
      if (isThere) model.unplug(mac);
      return isThere;
    }
    case "plug": {
      if (model.tables.devices.has(mac)) return false;
      model.plug(mac);
      indexes[slot] = model.tables.devices.get(mac) ?? 0;
      return true;
    }
    default:
      return kind satisfies never;
  }
}

function podOf(number: number): PodLink {
  const shape = shapeOf(number);
  return linkOf(shape, String(shape.netns));
}

function eniOf({ macs, indexes }: Machine, slot: 0 | 1): EniLink {
  const [mac, ifIndex] = [macs[slot], indexes[slot]];
  if (mac === undefined || ifIndex === undefined) throw new Error(`there is no ENI ${slot}`);
  const net = `10.0.${slot + 1}`;
  return {
    slot,
    mac,
    ifIndex,
    primary: ip(`${net}.10`),
    gateway: ip(`${net}.253`),
    prefixLength: 24,
    mtu: 1400,
  };
}

async function told({ scheduler, suspects }: Machine): Promise<Told> {
  await scheduler.run(ANSWER_MS, () => undefined);
  return { told: suspectWords(suspects) };
}

async function inflict(machine: Machine, damage: DrawnDamage): Promise<unknown> {
  const { model } = machine;
  const { tables } = model;
  switch (damage.kind) {
    case "link":
    case "down": {
      const { hostName } = podOf(damage.pod);
      const link = tables.links.get(hostName);
      if (link === undefined || (damage.kind === "down" && !link.isUp)) return "was gone";
      model.tamper({ kind: damage.kind, hostName });
      return told(machine);
    }
    case "route": {
      const [address] = addressesOf(podOf(damage.pod).addresses);
      if (address === undefined || !tables.routes.has(address)) return "was gone";
      model.tamper({ kind: "route", address });
      return told(machine);
    }
    case "eni-rule":
    case "pods-rule":
    case "table": {
      model.tamper(damage);
      const whom = await told(machine);
      return whom.told.length === 0 ? "was gone" : whom;
    }
    default:
      return damage satisfies never;
  }
}

function tablesOf({ tables }: KernelModel): TableFacts {
  return {
    links: [...tables.links.keys()].toSorted(),
    podsRule: tables.host.hasRule,
    eniRules: SLOTS.filter((slot) => tables.eniRules.has(slot)),
    chains: SLOTS.filter((slot) => tables.chains.has(slot)),
  };
}
