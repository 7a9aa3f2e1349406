import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_TOPOLOGY_FILE, DUAL_STACK_TOPOLOGY_FILE } from "./topology-default.ts";
import { defaultTopology, formatProblem, parseTopology } from "./topology-file.ts";
import { type TopologyFile } from "./topology.ts";

const TEXT = JSON.stringify(DEFAULT_TOPOLOGY_FILE, undefined, 2);

/** The problems of the default topology with one text replaced by another. */
function problemsWith(search: string, replacement: string): readonly string[] {
  expect(TEXT).toContain(search);
  return problemsOf(TEXT.replace(search, replacement));
}

function problemsOf(text: string): readonly string[] {
  const parsed = parseTopology(text);
  return parsed.ok ? [] : parsed.fault.map(formatProblem);
}

describe("defaultTopology()", () => {
  it("is two zones, three vSwitches for pods of which the first is small, and two nodes", () => {
    const topology = defaultTopology();
    expect(topology.vSwitches.map(({ id, zone, cidr }) => [id, zone, cidr])).toEqual([
      ["vsw-pods-h1", "cn-hangzhou-h", "10.10.16.0/28"],
      ["vsw-pods-h2", "cn-hangzhou-h", "10.10.32.0/20"],
      ["vsw-pods-i1", "cn-hangzhou-i", "10.10.48.0/20"],
      ["vsw-nodes-h", "cn-hangzhou-h", "10.10.0.0/24"],
      ["vsw-nodes-i", "cn-hangzhou-i", "10.10.1.0/24"],
    ]);
    expect(topology.instances.map(({ name, type, zone }) => [name, type, zone])).toEqual([
      ["node-1", "ecs.g7.xlarge", "cn-hangzhou-h"],
      ["node-2", "ecs.g7.xlarge", "cn-hangzhou-i"],
    ]);
    expect(topology.instanceTypes["ecs.g7.xlarge"]).toEqual({
      eniQuantity: 4,
      eniPrivateIpAddressQuantity: 15,
    });
    expect(topology.policies["terway"]?.Statement.flatMap(({ Action }) => Action)).toHaveLength(11);
  });

  it("cannot be changed", () => {
    expect(() => Object.assign(defaultTopology().vpc, { id: "vpc-other" })).toThrow(TypeError);
  });
});

describe("parseTopology()", () => {
  it("allows comments and trailing commas", () => {
    expect(problemsOf(TEXT.replace("{", "{ // mine").replace(/\}$/, ",}"))).toEqual([]);
  });

  it("names line and column of what is not JSON", () => {
    expect(problemsOf('{\n  "region": ,\n}')).toEqual(["2:13: not JSON: value expected"]);
    expect(problemsOf("")).toEqual(["1:1: not JSON: value expected"]);
  });

  it("suggests the key that was meant", () => {
    const [problem] = problemsWith(
      '"zone": "cn-hangzhou-i",\n      "cidr"',
      '"zon": "cn-hangzhou-i",\n      "cidr"',
    );
    expect(problem).toMatch(/^25:5: vSwitches\[2\]\.zone: this key is missing \(expected string\)$/);
    expect(problemsWith('"securityGroups"', '"securityGroup"')).toEqual([
      expect.stringMatching(
        /^11:3: securityGroup: there is no such key here; .*; did you mean "securityGroups"\?$/,
      ),
    ]);
    expect(problemsWith('"vpc":', '"latencies": { "atach": {} }, "vpc":')).toEqual([
      expect.stringMatching(/latencies\.atach: .*did you mean "attach"\?$/),
    ]);
  });

  it("refuses a key that is there twice", () => {
    expect(
      problemsWith('"region": "cn-hangzhou",', '"region": "cn-hangzhou", "region": "cn-hangzhou",'),
    ).toEqual(["2:28: region: this key is there twice in the same object; remove one"]);
  });

  it.each([
    [
      '"10.10.32.0/20"',
      '"10.10.16.0/20"',
      "23:15: vSwitches[1].cidr: 10.10.16.0/20 overlaps with 10.10.16.0/28 of vsw-pods-h1; give them networks apart",
    ],
    [
      '"10.10.32.0/20"',
      '"10.11.32.0/20"',
      "23:15: vSwitches[1].cidr: 10.11.32.0/20 is not inside the VPC's 10.10.0.0/16",
    ],
    [
      '"10.10.32.0/20"',
      '"10.10.32.1/20"',
      '23:15: vSwitches[1].cidr: "10.10.32.1/20" is not an IPv4 network in canonical form, such as "10.0.0.0/24"',
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/30"',
      "18:15: vSwitches[0].cidr: 10.10.16.0/30: the prefix of a vSwitch is /16 to /29",
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "availableAddresses": 13',
      "18:54: vSwitches[0].availableAddresses: 10.10.16.0/28 has 12 usable addresses",
    ],
    ['"vsw-pods-h2"', '"vsw-pods-h1"', "21:13: vSwitches[1].id: vsw-pods-h1 is there already"],
    [
      '"zone": "cn-hangzhou-i"',
      '"zone": "cn-hangzhou-x"',
      '27:15: vSwitches[2].zone: there is no zone "cn-hangzhou-x"; there are: cn-hangzhou-h, cn-hangzhou-i',
    ],
    ['"i-node-2"', '"i-node-1"', "54:13: instances[1].id: i-node-1 is there already"],
    [
      '"ecs.g7.xlarge"',
      '"ecs.none"',
      '45:15: instances[0].type: no limits are known for "ecs.none"; add it to instanceTypes',
    ],
    [
      '"vSwitch": "vsw-nodes-h"',
      '"vSwitch": "vsw-nodes-i"',
      "47:18: instances[0].vSwitch: vsw-nodes-i is in zone cn-hangzhou-i, the instance in cn-hangzhou-h",
    ],
    [
      '"10.10.0.11"',
      '"10.10.0.253"',
      "48:18: instances[0].address: 10.10.0.253 is not one of the usable addresses of 10.10.0.0/24 (the first and the last three are the cloud's)",
    ],
    [
      '"policy": "terway"',
      '"policy": "none"',
      '103:17: credentials[0].policy: there is no policy "none"; there are: terway',
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "ipv6Cidr": "fd00::1/64"',
      '18:44: vSwitches[0].ipv6Cidr: "fd00::1/64" is not an IPv6 network in canonical form, such as "fd00::/64"',
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "ipv6Cidr": "10.0.0.0/24"',
      '18:44: vSwitches[0].ipv6Cidr: "10.0.0.0/24" is not an IPv6 network in canonical form, such as "fd00:0:0:1::/64"',
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "ipv6Cidr": "fd00::/56"',
      "18:44: vSwitches[0].ipv6Cidr: fd00::/56: the prefix of a vSwitch is /64",
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "ipv6Cidr": "fe80::/64"',
      "18:44: vSwitches[0].ipv6Cidr: fe80::/64 is not inside 2000::/3 or fc00::/7",
    ],
    [
      '"10.10.16.0/28"',
      '"10.10.16.0/28", "availableIpv6Addresses": 1',
      "18:58: vSwitches[0].availableIpv6Addresses: vsw-pods-h1 has no ipv6Cidr; add one, or remove this key",
    ],
    [
      '"10.10.0.11"',
      '"10.10.0.11", "ipv6Address": "fd00::1"',
      "48:47: instances[0].ipv6Address: vsw-nodes-h has no ipv6Cidr; add one, or remove this key",
    ],
    ['"region": "cn-hangzhou"', '"region": 7', "2:13: region: expected string, received number"],
  ])("refuses %s -> %s", (search, replacement, message) => {
    expect(problemsWith(search, replacement)).toContain(message);
  });

  it.each([
    [
      "fd00:10:0:2::/64",
      "fd00:10:0:1::/64",
      "vSwitches[1].ipv6Cidr: fd00:10:0:1::/64 overlaps with fd00:10:0:1::/64 of vsw-pods-h1; give them networks apart",
    ],
    [
      "fd00:10:0:4::11",
      "fd00:10:0:4:ffff:ffff:ffff:fff7",
      "instances[0].ipv6Address: fd00:10:0:4:ffff:ffff:ffff:fff7 is not one of the usable addresses of fd00:10:0:4::/64 (the first and the last nine are the cloud's)",
    ],
    [
      "fd00:10:0:4::11",
      "fd00:10:0:4::1x",
      'instances[0].ipv6Address: "fd00:10:0:4::1x" is not an IPv6 address',
    ],
  ])("refuses %s -> %s in a topology with IPv6", (search, replacement, message) => {
    const text = JSON.stringify(DUAL_STACK_TOPOLOGY_FILE);
    expect(text).toContain(search);
    expect(problemsOf(text.replace(search, replacement))).toEqual([expect.stringContaining(message)]);
  });

  it("never throws", () => {
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc.anything().map((value) => JSON.stringify(value) ?? ""),
    );
    fc.assert(
      fc.property(anything, fc.nat(TEXT.length), fc.nat(20), (junk, at, cut) => {
        for (const text of [junk, TEXT.slice(0, at) + junk + TEXT.slice(at + cut)]) {
          const parsed = parseTopology(text);
          if (!parsed.ok)
            expect(parsed.fault.every(({ line, column }) => line >= 1 && column >= 1)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("lets types, latencies, quotas and switches be set in part", () => {
    const file: TopologyFile = {
      ...DEFAULT_TOPOLOGY_FILE,
      instanceTypes: { "ecs.small": { eniQuantity: 2, eniPrivateIpAddressQuantity: 2 } },
      latencies: { attach: { minMs: 1, maxMs: 2 } },
      quotas: { AttachNetworkInterface: 3 },
      switches: { strictDetach: false },
    };
    const parsed = parseTopology(JSON.stringify(file));
    if (!parsed.ok) throw new Error(parsed.fault.map(formatProblem).join("\n"));
    const plain = defaultTopology();
    expect(parsed.value).toEqual({
      ...plain,
      instanceTypes: { ...plain.instanceTypes, ...file.instanceTypes },
      latencies: { ...plain.latencies, ...file.latencies },
      quotas: { ...plain.quotas, ...file.quotas },
      switches: { ...plain.switches, ...file.switches },
    });
  });
});
