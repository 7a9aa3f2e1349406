/**
 * The node's network, as `daemon/core/kernel.ts` wants it: plans of `daemon/core/datapath/`, carried out by the netlink
 * thread.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { type Kernel, type PodLink, type Suspect } from "../core/kernel.ts";
import { DELETION_BOUNDS, type DeletionBounds } from "../core/datapath/deletion.ts";
import { type KernelView } from "../core/rebuild/rebuild.ts";
import { ok, type Result } from "../../proto/result.ts";
import { openArrivals } from "./arrival.ts";
import { checkNode } from "./check-node.ts";
import { checkPod } from "./check-pod.ts";
import { cleanHost } from "./clean.ts";
import { openClient } from "./client.ts";
import { openStale } from "./connections.ts";
import { withIpvlan } from "./datapaths.ts";
import { openDoomed } from "./doomed.ts";
import { withDrift } from "./drift.ts";
import { configureEni, eniSlots, type EniPorts, forgetEni, mtuOf, prepareEni } from "./eni.ts";
import { prepareHost } from "./host.ts";
import { garbageCollector } from "./garbage.ts";
import { hostFacts } from "./ipv6.ts";
import { type IpvlanUse, openIpvlan } from "./ipvlan-node.ts";
import { runNft } from "./nft.ts";
import { openNftTogether } from "./nft-together.ts";
import { attachPod, type PodPorts, podTraces } from "./pods.ts";
import { openRemoval } from "./removal.ts";
import { surveyNode } from "./survey.ts";
import { openSocketThread, type SocketThread } from "./socket.ts";

const RANDOM_BYTES = 4096;

export type KernelOptions = {
  /** The program of the netlink thread: `worker.ts` beside this file, or what a bundle made of it. */
  readonly workerUrl?: URL;
  /** Path of the node's network namespace, where it is not the one that the process runs in. */
  readonly nodeNetns?: string;
  /** Where MACs and interface indexes come from. */
  readonly randomBytes?: (count: number) => Uint8Array;
  /** How long an ENI's gateway has to answer, 2,000 where not given. */
  readonly gatewayPatienceMs?: number;
  /** When links of detached pods are deleted; `DELETION_BOUNDS` where not given. */
  readonly deletionBounds?: DeletionBounds;
};

export type OpenKernel = Kernel &
  AsyncDisposable & {
    /** What there is of pods and ENIs. Changes nothing. */
    survey(): Promise<Result<KernelView>>;
    /** How often links of detached pods were deleted: many pods share one deletion. */
    linkDeletions(): number;
    /** Calls `onSuspect` with what others may have changed, until disposal. What this kernel does itself is no news. */
    watchDrift(onSuspect: (suspect: Suspect) => void): Promise<Result<AsyncDisposable>>;
    /** Gives memory of the process back that nobody uses; `idle`: looks for it first, which may take some 50 ms. */
    readonly giveBackMemory: (idle: boolean) => Promise<void>;
    readonly ipvlan: IpvlanUse;
    /** For what else is done to this node's network: `openHybridNetwork`. Ends with the kernel. */
    readonly thread: SocketThread;
  };

/** Starts the netlink thread. Needs CAP_NET_ADMIN, CAP_NET_RAW (ARP) and CAP_SYS_ADMIN (setns). */
export async function openKernel(options: KernelOptions = {}): Promise<OpenKernel> {
  const { nodeNetns, gatewayPatienceMs } = options;
  const workerUrl = options.workerUrl ?? new URL("./worker.ts", import.meta.url);
  const thread = await openSocketThread(workerUrl, nodeNetns === undefined ? {} : { nodeNetns });
  const client = openClient(thread);
  const host = hostFacts();
  const arrivals = openArrivals(thread, client);
  const stale = openStale(client);
  const doomed = openDoomed(thread, options.deletionBounds ?? DELETION_BOUNDS, () => stale.forget());
  const removal = openRemoval(client, doomed, stale);
  const random = options.randomBytes ?? openRandom();
  const ipvlan = openIpvlan({ client, nodeNetns, host, randomBytes: random });
  const ports = { client, thread, nodeNetns, host, knownGateways: ipvlan.knownGateways };
  const addChains = openNftTogether((text) => runNft(text, nodeNetns));
  const enis: EniPorts = { ...ports, gatewayPatienceMs, chains: new Map(), addChains };
  const pods: PodPorts = {
    client,
    nodeNetns,
    randomBytes: random,
    remove: (pod: PodLink) => removal.remove(pod),
    deleteDoomed: () => doomed.deleteNow(),
  };

  const kernel: Kernel = {
    async prepareHost() {
      const prepared = await prepareHost(enis);
      // Of an agent that was killed.
      return prepared.ok ? doomed.deleteNow() : prepared;
    },
    awaitEni: (mac, signal) => arrivals.wait(mac, signal),
    prepareEni: (slot) => prepareEni(enis, slot),
    mtuOf: (ifIndex) => mtuOf(client, ifIndex),
    configureEni: (eni) => configureEni(enis, eni),
    forgetEni: (slot) => forgetEni(enis, slot),
    eniSlots: () => eniSlots(enis),
    async attachPod(pod) {
      doomed.busy();
      const { v6 } = pod.addresses;
      const forgotten = v6 !== undefined && stale.has(v6) ? await doomed.deleteNow() : ok(undefined);
      return forgotten.ok ? attachPod(pods, pod) : forgotten;
    },
    async detachPod(pod) {
      doomed.busy();
      return removal.remove(pod);
    },
    checkPod: (pod) => checkPod(client, nodeNetns, pod),
    checkNode: (eniLinks) => checkNode(client, host, eniLinks),
    podTraces: () => podTraces(client, host),
    async cleanHost() {
      const deleted = await doomed.deleteNow();
      const cleaned = await cleanHost(enis, both, ipvlan);
      return deleted.ok ? cleaned : deleted;
    },
  };
  const heard = withDrift(withIpvlan(kernel, ipvlan), thread, client);
  const both = heard.kernel;
  return {
    ...both,
    ipvlan,
    survey: () => surveyNode(client, host),
    thread,
    watchDrift: heard.watch,
    linkDeletions: () => doomed.deletions(),
    giveBackMemory: (idle) => giveBackMemory(thread, idle),
    async [Symbol.asyncDispose]() {
      await doomed[Symbol.asyncDispose]();
      await arrivals[Symbol.asyncDispose]();
      await thread[Symbol.asyncDispose]();
    },
  };
}

/** What the collector frees goes first. */
async function giveBackMemory(thread: SocketThread, idle: boolean): Promise<void> {
  if (idle) await garbageCollector()({ type: "major", execution: "async" });
  await thread.run({ kind: "relieve" });
}

/** Random bytes that are fetched many at a time. */
function openRandom(): (count: number) => Uint8Array {
  let [left, at] = [new Uint8Array(0), 0];
  return (count) => {
    if (at + count > left.length) [left, at] = [randomBytes(Math.max(count, RANDOM_BYTES)), 0];
    at += count;
    return left.subarray(at - count, at);
  };
}
