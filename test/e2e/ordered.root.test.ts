/**
 * `vswitch_selection_policy: ordered` on the wire: three vSwitches, of which the first two run out, are used in exactly
 * the configured order, and an earlier one again as soon as it has room.
 *
 * @module
 */
import { afterAll, beforeAll, it } from "vitest";
import { type Pod } from "../harness/pod.ts";
import { until } from "../harness/process.ts";
import { callReport, cloudState } from "../harness/simulator.ts";
import { openRig, type Rig, type RigNode } from "./rig.ts";
import { type NodeSpec, QUICK_RELEASE } from "./topology.ts";

const NAME = `tw${process.pid}o`;
/** Two addresses on an ENI: after two pods the next ENI, and with it the next choice, is due. */
const TYPE = "ecs.e2e.small";
const LIMITS = { eni: 8, ip: 2 };
const SMALL = { type: TYPE, vSwitches: [3, 3, 252] };
const ORDER: NodeSpec = { name: "order", ...SMALL };
const AGAIN: NodeSpec = { name: "again", ...SMALL };

type Placed = { readonly pod: Pod; readonly from: string };

const range = (minMs: number, maxMs: number): { minMs: number; maxMs: number } => ({ minMs, maxMs });

let rig: Rig;

beforeAll(async () => {
  rig = await openRig(NAME, [ORDER, AGAIN], {
    instanceTypes: { [TYPE]: { eniQuantity: LIMITS.eni, eniPrivateIpAddressQuantity: LIMITS.ip } },
    latencies: {
      create: range(100, 200),
      attach: range(50, 100),
      assign: range(100, 200),
      attachLink: range(300, 500),
      attachInUse: range(100, 200),
      ...QUICK_RELEASE,
      addressHoldOff: range(500, 1000),
    },
  });
});

afterAll(async () => {
  const left = await rig.close();
  if (left.length > 0) throw new Error(`left or broken:\n${left.join("\n")}`);
});

async function onNode(
  { name }: NodeSpec,
  retryAfter: string,
  work: (node: RigNode) => Promise<void>,
): Promise<string[]> {
  const eniConf = { vswitch_retry_after: retryAfter, instance_type_limits: { [TYPE]: LIMITS } };
  return rig.onNode(name, work, { eniConf });
}

/** Adds so many pods, one by one; "a", "b" or "c" is where an address is from. */
async function addPods(node: RigNode, count: number): Promise<Placed[]> {
  const placed: Placed[] = [];
  for (let index = 0; index < count; index++) {
    const { pod, address } = await node.add();
    placed.push({ pod, from: "abc"[Number(address.split(".")[2])] ?? address });
  }
  return placed;
}

function orderOf(placed: readonly Placed[]): string {
  return placed.map(({ from }) => from).join(" ");
}

/** Somebody else takes an address of the vSwitch; the id of the ENI. */
async function takeOne(node: RigNode, vSwitch: string | undefined): Promise<string> {
  const printed = await node.fault("add", "foreignEni", `vSwitch=${vSwitch}`);
  return printed.trim().replace("done: ", "");
}

async function hasRoom(vSwitch: string | undefined, count: number): Promise<boolean> {
  const { vSwitches } = await cloudState(NAME);
  return vSwitches.find(({ id }) => id === vSwitch)?.available === count;
}

async function viewsAsked(): Promise<number> {
  return (await callReport(NAME)).totals["DescribeVSwitches"]?.calls ?? 0;
}

it.concurrent("uses the next vSwitch only when the one before is exhausted", async ({ expect }) => {
  const left = await onNode(ORDER, "10m", async (node) => {
    // The agent learns from the refusal alone that the second one has an address less than it believes.
    const foreign = await takeOne(node, node.vSwitches[1]);
    expect(orderOf(await addPods(node, 8))).toBe("a a a b b c c c");
    const creations = await node.calls("CreateNetworkInterface");
    const said = creations.map(({ parameters, end }) => `${String(parameters["VSwitchId"]).at(-1)} ${end}`);
    expect(said).toEqual(["a ok", "a ok", "b ok", "b refused", "c ok", "c ok"]);
    expect(creations[3]?.code).toMatch(/^(InvalidVSwitchId\.IpNotEnough|QuotaExceeded\.PrivateIpAddress)$/);
    await node.fault("add", "deleteEni", `eni=${foreign}`);
  });
  expect(left).toEqual([]);
});

it.concurrent("uses an earlier one again as soon as it has room", async ({ expect }) => {
  const left = await onNode(AGAIN, "2s", async (node) => {
    const [first, second] = node.vSwitches;
    const foreign = await takeOne(node, second);
    const placed = await addPods(node, 6);
    expect(orderOf(placed)).toBe("a a a b b c");

    for (const { pod } of placed.filter(({ from }) => from === "a")) await node.del(pod);
    await until("the first has its addresses again", async () => hasRoom(first, 3), 30_000, 200);
    // What an ENI has room for comes before a new one.
    expect(orderOf(await addPods(node, 4))).toBe("c a a a");

    await node.fault("add", "deleteEni", `eni=${foreign}`);
    const asked = await viewsAsked();
    await until("the agent has asked twice", async () => (await viewsAsked()) >= asked + 2, 15_000, 200);
    expect(orderOf(await addPods(node, 2))).toBe("b c");
  });
  expect(left).toEqual([]);
});
