/**
 * Pods that come and go at a rate: an ADD, some time to live, a DEL.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { addPod, delPod, type Pod } from "../harness/pod.ts";
import { allEnded } from "../harness/process.ts";

export type Churn = {
  /** Namespaces: each is used by one pod after the other. */
  readonly places: readonly Pod[];
  readonly pods: number;
  /** From the beginning of one ADD to that of the next. */
  readonly everyMs: number;
  /** From the end of the ADD to the DEL. */
  readonly livesMs: number;
  /** Called after so many pods, and awaited. */
  readonly look: { readonly every: number; readonly run: () => Promise<void> };
};

export type ChurnFigures = {
  readonly pods: number;
  /** ADDs and DELs. */
  readonly callsPerMinute: number;
  readonly addMs: Quantiles;
  readonly delMs: Quantiles;
};

type Quantiles = { readonly median: number; readonly p99: number; readonly max: number };

const RESTS_MS = 1000;

/** Fails where an ADD or a DEL does, when all that run have ended. */
export async function churn({ places, pods, everyMs, livesMs, look }: Churn): Promise<ChurnFigures> {
  const free = [...places];
  const [addMs, delMs]: [number[], number[]] = [[], []];
  const running = new Set<Promise<void>>();
  const startMs = performance.now();
  const live = async (place: Pod, index: number): Promise<void> => {
    const pod = { ...place, name: `churn-${index}`, containerId: `churn-${index}-sandbox` };
    addMs.push((await addPod(pod)).tookMs);
    await sleep(livesMs);
    delMs.push((await delPod(pod)).tookMs);
    // A runtime has a new namespace for each pod; here the link of the former one has to be gone, which takes half a second.
    await sleep(RESTS_MS);
    free.push(place);
  };
  try {
    for (let index = 0; index < pods; index++) {
      await sleep(Math.max(0, startMs + index * everyMs - performance.now()));
      // A runtime that has no room waits as well.
      while (free.length === 0) await Promise.race(running);
      const [place] = free.splice(0, 1);
      if (place === undefined) throw new Error("no place is free");
      const one = live(place, index).finally(() => running.delete(one));
      // What fails is known in the end.
      one.catch(() => undefined);
      running.add(one);
      if (index % look.every === 0) await look.run();
    }
  } finally {
    await allEnded([...running]);
  }
  const minutes = (performance.now() - startMs) / 60_000;
  const callsPerMinute = Math.round((2 * pods) / minutes);
  return { pods, callsPerMinute, addMs: quantiles(addMs), delMs: quantiles(delMs) };
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? NaN);
  return { median: at(0.5), p99: at(0.99), max: at(1) };
}
