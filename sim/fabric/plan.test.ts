import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type IpAddress } from "../../proto/addr6.ts";
import { eniId, instanceId } from "../../proto/ids.ts";
import { type FabricChange } from "../model/fabric.ts";
import { cidr6, ip, ip6, mac } from "./fabric-lab.ts";
import { planChanges, type Wiring, type WiringPlan, withoutPlugs } from "./plan.ts";

const shape = { name: "sim", vSwitches6: [], nodes: [{ instance: instanceId("i-a"), node: "node-a" }] };
const eni = eniId("eni-bp1x");
const device = "ebp1x";
const plug: FabricChange = { op: "plug", eni, instance: instanceId("i-a"), mac: mac("00:16:3e:00:00:01") };
const address = ip("10.0.0.1");

function linesOf(
  wiring: Wiring,
  ...changes: readonly FabricChange[]
): { ip: string[]; nft: readonly string[] } {
  const plan = planChanges(shape, wiring, changes);
  return { ip: plan.ip.map(({ text }) => text), nft: plan.nft };
}

function after(...changes: readonly FabricChange[]): Wiring {
  return planChanges(shape, new Map(), changes).wiring;
}

describe("planChanges()", () => {
  it("plugs with both ends in place and no delay of proxied ARP", () => {
    expect(linesOf(new Map(), plug)).toEqual({
      ip: [
        "link add name ebp1x up address ee:ff:ff:ff:ff:ff type veth peer name eth%d address 00:16:3e:00:00:01 netns sim-node-a",
        "ntable change name arp_cache dev ebp1x proxy_delay 0",
      ],
      nft: [],
    });
  });

  it("allows with a route, a neighbour and an element for packets and for ARP", () => {
    expect(linesOf(after(plug), { op: "allow", eni, address })).toEqual({
      ip: [
        "route replace 10.0.0.1/32 dev ebp1x",
        "neigh replace 10.0.0.1 lladdr 00:16:3e:00:00:01 dev ebp1x nud permanent",
      ],
      nft: [
        'add element ip fabric allowed { "ebp1x" . 00:16:3e:00:00:01 . 10.0.0.1 }',
        'add element arp fabric allowed { "ebp1x" . 00:16:3e:00:00:01 . 10.0.0.1 }',
      ],
    });
  });

  it("lets ports answer for the gateways of IPv6, where a vSwitch has it", () => {
    const both = { ...shape, vSwitches6: [cidr6("fd00:0:0:1::/64")] };
    const wiring = planChanges(both, new Map(), [plug]).wiring;
    const plugged = planChanges(both, new Map(), [plug]);
    expect(plugged.ip.map(({ text }) => text)).toContain(
      "addr replace fd00::1:ffff:ffff:ffff:fff7/128 dev ebp1x nodad",
    );
    expect(plugged.nft).toEqual(['add element ip6 fabric ports { "ebp1x" . 00:16:3e:00:00:01 }']);
    const allowed = planChanges(both, wiring, [{ op: "allow", eni, address: ip6("fd00:0:0:1::5") }]);
    expect([allowed.ip.map(({ text }) => text), allowed.nft]).toEqual([
      [
        "route replace fd00:0:0:1::5/128 dev ebp1x",
        "neigh replace fd00:0:0:1::5 lladdr 00:16:3e:00:00:01 dev ebp1x nud permanent",
      ],
      ['add element ip6 fabric allowed { "ebp1x" . 00:16:3e:00:00:01 . fd00:0:0:1::5 }'],
    ]);
  });

  it("lets every port answer for the IPv6 addresses of the others, and forgets what has gone", () => {
    const both = { ...shape, vSwitches6: [cidr6("fd00:0:0:1::/64")] };
    const other = eniId("eni-bp2x");
    const plugs: readonly FabricChange[] = [
      plug,
      { op: "plug", eni: other, instance: instanceId("i-a"), mac: mac("00:16:3e:00:00:02") },
    ];
    const { wiring } = planChanges(both, new Map(), plugs);
    const proxied = (of: Wiring, ...changes: readonly FabricChange[]) =>
      planChanges(both, of, changes).ip.flatMap(({ text }) => (text.includes(" proxy ") ? [text] : []));
    const allow: FabricChange = { op: "allow", eni, address: ip6("fd00:0:0:1::5") };
    expect(proxied(wiring, allow)).toEqual([`neigh replace proxy fd00:0:0:1::5 dev ebp2x`]);
    const allowed = planChanges(both, wiring, [allow]).wiring;
    const gone = [`neigh del proxy fd00:0:0:1::5 dev ebp2x`];
    expect(proxied(allowed, { ...allow, op: "revoke" })).toEqual(gone);
    expect(proxied(allowed, { op: "unplug", eni })).toEqual(gone);
    expect(proxied(allowed, { op: "allow", eni, address })).toEqual([]);
  });

  it("unplugs with all that hangs on the device", () => {
    const wiring = after(plug, { op: "allow", eni, address }, { op: "check-source", eni, on: false });
    const { ip, nft } = linesOf(wiring, { op: "unplug", eni });
    expect(ip).toEqual(["link del ebp1x"]);
    expect(nft.filter((line) => line.startsWith("delete"))).toEqual([
      `delete element ip fabric allowed { "${device}" . 00:16:3e:00:00:01 . 10.0.0.1 }`,
      `delete element arp fabric allowed { "${device}" . 00:16:3e:00:00:01 . 10.0.0.1 }`,
      `delete element ip fabric unchecked { "${device}" . 00:16:3e:00:00:01 }`,
      `delete element arp fabric unchecked { "${device}" . 00:16:3e:00:00:01 }`,
    ]);
  });

  it("wires what was allowed before the plug", () => {
    const early = after({ op: "allow", eni, address }, { op: "check-source", eni, on: false });
    const { ip, nft } = linesOf(early, plug);
    expect(ip).toContain("route replace 10.0.0.1/32 dev ebp1x");
    expect(nft).toContain('add element ip fabric unchecked { "ebp1x" . 00:16:3e:00:00:01 }');
  });

  it("plans nothing for an ENI that is not plugged", () => {
    const changes: readonly FabricChange[] = [
      { op: "allow", eni, address },
      { op: "check-source", eni, on: false },
      { op: "revoke", eni, address },
      { op: "check-source", eni, on: true },
      { op: "unplug", eni },
    ];
    expect(planChanges(shape, new Map(), changes)).toEqual({ wiring: new Map(), ip: [], nft: [] });
  });

  it("forgets nothing that it still has to take away, in any order of changes", () => {
    const both = { ...shape, vSwitches6: [cidr6("fd00:0:0:1::/64")] };
    const arbitrary: fc.Arbitrary<FabricChange> = fc.oneof(
      fc.constant(plug),
      fc.constant<FabricChange>({ op: "unplug", eni }),
      fc.record({ op: fc.constantFrom("allow", "revoke"), eni: fc.constant(eni), address: anAddress() }),
      fc.record({ op: fc.constant("check-source"), eni: fc.constant(eni), on: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 30 }), (changes) => {
        const plan = planChanges(both, new Map(), [...changes, { op: "unplug", eni }]);
        expect(leftIn(plan)).toEqual([]);
        const again = changes.flatMap((change) => [change, change]);
        expect(planChanges(both, new Map(), again)).toEqual(planChanges(both, new Map(), changes));
      }),
    );
  });
});

function anAddress(): fc.Arbitrary<IpAddress> {
  return fc.constantFrom<IpAddress>(ip("10.0.0.1"), ip("10.0.0.2"), ip6("fd00:0:0:1::5"));
}

/** Elements that a run of the nft lines leaves in the sets. */
function leftIn(plan: WiringPlan): readonly string[] {
  const elements = new Set<string>();
  for (const line of plan.nft) {
    const element = line.replace(/^(?:add|delete) /, "");
    if (line.startsWith("add ")) elements.add(element);
    else expect(elements.delete(element), line).toBe(true);
  }
  return [...elements];
}

describe("withoutPlugs()", () => {
  it("makes a later plug try again, with its addresses", () => {
    const wiring = withoutPlugs(after(plug, { op: "allow", eni, address }), [eni]);
    expect(linesOf(wiring, plug).ip).toHaveLength(4);
  });
});
