import { describe, expect, it } from "vitest";
import { type IpStack } from "../ip-stack.ts";
import {
  type CloudCall,
  fakeCloud,
  type FakeCloud,
  type FakeCloudOptions,
  type Trouble,
} from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";
import { eniOf, IDLE, poolOf, used } from "./fake-pool.ts";
import { A, LOST, mistakes, refuse } from "./fake-trouble.ts";
import { type PoolSettings } from "./model.ts";
import { idleOf, incompleteOf, podsPerEni } from "./pairs.ts";
import { step } from "./step.ts";

/** A node with pairs, its calls of `kind` and `family` in trouble as listed. */
function pairNode(
  settings: Partial<PoolSettings> = {},
  cloudOptions: Partial<FakeCloudOptions> & { readonly troubles?: readonly (Trouble | undefined)[] } = {},
): { readonly node: FakeNode; readonly cloud: FakeCloud } {
  const troubles = [...(cloudOptions.troubles ?? [])];
  const cloud = fakeCloud({
    enisMax: 3,
    addressesPerEni: 15,
    vSwitches: [{ id: A, size: 1_000 }],
    trouble: (call) => ("family" in call && call.family === "ipv6" ? troubles.shift() : undefined),
    ...cloudOptions,
  });
  const node = fakeNode({ cloud, settings: { ipStack: "dual", ...settings } });
  node.run(1_000);
  return { node, cloud };
}

/** "create-eni 5+5" (IPv4 + IPv6), "assign 3 ipv6", "unassign 2 ipv4"; other calls by their kind. */
function words(call: CloudCall): string {
  switch (call.kind) {
    case "create-eni":
      return `create-eni ${call.request.secondaryCount + 1}+${call.request.count6 ?? 0}`;
    case "assign":
      return `assign ${call.count} ${call.family}`;
    case "unassign":
      return `unassign ${call.addresses.length} ${call.addresses.some((ip) => ip.includes(":")) ? "ipv6" : "ipv4"}`;
    default:
      return call.kind;
  }
}

/** The calls about addresses after the first `from`. */
function changes(node: FakeNode, from = 0): string[] {
  return node.calls
    .slice(from)
    .filter(({ kind }) => /create|assign|detach|delete/.test(kind))
    .map(words);
}

function leaseOf(node: FakeNode, name: string): { readonly address: string; readonly address6?: string } {
  const lease = node.leases.get(name);
  if (lease === undefined) throw new Error(`${name} has no lease`);
  return lease;
}

/** How many addresses each ENI has in the cloud: "IPv4+IPv6". */
function sizes({ vpc }: FakeCloud): string[] {
  return [...vpc.enis.values()].map(({ view }) => `${view.addresses.length}+${view.addresses6.length}`);
}

/** Pods of an ENI of ten IPv4 addresses. */
function podsWith(ipStack: IpStack, addresses6PerEni?: number): number {
  const limits = { enisMax: 3, addressesPerEni: 10, ...(addresses6PerEni && { addresses6PerEni }) };
  return podsPerEni(poolOf([], { ipStack }, { limits }));
}

describe("idleOf()", () => {
  const eni = eniOf(0, { "10.0.0.1": used("a"), "10.0.0.2": IDLE, "10.0.0.3": IDLE, "fd00::1": IDLE });

  it("counts pairs where pods get pairs, as many as the family has that has fewer", () => {
    const counts = (["ipv4", "dual", "ipv6"] as const).map((ipStack) => idleOf(poolOf([], { ipStack }), eni));
    expect([counts, incompleteOf(eni)]).toEqual([[2, 1, 1], 1]);
  });
});

describe("podsPerEni()", () => {
  it("is limited by the smaller quota", () => {
    expect([podsWith("ipv4", 6), podsWith("dual", 6), podsWith("ipv6", 20), podsWith("dual")]).toEqual([
      10, 6, 10, 10,
    ]);
  });
});

describe("step() with pairs", () => {
  it("makes an ENI with both families in one call, and gives a pod one of each", () => {
    const { node, cloud } = pairNode();
    node.add("a");
    node.run(10_000);
    expect(changes(node)).toEqual(["create-eni 6+6"]);
    const { address, address6 } = leaseOf(node, "a");
    expect(["10.0.", "fd00:0:"].map((prefix, at) => [address, address6][at]?.startsWith(prefix))).toEqual([
      true,
      false,
    ]);
    expect(address6?.startsWith("fd00::")).toBe(true);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("completes what one call cannot bring: ten IPv6 addresses at a time", () => {
    const { node, cloud } = pairNode({ idleMin: 13, idleMax: 13 });
    node.run(20_000);
    expect(changes(node)).toEqual(["create-eni 13+10", "assign 3 ipv6"]);
    expect(sizes(cloud)).toEqual(["13+13"]);
  });

  it("never gives out half a pair, and has it completed for the pod that waits", () => {
    const { node, cloud } = pairNode({ ipStack: "ipv4", idleMin: 3, idleMax: 3 });
    node.run(10_000);
    node.restart(false, "dual");
    node.add("a");
    node.run(500);
    expect([changes(node), node.leases.size]).toEqual([["create-eni 3+0", "assign 3 ipv6"], 0]);
    node.run(2_000);
    expect(leaseOf(node, "a").address6).toMatch(/^fd00::/);
    // One more pair for the one that was taken.
    node.run(10_000);
    expect([changes(node), sizes(cloud)]).toEqual([
      ["create-eni 3+0", "assign 3 ipv6", "assign 1 ipv4", "assign 1 ipv6"],
      ["4+4"],
    ]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("repeats a lost assignment with its token, and learns of its addresses", () => {
    const { node, cloud } = pairNode({ ipStack: "ipv4", idleMin: 3, idleMax: 3 }, { troubles: [LOST] });
    node.run(10_000);
    node.restart(false, "dual");
    node.run(10_000);
    const calls = node.calls.filter((call) => call.kind === "assign");
    expect(calls.map(({ family, count }) => `${count} ${family}`)).toEqual(["3 ipv6", "3 ipv6"]);
    expect([new Set(calls.map(({ token }) => token)).size, sizes(cloud)]).toEqual([1, ["3+3"]]);
  });

  it("keeps both halves of a pair from other pods until it has cooled down, across a restart", () => {
    const { node } = pairNode({ idleMax: 0, cooldownMs: 30_000 });
    node.add("a");
    node.run(10_000);
    const first = leaseOf(node, "a");
    node.del("a");
    node.restart();
    node.run(29_000);
    node.add("b", 500);
    node.run(500);
    expect(node.leases.get("b")).toBeUndefined();
    node.run(2_000);
    node.add("c");
    node.run(5_000);
    const { address, address6 } = leaseOf(node, "c");
    expect({ address, address6 }).toEqual({ address: first.address, address6: first.address6 });
  });

  it("gives a surplus back as pairs, IPv4 first, and never a primary address", () => {
    const { node, cloud } = pairNode({ idleMin: 0, idleMax: 1, cooldownMs: 0 });
    for (const name of ["a", "b", "c", "d"]) node.add(name);
    node.run(10_000);
    expect(sizes(cloud)).toEqual(["5+5"]);
    for (const name of ["b", "c", "d"]) node.del(name);
    const from = node.calls.length;
    node.run(120_000);
    expect([changes(node, from), sizes(cloud)]).toEqual([["unassign 3 ipv4", "unassign 3 ipv6"], ["2+2"]]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("is limited to the smaller quota, and finds it from the refusals", () => {
    const { node, cloud } = pairNode({ idleMax: 0 }, { addresses6PerEni: 4 });
    for (let pod = 0; pod < 9; pod += 1) node.add(`p${pod}`);
    node.run(60_000);
    expect([node.leases.size, node.pool.limits.addresses6PerEni, node.pool.limits.addressesPerEni]).toEqual([
      9, 4, 15,
    ]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("says which permission is missing where pairs cannot be completed, and takes a new ENI", () => {
    const refused = Array.from({ length: 9 }, () => refuse("configuration"));
    const { node, cloud } = pairNode({ ipStack: "ipv4", idleMin: 2, idleMax: 2 }, { troubles: refused });
    node.run(10_000);
    node.restart(false, "dual");
    node.add("a");
    node.run(20_000);
    expect(leaseOf(node, "a").address6).toMatch(/^fd00::/);
    expect(node.notes).toContainEqual(
      expect.stringMatching(/^warn: no more addresses for eni-1 for a minute/),
    );
    expect(sizes(cloud)).toEqual(["2+0", "3+3"]);
  });

  it("leaves running pods what they have when ip_stack becomes ipv4, and gives the other IPv6 addresses back", () => {
    const { node, cloud } = pairNode({ idleMin: 2, idleMax: 2, cooldownMs: 0 });
    node.add("a");
    node.run(10_000);
    const before = leaseOf(node, "a");
    node.restart(false, "ipv4");
    node.add("b");
    node.run(120_000);
    expect(leaseOf(node, "a")).toEqual(before);
    expect(leaseOf(node, "b").address6).toBeUndefined();
    const kept = [...cloud.vpc.enis.values()].flatMap(({ view }) => view.addresses6);
    expect(kept).toEqual([before.address6]);
    // A repeated ADD of the running pod gets the same pair.
    node.add("a");
    expect(leaseOf(node, "a")).toEqual(before);
    node.del("a");
    node.run(120_000);
    expect([...cloud.vpc.enis.values()].flatMap(({ view }) => view.addresses6)).toEqual([]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("leaves the IPv6 addresses of a borrowed ENI alone where pods get none", () => {
    const addresses = { "10.0.0.1": used("a"), "fd00::1": IDLE };
    const pool = poolOf([eniOf(0, addresses, { borrowed: true })], { settleMs: 0 });
    expect(step(pool, { kind: "ticked", nowMs: 1 }).effects).toEqual([]);
    const own = poolOf([eniOf(0, addresses)], { settleMs: 0 });
    expect(step(own, { kind: "ticked", nowMs: 1 }).effects).toMatchObject([
      { kind: "persist-eni" },
      { kind: "unassign", addresses: ["fd00::1"] },
    ]);
  });

  it("refuses a pod where no vSwitch has IPv6, and says so", () => {
    const pool = poolOf([], { ipStack: "dual" });
    const vSwitches = pool.vSwitches.map(({ view }) => {
      const { cidr6: _, ...rest } = view;
      return { view: rest };
    });
    const asked = { kind: "add-requested", attachment: { network: "n", containerId: "c", ifName: "eth0" } };
    const { effects } = step(
      { ...pool, vSwitches },
      { ...asked, kind: "add-requested", deadlineMs: 9_000, nowMs: 1 },
    );
    expect(effects).toMatchObject([
      {
        kind: "refuse",
        fault: { reason: "no vSwitch of the list has an IPv6 block (vsw-a, vsw-b); ip_stack is dual" },
      },
    ]);
  });
});
