/**
 * Whatever is called, whenever, and whatever goes wrong: the cloud keeps its promises, and what others see of it comes
 * to agree with it.
 *
 * @module
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Action } from "./action-names.ts";
import { type FabricChange } from "./fabric.ts";
import { type OrderInput } from "./orders.ts";
import { type CloudState } from "./state.ts";
import { DUAL_STACK_TOPOLOGY_FILE } from "./topology-default.ts";
import { cloudOf, metadata, order } from "./test-cloud.ts";
import { type VirtualAnswer, type VirtualCloud } from "./virtual-cloud.ts";

/** Every step that an ENI may take; `gone` is where it is not there. */
const STEPS = new Set([
  "gone Available",
  "Available Attaching",
  "Attaching InUse",
  "Attaching Available",
  "InUse Detaching",
  "Detaching Available",
  "Available Deleting",
  "Deleting gone",
]);

type Step =
  | { readonly do: "call"; readonly action: Action; readonly eni: number; readonly count: number }
  | { readonly do: "order"; readonly fault: OrderInput }
  | { readonly do: "pass"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("call" as const),
      action: fc.constantFrom<Action>(
        "CreateNetworkInterface",
        "CreateNetworkInterface",
        "AttachNetworkInterface",
        "AttachNetworkInterface",
        "AssignPrivateIpAddresses",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
        "AssignIpv6Addresses",
        "AssignIpv6Addresses",
        "UnassignIpv6Addresses",
        "DetachNetworkInterface",
        "DeleteNetworkInterface",
        "ModifyNetworkInterfaceAttribute",
        "DescribeNetworkInterfaces",
      ),
      eni: fc.nat(6),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat(4000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("order" as const),
      fault: fc.constantFrom<OrderInput>(
        { kind: "error", code: "InternalError" },
        { kind: "lostReply" },
        { kind: "delay", delayMs: 5000 },
        { kind: "attachFails" },
        { kind: "linkNeverAppears" },
        { kind: "stuckDetach" },
        { kind: "stuckDelete" },
        { kind: "metadataLag", delayMs: 3000 },
        { kind: "metadataStale" },
        { kind: "foreignEni", vSwitch: "vsw-pods-h1", serviceManaged: false },
      ),
    }),
  },
);

/** Does a step; the function returned gives the answer of a call. */
function take(cloud: VirtualCloud, done: Step): (() => VirtualAnswer | undefined) | undefined {
  switch (done.do) {
    case "pass":
      passWatched(cloud, done.ms);
      return undefined;
    case "order":
      order(cloud, done.fault);
      return undefined;
    case "call": {
      const enis = cloud.model.state(cloud.nowMs()).enis.filter((eni) => eni.type === "Secondary");
      const eni = enis[done.eni % Math.max(1, enis.length)];
      const listed = (eni?.addresses ?? []).slice(1, 1 + done.count);
      const listed6 = (eni?.ipv6Addresses ?? []).slice(0, done.count);
      return cloud.begin(done.action, {
        NetworkInterfaceId: eni?.id ?? "eni-none",
        InstanceId: "i-node-1",
        VSwitchId: done.eni % 2 === 0 ? "vsw-pods-h1" : "vsw-pods-h2",
        SecurityGroupId: "sg-pods",
        ClientToken: `${done.action}-${done.eni}-${cloud.nowMs()}`,
        SecondaryPrivateIpAddressCount: String(done.count),
        ...(done.action !== "UnassignIpv6Addresses" ? { Ipv6AddressCount: String(done.count) } : {}),
        SourceDestCheck: String(done.count % 2 === 0),
        ...(done.action === "UnassignPrivateIpAddresses"
          ? Object.fromEntries(listed.map((address, index) => [`PrivateIpAddress.${index + 1}`, address]))
          : {}),
        ...(done.action === "UnassignIpv6Addresses"
          ? Object.fromEntries(listed6.map((address, index) => [`Ipv6Address.${index + 1}`, address]))
          : {}),
      });
    }
    default:
      return done satisfies never;
  }
}

/** Lets time pass from event to event and looks at the cloud after each. */
function passWatched(cloud: VirtualCloud, durationMs: number): void {
  const untilMs = cloud.nowMs() + durationMs;
  let before = cloud.model.state(cloud.nowMs());
  while (cloud.nowMs() < untilMs) {
    const nextMs = Math.min(untilMs, cloud.model.nextDueMs() ?? untilMs);
    cloud.pass(Math.max(0, nextMs - cloud.nowMs()));
    const now = cloud.model.state(cloud.nowMs());
    expect(now.broken.filter(({ invariant }) => invariant !== "eni-without-owner")).toEqual([]);
    expect(stepsBetween(before, now).filter((taken) => !STEPS.has(taken))).toEqual([]);
    before = now;
  }
}

function statusIn(state: CloudState, id: string): string {
  return state.enis.find((eni) => eni.id === id)?.status ?? "gone";
}

function stepsBetween(before: CloudState, now: CloudState): readonly string[] {
  const ids = new Set([...before.enis, ...now.enis].map(({ id }) => id));
  return [...ids].flatMap((id) => {
    const [from, to] = [statusIn(before, id), statusIn(now, id)];
    return from === to ? [] : [`${from} ${to}`];
  });
}

type Plugged = { instance: string; check: boolean; allowed: Set<string> };

/** A data plane in memory. Refuses what cannot be done to a real one. */
function replay(changes: readonly FabricChange[]): ReadonlyMap<string, Plugged> {
  const plugged = new Map<string, Plugged>();
  const of = (eni: string): Plugged => {
    const found = plugged.get(eni);
    if (found === undefined) throw new Error(`${eni} is not plugged in`);
    return found;
  };
  for (const change of changes) {
    switch (change.op) {
      case "plug":
        expect(plugged.has(change.eni)).toBe(false);
        plugged.set(change.eni, { instance: change.instance, check: false, allowed: new Set() });
        break;
      case "unplug":
        of(change.eni);
        plugged.delete(change.eni);
        break;
      case "allow":
        expect([...plugged.values()].some(({ allowed }) => allowed.has(change.address))).toBe(false);
        of(change.eni).allowed.add(change.address);
        break;
      case "revoke":
        expect(of(change.eni).allowed.delete(change.address)).toBe(true);
        break;
      case "check-source":
        of(change.eni).check = change.on;
        break;
      default:
        change satisfies never;
    }
  }
  return plugged;
}

function plainEni(instance: string, check: boolean, addresses: readonly string[]): unknown {
  return { instance, check, addresses: addresses.toSorted() };
}

describe("a run of the model", () => {
  it("holds no address twice, keeps sums and steps, answers every call, and all views come to agree", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { minLength: 10, maxLength: 60 }), (seed, steps) => {
        const cloud = cloudOf(DUAL_STACK_TOPOLOGY_FILE, seed);
        const answers = steps.map((done) => take(cloud, done)).filter((answered) => answered !== undefined);
        cloud.model.clearFaults();
        passWatched(cloud, 60_000);
        expect(answers.filter((answered) => answered() === undefined)).toEqual([]);
        const { enis } = cloud.model.state(cloud.nowMs());
        const linked = enis.filter(({ link }) => link);
        const fabric = replay(cloud.changes);
        const wanted = linked.map((eni) => [
          eni.id,
          plainEni(eni.owner, eni.sourceDestCheck, [...eni.addresses, ...eni.ipv6Addresses]),
        ]);
        const found = [...fabric].map(([id, eni]) => [
          id,
          plainEni(eni.instance, eni.check, [...eni.allowed]),
        ]);
        expect(Object.fromEntries(found)).toEqual(Object.fromEntries(wanted));
        const inNode1 = enis.filter(({ owner }) => owner === "i-node-1");
        const macs = metadata(cloud, "network/interfaces/macs/").body.split("\n");
        expect(macs.toSorted()).toEqual(inNode1.map(({ mac }) => `${mac}/`).toSorted());
        for (const eni of inNode1) {
          const shown: unknown = JSON.parse(
            metadata(cloud, `network/interfaces/macs/${eni.mac}/private-ipv4s`).body,
          );
          expect(shown).toEqual(eni.addresses);
          const shown6 = metadata(cloud, `network/interfaces/macs/${eni.mac}/ipv6s`);
          const none = eni.ipv6Addresses.length === 0;
          expect(shown6.status === 404 ? "none" : shown6.body).toBe(
            none ? "none" : `[${eni.ipv6Addresses.join(", ")}]`,
          );
        }
        const described = cloud.call("DescribeNetworkInterfaces", { MaxResults: "500" });
        expect(
          JSON.stringify(described.body)
            .match(/eni-\w{20}/g)
            ?.toSorted(),
        ).toEqual(enis.map(({ id }) => id).toSorted());
      }),
      { numRuns: 150 },
    );
  });
});
