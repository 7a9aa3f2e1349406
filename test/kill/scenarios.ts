/**
 * What an agent is killed in: what it has to do, and what the runtime does when it is back.
 *
 * @module
 */
import { type Pod } from "../harness/pod.ts";
import { type Ran } from "../harness/process.ts";
import { type Size } from "./lab.ts";
import { type KillNode } from "./node.ts";

export type Scenario = {
  readonly name: string;
  readonly size: Size;
  /** Opens one run on a node that has come back: an agent that serves, and one pod. */
  readonly open: (node: KillNode) => Run;
};

export type Run = {
  /** Before the count begins. Absent: nothing is to be done. */
  readonly begin?: () => Promise<void>;
  /** What the agent is counted in; resolves where it is done or the agent is dead. */
  readonly act: (killAt: number) => Promise<void>;
  /**
   * Behind a kill, with an agent that serves again, or behind a run to the end. `isPatient`: the runtime repeats what failed;
   * else it undoes it and begins anew.
   */
  readonly end: (isPatient: boolean) => Promise<void>;
};

/** One ENI with one more address, so that an address that is given has rested. */
const TWO_ADDRESSES: Size = { enis: 2, addresses: 2, idleMax: 1, cooldownMs: 3000 };
const THREE_ADDRESSES: Size = { enis: 2, addresses: 3, idleMax: 2, cooldownMs: 1000 };
/** Nothing is kept: the second pod takes an address more, the third one an ENI more. */
const TWO_ENIS: Size = { enis: 3, addresses: 2, idleMax: 0, cooldownMs: 1000 };

/** An idle address is there. */
export const ADD: Scenario = {
  name: "ADD",
  size: TWO_ADDRESSES,
  open(node) {
    let pod = node.sandbox(1);
    let ran: Ran | undefined;
    return {
      async act() {
        ran = await node.tryAdd(pod);
        await node.await("the answer has gone", isAnswered("ADD"));
      },
      async end(isPatient) {
        pod = await goOn(node, pod, ran, isPatient);
        await node.del(pod);
      },
    };
  },
};

/** To the deletion of the link. */
export const DEL: Scenario = {
  name: "DEL",
  size: TWO_ADDRESSES,
  open(node) {
    const pod = node.sandbox(1);
    return {
      begin: () => node.add(pod),
      async act() {
        await node.del(pod);
        await node.await("the link is gone", (effects) => effects.includes("netlink: delete-link group"));
      },
      async end(isPatient) {
        if (isPatient) await node.undo(pod);
      },
    };
  },
};

/** Two pods come and go: assign, create, attach, link; unassign, detach, delete. */
export const CLOUD: Scenario = {
  name: "fill and release",
  size: TWO_ENIS,
  open(node) {
    const pods = new Map([1, 2].map((number) => [number, node.sandbox(number)]));
    const ran = new Map<number, Ran>();
    let gone = 0;
    return {
      async act() {
        for (const [number, pod] of pods) if (!node.isDead()) ran.set(number, await node.tryAdd(pod));
        for (const [number, pod] of pods) {
          if (node.isDead()) return;
          await node.del(pod);
          gone = number;
        }
        await comesBack(node);
      },
      async end(isPatient) {
        for (const [number, pod] of pods)
          if (ran.has(number) && number > gone)
            await node.del(await goOn(node, pod, ran.get(number), isPatient));
      },
    };
  },
};

/** Resolves where the node has come back, or the agent is dead. */
async function comesBack(node: KillNode): Promise<void> {
  while (!node.isDead()) {
    const left = await node.settled(1000).catch(() => ["the agent died meanwhile"]);
    if (left.length === 0) return;
  }
}

/** The runtime has its answer, or asks again; then the pod talks. Which sandbox it is in. */
async function goOn(node: KillNode, pod: Pod, ran: Ran | undefined, isPatient: boolean): Promise<Pod> {
  if (ran?.status === 0) {
    await node.reaches(pod);
    return pod;
  }
  if (isPatient) {
    await node.add(pod);
    return pod;
  }
  await node.undo(pod);
  const anew = node.sandbox(Number(pod.name.at(-1)));
  await node.add(anew);
  return anew;
}

function isAnswered(command: "ADD" | "DEL"): (effects: readonly string[]) => boolean {
  return (effects) => effects.includes(`answer: of ${command} has gone`);
}

/** Cut off in the middle of an ADD, with a DEL that only the spool knows. */
export const START: Scenario = {
  name: "start: half an interface, a DEL in the spool",
  size: THREE_ADDRESSES,
  open(node) {
    const [leaving, half] = [node.sandbox(1), node.sandbox(2)];
    return {
      async begin() {
        await node.add(leaving);
        await dieAt(node, "netlink: new-link", async () => {
          await node.tryAdd(half);
        });
        await node.del(leaving);
      },
      async act(killAt) {
        await node.start(killAt);
        await comesBack(node);
      },
      async end(isPatient) {
        if (isPatient) await node.add(half);
        await node.del(half);
      },
    };
  },
};

/** Cut off between an ENI's creation and its attachment. */
export const START_ENI: Scenario = {
  name: "start: an ENI that was made and never heard of",
  size: TWO_ENIS,
  open(node) {
    const [first, second] = [node.sandbox(1), node.sandbox(2)];
    let ran: Ran | undefined;
    return {
      async begin() {
        await node.add(first);
        await dieAt(node, "cloud: CreateNetworkInterface was answered", async () => {
          await node.tryAdd(second);
        });
      },
      async act(killAt) {
        if (!(await node.start(killAt))) return;
        ran = await node.tryAdd(second);
        if (ran.status === 0) await node.await("the answer has gone", isAnswered("ADD"));
      },
      async end(isPatient) {
        const pod = await goOn(node, second, ran, isPatient);
        await node.del(pod);
        await node.del(first);
      },
    };
  },
};

/** Kills the agent at the first effect of that name. */
async function dieAt(node: KillNode, effect: string, work: () => Promise<void>): Promise<void> {
  await node.arm(effect);
  await work();
  await node.await(`the agent dies at "${effect}"`, () => false);
}
