import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { callsText } from "./calls.ts";
import { orderOf } from "./fault.ts";
import { stateText, type StateView } from "./state.ts";

const NODES = [{ node: "node-1", instance: "i-node-1" }];

describe("orderOf()", () => {
  it("reads numbers, truth values, lists and names of nodes", () => {
    expect(orderOf(["error", "code=Throttling", "status=400", "instance=node-1", "times=3"], NODES)).toEqual(
      ok({ kind: "error", code: "Throttling", status: 400, instance: "i-node-1", times: 3 }),
    );
    expect(
      orderOf(
        ["foreignEni", "vSwitch=vsw-1", "serviceManaged=false", 'tags=[{"key":"a","value":"b=c"}]'],
        NODES,
      ),
    ).toEqual(
      ok({ kind: "foreignEni", vSwitch: "vsw-1", serviceManaged: false, tags: [{ key: "a", value: "b=c" }] }),
    );
  });

  it("refuses what no fault has, in a sentence", () => {
    expect(orderOf([], NODES)).toMatchObject({ ok: false, fault: expect.stringContaining("lostReply") });
    expect(orderOf(["html502", "times"], NODES)).toEqual(failed('"times" is not of the form KEY=VALUE'));
    expect(orderOf(["lostRepyl"], NODES)).toMatchObject({
      ok: false,
      fault: expect.stringContaining('did you mean "lostReply"?'),
    });
    expect(orderOf(["html502", "tmies=2"], NODES)).toMatchObject({
      ok: false,
      fault: expect.stringContaining("tmies"),
    });
  });
});

describe("callsText()", () => {
  it("shows sums by name, then seconds", () => {
    const none = { refused: 0, throttled: 0, lost: 0 };
    const text = callsText({
      totals: {
        DescribeVSwitches: { ...none, calls: 1 },
        Create: { calls: 3, refused: 1, throttled: 1, lost: 0 },
      },
      seconds: [{ ...none, second: 0, action: "DescribeVSwitches", calls: 1 }],
    });
    expect(text.split("\n")).toEqual([
      "ACTION             CALLS  REFUSED  THROTTLED  LOST",
      "Create             3      1        1          0",
      "DescribeVSwitches  1      0        0          0",
      "",
      "SECOND (simulated)    ACTION             CALLS  REFUSED  THROTTLED  LOST",
      "1970-01-01T00:00:00Z  DescribeVSwitches  1      0        0          0",
      "",
    ]);
    expect(callsText({ totals: {}, seconds: [] })).toBe("no calls\n");
  });
});

describe("stateText()", () => {
  const state: StateView = {
    vSwitches: [
      { id: "vsw-1", zone: "z", cidr: "10.0.0.0/24", used: 2, held: 1, available: 249, drained: true },
    ],
    instances: [{ id: "i-1", name: "node-1" }],
    enis: [
      {
        id: "eni-1",
        mac: "00:16:3e:00:00:01",
        type: "Primary",
        status: "InUse",
        vSwitch: "vsw-1",
        owner: "i-1",
        link: true,
        addresses: ["10.0.0.1", "10.0.0.2"],
        ipv6Addresses: [],
      },
    ],
    broken: [],
    fabric: { spoofedPackets: 1, spoofedArp: 2, spoofedIpv6: 0, ipv6Packets: 3 },
  };

  it("shows who has what, and that all is well", () => {
    expect(stateText(state).split("\n")).toEqual([
      "ENI    TYPE     STATUS  OWNER   LINK  MAC                VSWITCH  ADDRESSES",
      "eni-1  Primary  InUse   node-1  yes   00:16:3e:00:00:01  vsw-1    10.0.0.1 and 1 more",
      "",
      "VSWITCH  ZONE  CIDR         USED  RESTING  FREE",
      "vsw-1    z     10.0.0.0/24  2     1        249   drained",
      "",
      "refused by the VPC: 1 spoofed packets, 2 spoofed ARP messages, 3 IPv6 packets (noise)",
      "nothing is broken",
      "",
    ]);
  });

  it("shows IPv6 where a vSwitch has it", () => {
    const ipv6 = { cidr: "fd00:1::/64", used: 1, held: 2 };
    const text = stateText({
      ...state,
      vSwitches: state.vSwitches.map((entry) => ({ ...entry, ipv6 })),
      enis: state.enis.map((eni) => ({ ...eni, ipv6Addresses: ["fd00:1::5"] })),
      fabric: { ...state.fabric, spoofedIpv6: 4 },
    });
    expect(text.split("\n")).toEqual([
      "ENI    TYPE     STATUS  OWNER   LINK  MAC                VSWITCH  ADDRESSES            IPV6",
      "eni-1  Primary  InUse   node-1  yes   00:16:3e:00:00:01  vsw-1    10.0.0.1 and 1 more  fd00:1::5",
      "",
      "VSWITCH  ZONE  CIDR         USED  RESTING  FREE",
      "vsw-1    z     10.0.0.0/24  2     1        249   drained",
      "",
      "VSWITCH  IPV6 CIDR    USED  RESTING",
      "vsw-1    fd00:1::/64  1     2",
      "",
      "refused by the VPC: 1 spoofed packets, 2 spoofed ARP messages, 4 spoofed IPv6 packets, 3 IPv6 packets (noise)",
      "nothing is broken",
      "",
    ]);
  });

  it("shouts where something is broken", () => {
    const text = stateText({ ...state, broken: [{ invariant: "pool-sum", detail: "vsw-1: 3 of 2" }] });
    expect(text).toContain("BROKEN:\n  pool-sum: vsw-1: 3 of 2\n");
  });
});
