/**
 * A pod as kubelet brings it up: asked for again and again until it has an address, with a DEL after each refusal.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { delPod, type Pod, plugin } from "../harness/pod.ts";

/** What the plugin printed. */
export type Refusal = { readonly code: number; readonly msg: string; readonly details: string };

export type Asked = {
  readonly pod: Pod;
  /** Of all tries before the one that succeeded. */
  readonly refusals: readonly Refusal[];
  /** Of the last try. */
  readonly tookMs: number;
};

const CNI_ERROR = z.looseObject({ code: z.number(), msg: z.string(), details: z.string().default("") });

/** One ADD; what it was refused with, if it was. */
export async function ask(pod: Pod): Promise<{ readonly tookMs: number; readonly refusal?: Refusal }> {
  const { status, stdout, stderr, tookMs } = await plugin("ADD", pod);
  if (status === 0) return { tookMs };
  try {
    const { code, msg, details } = CNI_ERROR.parse(JSON.parse(stdout));
    return { tookMs, refusal: { code, msg, details } };
  } catch (cause) {
    throw new Error(`ADD of ${pod.name}: status ${status}\n${stdout}${stderr}`, { cause });
  }
}

/**
 * Asks for each pod until it has an address, with `pauseMs` between two tries, while `storm` blows and as long as it takes after
 * that.
 */
export async function whileAsking(
  pods: readonly Pod[],
  pauseMs: number,
  storm: () => Promise<void>,
): Promise<readonly Asked[]> {
  const stop = new AbortController();
  const asking = pods.map((pod) => askUntilServed(pod, pauseMs, stop.signal));
  // What fails meanwhile is known when all are awaited.
  for (const each of asking) each.catch(() => undefined);
  try {
    await storm();
    return await Promise.all(asking);
  } finally {
    stop.abort();
    await Promise.allSettled(asking);
  }
}

async function askUntilServed(pod: Pod, pauseMs: number, signal: AbortSignal): Promise<Asked> {
  const refusals: Refusal[] = [];
  for (;;) {
    signal.throwIfAborted();
    const { tookMs, refusal } = await ask(pod);
    if (refusal === undefined) return { pod, refusals, tookMs };
    refusals.push(refusal);
    await delPod(pod);
    await sleep(pauseMs, undefined, { signal });
  }
}

/** Numbers and request ids left out: refusals that say the same, once. */
export function kindsOf(refusals: readonly Refusal[]): readonly string[] {
  const texts = refusals.map(({ code, msg }) =>
    `${code}: ${msg}`.replaceAll(/request [\w-]+/g, "request …").replaceAll(/\d+ ms/g, "… ms"),
  );
  return [...new Set(texts)].sort();
}
