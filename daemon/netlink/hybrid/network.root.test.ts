import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSocketThread, type SocketThread } from "../socket.ts";
import { type HybridLab, labDesired, type LabSettings, type NodeNumber, openHybridLab } from "./lab.ts";
import { type HybridNetwork, openHybridNetwork } from "./network.ts";

const WORKER = new URL("../worker.ts", import.meta.url);
const NUMBERS: readonly NodeNumber[] = [1, 2, 3];

let lab: HybridLab;
let before: readonly string[];
let networks: Map<NodeNumber, HybridNetwork>;
let threads: SocketThread[];

beforeEach(async () => {
  lab = openHybridLab();
  before = NUMBERS.map((number) => lab.snapshot(number));
  networks = new Map();
  threads = [];
  for (const number of NUMBERS) {
    const nodeNetns = `/run/netns/${lab.node(number)}`;
    const thread = await openSocketThread(WORKER, { nodeNetns });
    threads.push(thread);
    const opened = await openHybridNetwork({ thread, nodeNetns });
    if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
    networks.set(number, opened.value);
  }
});

afterEach(async () => {
  for (const network of networks.values()) await network[Symbol.asyncDispose]();
  for (const thread of threads) await thread[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

function network(number: NodeNumber): HybridNetwork {
  const found = networks.get(number);
  if (found === undefined) throw new Error(`no node ${number}`);
  return found;
}

async function apply(number: NodeNumber, settings: LabSettings = {}): Promise<void> {
  const applied = await network(number).apply(labDesired(lab, number, settings));
  expect(applied).toEqual({ ok: true, value: undefined });
  const { failures, refused } = await network(number).state();
  expect({ failures, refused }).toEqual({ failures: [], refused: [] });
}

async function applyAll(settings: LabSettings = {}): Promise<void> {
  for (const number of NUMBERS) await apply(number, settings);
}

describe("openHybridNetwork()", () => {
  it("joins pods and nodes over VXLAN, in one subnet and across", async () => {
    await applyAll();
    expect(lab.pings(lab.pod(1), "10.245.2.9")).toBe(true);
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(true);
    expect(lab.pings(lab.pod(3), "10.245.2.9")).toBe(true);
    expect(lab.pings(lab.node(1), "10.245.3.9")).toBe(true);
    expect(lab.pings(lab.pod(3), "10.10.0.1")).toBe(true);
  });

  it("leaves nothing", async () => {
    await applyAll();
    for (const number of NUMBERS)
      expect(await network(number).clean()).toEqual({ ok: true, value: undefined });
    expect(NUMBERS.map((number) => lab.snapshot(number))).toEqual(before);
  });
});
