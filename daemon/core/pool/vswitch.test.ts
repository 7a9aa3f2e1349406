import { describe, expect, it } from "vitest";
import { vSwitchId, type VSwitchId } from "../../../proto/ids.ts";
import { type FailureClass } from "../cloud.ts";
import { type CloudCall, fakeCloud, type FakeCloudOptions } from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";
import { occupy } from "./fake-vpc.ts";
import { type PoolSettings } from "./model.ts";

const A = vSwitchId("vsw-a");
const B = vSwitchId("vsw-b");
const C = vSwitchId("vsw-c");

/** ENIs of four addresses, one for each pod that does not fit on those before. */
function nodeOn(
  sizes: readonly [VSwitchId, number][],
  settings: Partial<PoolSettings> = {},
  more: Partial<FakeCloudOptions> = {},
): { readonly node: FakeNode; readonly cloud: ReturnType<typeof fakeCloud> } {
  const vSwitches = sizes.map(([id, size]) => ({ id, size }));
  const cloud = fakeCloud({ enisMax: 20, addressesPerEni: 4, vSwitches, ...more });
  const limits = { enisMax: 20, addressesPerEni: 4 };
  const node = fakeNode({ cloud, limits, settings: { idleMax: 0, cooldownMs: 0, ...settings } });
  node.run(1_000);
  return { node, cloud };
}

function addOne(node: FakeNode, name: string): void {
  node.add(name);
  node.run(10_000);
}

/** The vSwitches in the order of the creations, those that were refused too. */
function order(node: FakeNode): string[] {
  return node.calls.flatMap((call) => (call.kind === "create-eni" ? [call.request.vSwitch] : []));
}

function count(node: FakeNode, kind: CloudCall["kind"]): number {
  return node.calls.filter((call) => call.kind === kind).length;
}

const PODS = Array.from({ length: 9 }, (_, index) => `p${index}`);

describe("ordered", () => {
  it("uses three vSwitches in the configured order, each to its last address, and the first one again after it has room", () => {
    const { node, cloud } = nodeOn([
      [A, 2],
      [B, 3],
      [C, 100],
    ]);
    for (const name of PODS) addOne(node, name);
    // No call is wasted on a vSwitch that is known to be empty.
    expect(
      node.calls.map((call) => [call.kind, vSwitchOf(node, call)]).filter(([kind]) => kind !== "describe"),
    ).toEqual([
      ["create-eni", A],
      ["attach-eni", A],
      ["assign", A],
      ["create-eni", B],
      ["attach-eni", B],
      ["assign", B],
      ["assign", B],
      ["create-eni", C],
      ["attach-eni", C],
      ["assign", C],
      ["assign", C],
      ["assign", C],
    ]);
    cloud.options.vSwitches.forEach(({ id }) =>
      expect(cloud.vpc.free.get(id)?.length).toBe(id === C ? 96 : 0),
    );
    // Somebody gives addresses of the first one back: nothing is known of it until the block ends.
    cloud.vpc.free.get(A)?.push(...(cloud.vpc.free.get(C)?.splice(0, 5) ?? []));
    addOne(node, "before");
    node.run(600_000);
    expect(count(node, "describe-vswitches")).toBe(1);
    // ENIs with room are filled first, the first vSwitch's too; then a new ENI is in the first vSwitch.
    const before = node.calls.length;
    for (const name of ["x1", "x2", "x3", "x4", "x5", "x6"]) addOne(node, name);
    const growth = node.calls.slice(before).filter(({ kind }) => kind === "assign" || kind === "create-eni");
    expect(growth.map((call) => [call.kind, vSwitchOf(node, call)])).toEqual([
      ["assign", A],
      ["assign", A],
      ["assign", C],
      ["assign", C],
      ["assign", C],
      ["create-eni", A],
    ]);
    expect(node.offences).toEqual([]);
  });

  it("goes on to the next one when the cloud refuses, within the same ADD", () => {
    const { node, cloud } = nodeOn([
      [A, 8],
      [B, 8],
      [C, 100],
    ]);
    occupy(cloud.vpc, A, 8);
    occupy(cloud.vpc, B, 8);
    addOne(node, "a");
    expect(order(node)).toEqual([A, B, C]);
    expect([...node.leases.keys()]).toEqual(["a"]);
    // Both are left alone from then on, until vSwitchRetryMs are over.
    occupy(cloud.vpc, A, -8);
    for (const name of PODS) addOne(node, name);
    expect(order(node)).toEqual([A, B, C, C, C]);
    node.run(600_000);
    for (const name of ["x1", "x2", "x3"]) addOne(node, name);
    expect(order(node)).toEqual([A, B, C, C, C, A]);
    // One question told that the first has room and the second has none; the second was not tried again.
    expect(count(node, "describe-vswitches")).toBe(1);
    expect(cloud.refusals).toEqual(["create-eni vswitch-full", "create-eni vswitch-full"]);
  });

  it("is used again at once where we gave addresses back ourselves", () => {
    const { node } = nodeOn(
      [
        [A, 4],
        [B, 100],
      ],
      { settleMs: 1_000 },
    );
    for (const name of PODS.slice(0, 5)) addOne(node, name);
    expect(order(node)).toEqual([A, B]);
    for (const name of PODS.slice(0, 4)) node.del(name);
    node.run(60_000);
    expect(count(node, "unassign")).toBe(0);
    for (const name of ["x1", "x2", "x3", "x4"]) addOne(node, name);
    expect(order(node)).toEqual([A, B, A]);
  });

  it("is used again where secondary addresses went back", () => {
    const { node } = nodeOn(
      [
        [A, 4],
        [B, 100],
      ],
      { settleMs: 1_000 },
    );
    for (const name of PODS.slice(0, 4)) addOne(node, name);
    node.del("p3");
    node.run(10_000);
    expect(count(node, "unassign")).toBe(1);
    addOne(node, "x");
    expect(order(node)).toEqual([A]);
  });
});

describe("most", () => {
  it("takes the vSwitch with the most addresses, counting what it takes itself", () => {
    const { node } = nodeOn(
      [
        [A, 10],
        [B, 15],
        [C, 12],
      ],
      { vSwitchPolicy: "most" },
    );
    for (const name of Array.from({ length: 24 }, (_, index) => `p${index}`)) node.add(name);
    node.run(20_000);
    expect(order(node)).toEqual([B, C, B, A, C, B]);
  });

  it("asks for new numbers when its own are old, without waiting for them", () => {
    const { node } = nodeOn([[A, 100]], { vSwitchPolicy: "most" });
    node.run(600_000);
    node.add("a");
    node.run(11);
    expect(node.calls.slice(1).map(({ kind }) => kind)).toEqual(["describe-vswitches", "create-eni"]);
  });
});

describe("random", () => {
  it("uses all vSwitches, about equally often", () => {
    const { node } = nodeOn(
      [
        [A, 1_000],
        [B, 1_000],
        [C, 1_000],
      ],
      { vSwitchPolicy: "random" },
    );
    for (const name of Array.from({ length: 80 }, (_, index) => `p${index}`)) node.add(name);
    node.run(20_000);
    const used = order(node);
    expect(used.length).toBe(20);
    for (const id of [A, B, C]) expect(used.filter((other) => other === id).length).toBeGreaterThan(2);
  });
});

describe("exhausted vSwitches", () => {
  it("refuse at once, with the cloud's own words, where no other one is left", () => {
    const { node, cloud } = nodeOn([
      [A, 8],
      [B, 8],
    ]);
    occupy(cloud.vpc, A, 8);
    occupy(cloud.vpc, B, 8);
    const startMs = node.nowMs;
    node.add("a");
    node.run(5_000);
    const refusal = node.refusals.get("a");
    expect(refusal?.fault).toEqual({
      kind: "no-address",
      reason: "no vSwitch of the list can be used (vsw-a, vsw-b)",
      cause: "create-eni for vsw-b: Code.vswitch-full: it is vswitch-full (request R-1)",
      retryAfterMs: 599_550,
    });
    expect((refusal?.atMs ?? 0) - startMs).toBe(910);
    // The next pod hears it without a call.
    const calls = node.calls.length;
    node.add("b");
    expect(node.refusals.get("b")?.atMs).toBe(node.nowMs);
    expect(node.calls.length).toBe(calls);
  });

  it("say when they have room again", () => {
    const { node, cloud } = nodeOn([[A, 8]]);
    const taken = cloud.vpc.free.get(A)?.splice(0) ?? [];
    node.add("a");
    node.run(5_000);
    const said = (): string[] => node.notes.filter((text) => text.includes("room"));
    node.run(600_000);
    expect([node.refusals.size, said()]).toEqual([1, []]);
    cloud.vpc.free.get(A)?.push(...taken);
    node.run(600_000);
    expect(said()).toEqual(["info: vSwitch vsw-a has room again: 8 addresses"]);
  });

  it("are not asked at all where they are known to be empty", () => {
    const { node } = nodeOn([[A, 0]]);
    node.add("a");
    expect(node.refusals.get("a")?.fault).toMatchObject({
      kind: "no-address",
      cause: "no address for the pod: vSwitch vsw-a has no free address",
    });
    expect(count(node, "create-eni")).toBe(0);
    // They are looked at again every vSwitchRetryMs.
    node.run(1_900_000);
    expect(count(node, "describe-vswitches")).toBe(3);
  });

  it("do not keep a pod waiting on an existing ENI: it moves to another vSwitch", () => {
    const { node, cloud } = nodeOn([
      [A, 8],
      [B, 8],
    ]);
    addOne(node, "a");
    occupy(cloud.vpc, A, 7);
    addOne(node, "b");
    expect(node.calls.slice(4).map((call) => call.kind)).toEqual([
      "assign",
      "create-eni",
      "attach-eni",
      "describe",
    ]);
    expect(order(node)).toEqual([A, B]);
    expect([...node.leases.keys()]).toEqual(["a", "b"]);
  });

  it("are tried by a call where they cannot be described", () => {
    const refusedAs: FailureClass = "configuration";
    const { node, cloud } = nodeOn(
      [[A, 8]],
      {},
      {
        trouble: ({ kind }) =>
          kind === "describe-vswitches" ? { kind: "refuse", class: refusedAs } : undefined,
      },
    );
    occupy(cloud.vpc, A, 8);
    addOne(node, "a");
    expect(node.refusals.has("a")).toBe(true);
    occupy(cloud.vpc, A, -8);
    node.run(600_000);
    addOne(node, "b");
    expect([...node.leases.keys()]).toEqual(["b"]);
  });
});

function vSwitchOf(node: FakeNode, call: CloudCall): string {
  if (call.kind === "create-eni") return call.request.vSwitch;
  return "slot" in call ? (node.pool.enis.get(call.slot)?.vSwitch ?? "") : "";
}
