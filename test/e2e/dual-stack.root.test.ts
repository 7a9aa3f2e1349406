/**
 * `ip_stack` dual and ipv6 end to end: pairs from the simulated cloud, packets of both families between pods of two nodes,
 * what a restart with another `ip_stack` changes, and nothing left in the end.
 *
 * @module
 */
import { afterAll, beforeAll, it } from "vitest";
import { IPV6_POLICY } from "../../sim/model/topology-default.ts";
import { prepareAgent } from "../harness/agent.ts";
import { addPod, type Pod } from "../harness/pod.ts";
import { until } from "../harness/process.ts";
import { cloudState } from "../harness/simulator.ts";
import { openRig, type Rig, type RigNode } from "./rig.ts";
import { type NodeSpec, QUICK_RELEASE, topologyOf } from "./topology.ts";

const NAME = `tw${process.pid}s`;
const LEFT: NodeSpec = { name: "left" };
const RIGHT: NodeSpec = { name: "right" };
const SIX_LEFT: NodeSpec = { name: "six-left" };
const SIX_RIGHT: NodeSpec = { name: "six-right" };
const CHANGED: NodeSpec = { name: "changed" };
const SPECS = [LEFT, RIGHT, SIX_LEFT, SIX_RIGHT, CHANGED];

type Addressed = { readonly pod: Pod; readonly ips: readonly string[] };

let rig: Rig;

beforeAll(async () => {
  const { vSwitches } = topologyOf(SPECS);
  rig = await openRig(NAME, SPECS, {
    vSwitches: vSwitches.map((vSwitch, index) => ({ ...vSwitch, ipv6Cidr: `fd00:10:0:${index + 1}::/64` })),
    policies: { terway: IPV6_POLICY, "without-create": IPV6_POLICY },
    latencies: QUICK_RELEASE,
  });
});

afterAll(async () => {
  const left = await rig.close();
  if (left.length > 0) throw new Error(`left or broken:\n${left.join("\n")}`);
});

async function onNodes(
  ipStack: string,
  [first, second]: readonly [NodeSpec, NodeSpec],
  work: (left: RigNode, right: RigNode) => Promise<void>,
): Promise<readonly string[]> {
  const options = { eniConf: { ip_stack: ipStack } };
  let inner: readonly string[] = [];
  const outer = await rig.onNode(
    first.name,
    async (left) => {
      inner = await rig.onNode(second.name, (right) => work(left, right), options);
    },
    options,
  );
  return [...outer, ...inner];
}

async function add(node: RigNode): Promise<Addressed> {
  const pod = await node.newPod();
  const { result } = await addPod(pod);
  return { pod, ips: result.ips.map(({ address }) => address.split("/")[0] ?? "") };
}

/** Each pod reaches each other one at every address that it has. */
async function allReach(node: RigNode, pods: readonly Addressed[]): Promise<void> {
  for (const from of pods)
    for (const to of pods) if (from !== to) for (const ip of to.ips) await node.canReach(from.pod, ip);
}

function familiesOf({ ips }: Addressed): string {
  return ips.map((ip) => (ip.includes(":") ? "6" : "4")).join("");
}

it.concurrent("gives pods of two nodes pairs that reach each other, in the same ENI and across nodes", async ({
  expect,
}) => {
  const left = await onNodes("dual", [LEFT, RIGHT], async (one, two) => {
    const pods = [await add(one), await add(one), await add(two)];
    expect(pods.map(familiesOf)).toEqual(["46", "46", "46"]);
    await allReach(one, pods);
    const [created] = await one.calls("CreateNetworkInterface");
    expect(created?.parameters).toMatchObject({ Ipv6AddressCount: "1" });
  });
  expect(left).toEqual([]);
});

it.concurrent("gives pods the IPv6 address alone, and they reach each other", async ({ expect }) => {
  const left = await onNodes("ipv6", [SIX_LEFT, SIX_RIGHT], async (one, two) => {
    const pods = [await add(one), await add(one), await add(two)];
    expect(pods.map(familiesOf)).toEqual(["6", "6", "6"]);
    await allReach(one, pods);
  });
  expect(left).toEqual([]);
});

it.concurrent("leaves a running pod its pair when ip_stack becomes ipv4, and gives it back with the pod", async ({
  expect,
}) => {
  const left = await rig.onNode(
    CHANGED.name,
    async (node) => {
      const before = await add(node);
      await node.agent().stop();
      const eniConf = JSON.stringify({ ...JSON.parse(node.options.eniConf), ip_stack: "ipv4" });
      await prepareAgent({ ...node.options, eniConf });
      await node.start();
      const after = await add(node);
      expect([before, after].map(familiesOf)).toEqual(["46", "4"]);
      for (const [from, to] of [
        [before, after.ips[0]],
        [after, before.ips[0]],
      ] as const)
        await node.canReach(from.pod, to ?? "");
      const again = await addPod(before.pod);
      expect(again.result.ips.map(({ address }) => address.split("/")[0])).toEqual(before.ips);
      await node.del(before.pod);
      await until("no IPv6 address is left", async () => (await ipv6Of(node)).length === 0, 30_000, 200);
    },
    { eniConf: { ip_stack: "dual" } },
  );
  expect(left).toEqual([]);
});

/** The IPv6 addresses that the node's ENIs have in the cloud. */
async function ipv6Of(node: RigNode): Promise<readonly string[]> {
  const { enis } = await cloudState(NAME);
  return enis
    .filter(({ vSwitch }) => node.vSwitches.includes(vSwitch))
    .flatMap(({ ipv6Addresses }) => ipv6Addresses);
}
