import { describe, expect, it } from "vitest";
import { parseIpv4, parseMac } from "../../../proto/addr.ts";
import { eniId, vSwitchId } from "../../../proto/ids.ts";
import { type EniView } from "../cloud.ts";
import { type CloudCall, fakeCloud, type FakeCloud } from "./fake-cloud.ts";
import { type FakeNode, fakeNode, SETTINGS } from "./fake-node.ts";
import { A, mistakes, nodeWith, refuse } from "./fake-trouble.ts";
import { eniOf, IDLE, looked, poolOf } from "./fake-pool.ts";
import { INSTANCE, record } from "./fake-vpc.ts";
import { step } from "./step.ts";

const ip = (text: string): EniView["primary"] => parseIpv4(text) ?? expect.fail(text);

/** An ENI that is attached to the instance before the agent starts. */
function viewOf(serial: number, more: Partial<EniView> = {}): EniView {
  const addresses = [ip(`10.9.${serial}.1`), ip(`10.9.${serial}.2`)];
  return {
    id: eniId(`eni-old-${serial}`),
    mac: parseMac(`00:16:3e:00:09:0${serial}`) ?? expect.fail("MAC"),
    status: "InUse",
    type: "Secondary",
    vSwitch: A,
    instance: INSTANCE,
    primary: ip(`10.9.${serial}.1`),
    addresses,
    securityGroups: [],
    tags: SETTINGS.ownTags,
    addresses6: [],
    serviceManaged: false,
    ...more,
  };
}

function nodeBeside(
  views: readonly EniView[],
  settings = {},
): { readonly node: FakeNode; readonly cloud: FakeCloud } {
  const cloud = fakeCloud({ enisMax: 3, addressesPerEni: 15, vSwitches: [{ id: A, size: 1_000 }] });
  for (const view of views) cloud.vpc.enis.set(view.id, { view, linked: true, undo: false });
  record(cloud.vpc, 500);
  const node = fakeNode({ cloud, settings: { idleMax: 10, ...settings } });
  node.run(1_000);
  return { node, cloud };
}

function calls(node: FakeNode): CloudCall["kind"][] {
  return node.calls.slice(1).map(({ kind }) => kind);
}

describe("the first survey", () => {
  it("takes over what carries our tags, and serves from it without another call", () => {
    const { node } = nodeBeside([viewOf(1)]);
    node.add("a");
    node.add("b");
    expect([...node.leases.values()].map(({ address }) => address)).toEqual(["10.9.1.1", "10.9.1.2"]);
    node.run(60_000);
    expect(calls(node)).toEqual([]);
    expect(node.pool.enis.get(0)?.state).toEqual({ kind: "ready", ifIndex: 10, confirmed: true });
  });

  it("never touches an ENI that is not ours; it counts against the limit", () => {
    const foreign = [
      viewOf(1, { tags: {} }),
      viewOf(2, { serviceManaged: true }),
      viewOf(3, { type: "Other" }),
      viewOf(4, { type: "Primary" }),
    ];
    const { node } = nodeBeside(foreign, { idleMax: 0 });
    expect(node.pool.enis.size).toBe(0);
    expect(node.pool.foreign).toBe(3);
    node.add("a");
    expect(node.refusals.get("a")?.fault).toMatchObject({ kind: "no-address" });
    node.run(600_000);
    expect(calls(node)).toEqual([]);
  });

  it("takes nothing over where we have no tags of our own", () => {
    const { node } = nodeBeside([viewOf(1)], { ownTags: {} });
    expect(node.pool.enis.size).toBe(0);
    expect(node.pool.foreign).toBe(1);
  });

  it("borrows what the tag filter names, and never detaches it", () => {
    const { node, cloud } = nodeBeside([viewOf(1, { tags: { team: "x", other: "y" } })], {
      adoptTags: { team: "x" },
      idleMax: 0,
      settleMs: 0,
      cooldownMs: 0,
    });
    node.add("a");
    expect(node.leases.get("a")?.address).toBe("10.9.1.1");
    node.del("a");
    node.run(600_000);
    expect(calls(node)).toEqual(["unassign"]);
    expect(mistakes(node, cloud)).toEqual([]);
    expect(node.pool.enis.get(0)?.borrowed).toBe(true);
  });

  it("is repeated until it succeeds; pods wait for it, or hear why it cannot", () => {
    const soon = nodeWith("describe", [refuse("again"), refuse("again")]).node;
    soon.add("a");
    soon.run(10_000);
    expect(soon.leases.has("a")).toBe(true);
    const never = nodeWith(
      "describe",
      Array.from({ length: 99 }, () => refuse("configuration")),
    ).node;
    never.add("a");
    expect(never.refusals.get("a")?.fault).toMatchObject({ kind: "cloud", code: "Code.configuration" });
    never.run(600_000);
    expect(never.calls.length).toBeLessThanOrEqual(11);
    expect(new Set(never.calls.map(({ kind }) => kind))).toEqual(new Set(["describe"]));
  });
});

describe("later surveys", () => {
  it("find addresses that came and drop idle ones that went; a pod's is named", () => {
    const { node, cloud } = nodeBeside([viewOf(1)]);
    node.add("a");
    const eni = cloud.vpc.enis.get(eniId("eni-old-1")) ?? expect.fail("no ENI");
    eni.view = { ...eni.view, addresses: [ip("10.9.1.3")] };
    record(cloud.vpc, node.nowMs);
    node.run(3_600_000);
    expect(
      [...(node.pool.enis.get(0)?.addresses.entries() ?? [])].map(([address, { kind }]) => [address, kind]),
    ).toEqual([
      ["10.9.1.1", "used"],
      ["10.9.1.3", "idle"],
    ]);
    expect(node.notes.filter((text) => text.startsWith("warn"))).toEqual([
      "warn: 10.9.1.1 of eni-old-1 is not the cloud's any more; container a has no network: delete its pod",
    ]);
    // With its pod it is gone for good: no cooldown, nobody gets it.
    node.del("a");
    expect([...(node.pool.enis.get(0)?.addresses.keys() ?? [])]).toEqual(["10.9.1.3"]);
  });

  it("do not take over an ENI that has just left: a view that is late shows it still", () => {
    const gone = eniOf(0, { "10.0.0.1": IDLE }, { state: { kind: "deleting", sinceMs: 0, unsure: false } });
    const { pool } = looked(poolOf([gone]), [], 1_000, 1_000);
    expect(pool.departed).toEqual(new Map([["eni-0", 1_000]]));
    const listed = (sinceMs: number) =>
      step(
        { ...pool, describing: { sinceMs } },
        {
          kind: "described",
          scope: { by: "instance" },
          views: [viewOf(1, { id: eniId("eni-0") })],
          nowMs: 601_100,
        },
      ).pool;
    expect([listed(601_000).enis.size, listed(601_001).enis.size]).toEqual([0, 1]);
    expect(listed(601_000).foreign).toBe(0);
  });

  it("attach an ENI again that somebody detached", () => {
    const { node, cloud } = nodeBeside([viewOf(1)]);
    node.add("a");
    const eni = cloud.vpc.enis.get(eniId("eni-old-1")) ?? expect.fail("no ENI");
    const { instance: _, ...detached } = eni.view;
    eni.view = { ...detached, status: "Available" };
    eni.linked = false;
    record(cloud.vpc, node.nowMs);
    node.run(3_600_000);
    expect(cloud.vpc.enis.get(eniId("eni-old-1"))?.view.status).toBe("InUse");
    expect(node.pool.enis.get(0)?.state.kind).toBe("ready");
    expect(node.leases.get("a")?.address).toBe("10.9.1.1");
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("drop an ENI that somebody deleted, once its pods are gone", () => {
    const { node, cloud } = nodeBeside([viewOf(1)]);
    node.add("a");
    cloud.vpc.enis.clear();
    record(cloud.vpc, node.nowMs);
    node.run(3_600_000);
    expect([...(node.pool.enis.get(0)?.addresses.values() ?? [])]).toMatchObject([
      { kind: "used", lost: true },
    ]);
    node.add("b");
    node.run(10_000);
    expect(node.leases.get("b")?.slot).toBe(1);
    node.del("a");
    expect([...node.pool.enis.keys()]).toEqual([1]);
    expect(mistakes(node, cloud)).toEqual([]);
  });
});

describe("looks", () => {
  it("ask for all ENIs in transition at once", () => {
    const { node } = nodeWith("assign", [], { settings: { idleMin: 30, idleMax: 30 } });
    node.run(20_000);
    const looks = node.calls.flatMap((call) =>
      call.kind === "describe" && call.scope.by === "ids" ? [call.scope.ids] : [],
    );
    expect(looks).toEqual([["eni-1", "eni-2"]]);
  });

  it("ignore answers about an ENI that has left its slot", () => {
    const { node } = nodeWith("assign", []);
    node.add("a");
    node.run(10_000);
    const before = node.pool;
    const gone = eniId("eni-gone");
    node.send({ kind: "assigned", slot: 0, eni: gone, addresses: [ip("10.0.9.9")] });
    node.send({ kind: "detach-accepted", slot: 0, eni: gone });
    node.send({ kind: "eni-link-failed", slot: 0, eni: gone, fault: { kind: "internal", reason: "late" } });
    expect(node.pool.enis).toEqual(before.enis);
  });
});

describe("vSwitches", () => {
  it("that are no longer configured keep their ENIs", () => {
    const { node } = nodeBeside([viewOf(1, { vSwitch: vSwitchId("vsw-old") })]);
    for (const name of ["a", "b", "c"]) node.add(name);
    node.run(5_000);
    // The ENI is asked for more: whether its vSwitch has room only the cloud knows.
    expect(calls(node)[0]).toBe("assign");
  });
});
