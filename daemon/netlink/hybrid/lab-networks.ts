/**
 * The hybrid networks of the lab's nodes, for tests: opened, applied, closed.
 *
 * @module
 */
import { type Result } from "../../../proto/result.ts";
import { openSocketThread, type SocketThread } from "../socket.ts";
import { type HybridLab, labDesired, type LabSettings, type NodeNumber } from "./lab.ts";
import { type HybridNetwork, openHybridNetwork } from "./network.ts";

const WORKER = new URL("../worker.ts", import.meta.url);

export type LabNetworks = AsyncDisposable & {
  of(number: NodeNumber): HybridNetwork;
  /** Throws unless all of it is in the kernel. */
  apply(number: NodeNumber, settings?: LabSettings): Promise<void>;
};

/** One for each of `numbers`. */
export async function openLabNetworks(
  lab: HybridLab,
  numbers: readonly NodeNumber[] = [1, 2, 3],
): Promise<LabNetworks> {
  const networks = new Map<NodeNumber, HybridNetwork>();
  const threads: SocketThread[] = [];
  for (const number of numbers) {
    const nodeNetns = `/run/netns/${lab.node(number)}`;
    const thread = await openSocketThread(WORKER, { nodeNetns });
    threads.push(thread);
    networks.set(number, must(await openHybridNetwork({ thread, nodeNetns })));
  }
  const of = (number: NodeNumber): HybridNetwork => {
    const network = networks.get(number);
    if (network === undefined) throw new Error(`node ${number} has no network`);
    return network;
  };
  return {
    of,
    async apply(number, settings) {
      must(await of(number).apply(labDesired(lab, number, settings)));
      const { failures, refused } = await of(number).state();
      if (failures.length + refused.length > 0) throw new Error(JSON.stringify({ failures, refused }));
    },
    async [Symbol.asyncDispose]() {
      for (const network of networks.values()) await network[Symbol.asyncDispose]();
      for (const thread of threads) await thread[Symbol.asyncDispose]();
    },
  };
}

/** The value, where a test cannot go on without it. */
export function must<Value>(result: Result<Value>): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.fault));
  return result.value;
}
