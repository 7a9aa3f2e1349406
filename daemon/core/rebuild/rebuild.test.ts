import { assert, boolean, constantFrom, integer, option, property, record, uniqueArray } from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, parseIp, parseIpv6 } from "../../../proto/addr6.ts";
import { eniId, vSwitchId } from "../../../proto/ids.ts";
import { hostLinkName } from "../datapath/link-name.ts";
import { type CacheEntry } from "./cache-entry.ts";
import {
  isUnknown,
  type OwnEni,
  type PodTraces,
  rebuild,
  type RebuildInput,
  unknownAttachment,
  unlistedEnis,
} from "./rebuild.ts";

function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("not parsed");
  return value;
}

const ip = (text: string): IpAddress => must(parseIp(text));
const mac = (index: number) => must(parseMac(`00:16:3e:00:00:0${index}`));
const attachment = (index: number) => ({ network: "terway", containerId: `c${index}`, ifName: "eth0" });
const linkOf = (index: number): string => hostLinkName(attachment(index));

/** An ENI of four addresses, 10.0.N.1 to 10.0.N.4, and as many of fd00:N::. */
function eni(index: number, six = false): OwnEni {
  const all = [1, 2, 3, 4];
  const addresses = all.map((each) => must(parseIpv4(`10.0.${index}.${each}`)));
  return {
    borrowed: false,
    view: {
      id: eniId(`eni-${index}`),
      mac: mac(index),
      status: "InUse",
      type: "Secondary",
      vSwitch: vSwitchId("vsw-1"),
      primary: must(addresses[0]),
      addresses,
      addresses6: six ? all.map((each) => must(parseIpv6(`fd00:${index}::${each}`))) : [],
      securityGroups: [],
      tags: {},
      serviceManaged: false,
    },
  };
}

function traces(index: number, addresses: readonly string[], slot?: number): PodTraces {
  return {
    hostName: linkOf(index),
    hostMac: must(parseMac(`02:00:00:00:00:0${index}`)),
    podMac: must(parseMac(`02:00:00:00:01:0${index}`)),
    addresses: addresses.map(ip),
    ...(slot !== undefined && { slot }),
  };
}

function entry(index: number, addresses: readonly string[]): CacheEntry {
  return {
    attachment: attachment(index),
    netns: `/run/netns/p${index}`,
    pod: `default/p${index}`,
    addresses: addresses.map(ip),
  };
}

function input(given: Partial<RebuildInput> & { readonly pods?: readonly PodTraces[] }): RebuildInput {
  const { pods = [], ...rest } = given;
  const kernel = { pods, slaves: [], enis: [{ slot: 2, mac: mac(1) }], wasUsed: true };
  return { kernel, cache: [], enis: [eni(1)], block: [], ...rest };
}

describe("unlistedEnis()", () => {
  it("names the ENIs of the node that a late list lacks", () => {
    const [first, second] = [eni(0), eni(1)];
    const enis = [first, second].map(({ view: { mac } }, slot) => ({ slot, mac }));
    expect(unlistedEnis({ enis }, [second.view])).toEqual([first.view.mac]);
    expect(unlistedEnis({ enis }, [first.view, second.view])).toEqual([]);
  });
});

describe("rebuild()", () => {
  it("gives a pod that all views agree on its lease back, and keeps what is free from being used at once", () => {
    const limits = { ingress: { bitsPerSecond: 1000, burstBytes: 0 } };
    const cached = { ...entry(1, ["10.0.1.2"]), bandwidth: limits };
    const found = rebuild(input({ pods: [traces(1, ["10.0.1.2"], 2)], cache: [cached] }));
    expect(found).toEqual({
      leases: [
        {
          attachment: attachment(1),
          address: "10.0.1.2",
          stack: "ipv4",
          slot: 2,
          hostName: linkOf(1),
          netns: "/run/netns/p1",
          pod: "default/p1",
          hostMac: "02:00:00:00:00:01",
          podMac: "02:00:00:00:01:01",
          bandwidth: limits,
        },
      ],
      enis: [
        {
          kind: "ready",
          slot: 2,
          vSwitch: "vsw-1",
          facts: { id: "eni-1", mac: mac(1), primary: "10.0.1.1" },
          addresses: ["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"],
          unassigning: [],
        },
      ],
      cooling: ["10.0.1.1", "10.0.1.3", "10.0.1.4"],
      findings: [],
    });
  });

  it("keeps the address of a pod that the runtime does not know", () => {
    const { leases, cooling } = rebuild(input({ pods: [traces(1, ["10.0.1.2"], 2)] }));
    expect(leases).toMatchObject([
      {
        attachment: unknownAttachment(linkOf(1)),
        address: "10.0.1.2",
        netns: "",
        podMac: "02:00:00:00:01:01",
      },
    ]);
    expect(leases.every((lease) => isUnknown(lease.attachment))).toBe(true);
    expect(cooling).not.toContain("10.0.1.2");
  });

  it("finds the slot by the ENI's table where nftables has lost it", () => {
    const found = rebuild(input({ pods: [traces(1, ["10.0.1.2"])], cache: [entry(1, ["10.0.1.2"])] }));
    expect(found.leases).toMatchObject([{ slot: 2 }]);
  });

  it("believes the kernel where the runtime says another address, and says so", () => {
    const { leases, findings } = rebuild(
      input({ pods: [traces(1, ["10.0.1.2"], 2)], cache: [entry(1, ["10.0.1.3"])] }),
    );
    expect(leases).toMatchObject([{ attachment: attachment(1), address: "10.0.1.2" }]);
    expect(findings).toEqual([
      `${linkOf(1)} has 10.0.1.2, the runtime was told 10.0.1.3: the node's word counts`,
    ]);
  });

  it("takes the runtime's word for the address of a link that has lost all", () => {
    const found = rebuild(input({ pods: [traces(1, [])], cache: [entry(1, ["10.0.1.2"])] }));
    expect(found.leases).toMatchObject([{ attachment: attachment(1), address: "10.0.1.2", slot: 2 }]);
  });

  it("knows pairs, and keeps an IPv4 address beside an IPv6 address that a pod has alone", () => {
    const { leases, cooling } = rebuild(
      input({
        enis: [eni(1, true)],
        pods: [traces(1, ["10.0.1.2", "fd00:1::2"], 2), traces(2, ["fd00:1::3"], 2)],
        cache: [entry(1, ["10.0.1.2", "fd00:1::2"]), entry(2, ["fd00:1::3"])],
      }),
    );
    const byPod = new Map(leases.map((lease) => [lease.pod, lease]));
    expect(byPod.get("default/p1")).toMatchObject({
      address: "10.0.1.2",
      address6: "fd00:1::2",
      stack: "dual",
    });
    expect(byPod.get("default/p2")).toMatchObject({
      address: "10.0.1.4",
      address6: "fd00:1::3",
      stack: "ipv6",
    });
    expect(cooling).toEqual(["10.0.1.1", "10.0.1.3", "fd00:1::1", "fd00:1::4"]);
  });

  it("knows ipvlan pods by their addresses, and keeps those of which the runtime says nothing", () => {
    const slaves = ["10.0.1.2", "fd00:1::2", "10.0.1.3"].map((text) => ({
      hostName: "twv2",
      slot: 2,
      address: ip(text),
    }));
    const given = input({ enis: [eni(1, true)], cache: [entry(1, ["10.0.1.2", "fd00:1::2"])] });
    const { leases, findings } = rebuild({ ...given, kernel: { ...given.kernel, slaves } });
    const common = { hostName: "twv2", slot: 2, hostMac: mac(1), podMac: mac(1), datapath: "ipvlan" };
    expect(leases).toEqual([
      {
        ...common,
        attachment: unknownAttachment("twv2@10.0.1.3"),
        address: "10.0.1.3",
        stack: "ipv4",
        netns: "",
        pod: "",
      },
      {
        ...common,
        attachment: attachment(1),
        address: "10.0.1.2",
        address6: "fd00:1::2",
        stack: "dual",
        netns: "/run/netns/p1",
        pod: "default/p1",
      },
    ]);
    expect(findings).toEqual([]);
  });

  it("names what the runtime knows and the node does not have", () => {
    const { leases, findings } = rebuild(input({ cache: [entry(7, ["10.0.1.2"])] }));
    expect(leases).toEqual([]);
    expect(findings).toEqual(["the runtime knows terway/c7/eth0, of which the node has no interface"]);
  });

  it("goes without a cloud: the block's addresses that nobody has cool down", () => {
    const block = ["10.9.0.1", "10.9.0.2"].map(ip);
    const kernel = { pods: [traces(1, ["10.9.0.1"])], slaves: [], enis: [], wasUsed: true };
    const found = rebuild({ kernel, cache: [entry(1, ["10.9.0.1"])], enis: undefined, block });
    expect(found).toMatchObject({
      leases: [{ address: "10.9.0.1", slot: 0 }],
      enis: [],
      cooling: ["10.9.0.2"],
    });
  });

  it("makes a node that nobody has used wait for nothing", () => {
    const kernel = { pods: [], slaves: [], enis: [], wasUsed: false };
    expect(rebuild({ kernel, cache: [], enis: [], block: [ip("10.9.0.1")] }).cooling).toEqual([]);
    // ENIs that are there already served pods, in an earlier boot at least.
    const served = rebuild({ kernel, cache: [], enis: [eni(1)], block: [] });
    expect(served.cooling).toEqual(["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"]);
  });

  it("never has an address twice, and never gives away what the kernel has, whatever the views say", () => {
    const address = constantFrom(
      ...[1, 2].flatMap((net) =>
        [1, 2, 3].flatMap((host) => [`10.0.${net}.${host}`, `fd00:${net}::${host}`]),
      ),
    );
    const pod = record({
      index: integer({ min: 1, max: 6 }),
      addresses: uniqueArray(address, { maxLength: 2 }),
      slot: option(constantFrom(0, 2, 3), { nil: undefined }),
    });
    const pods = uniqueArray(pod, { selector: ({ index }) => index, maxLength: 6 });
    assert(
      property(pods, pods, boolean(), boolean(), (inKernel, inCache, hasCloud, wasUsed) => {
        const kernel = {
          pods: inKernel.map(({ index, addresses, slot }) => traces(index, addresses, slot)),
          slaves: [],
          enis: [
            { slot: 2, mac: mac(1) },
            { slot: 3, mac: mac(2) },
          ],
          wasUsed,
        };
        const cache = inCache.map(({ index, addresses }) => entry(index, addresses));
        const enis = hasCloud ? [eni(1, true), eni(2, true)] : undefined;
        const found = rebuild({ kernel, cache, enis, block: hasCloud ? [] : [ip("10.0.1.1")] });
        const kept = found.leases.flatMap(({ address: v4, address6 }) =>
          address6 === undefined ? [v4] : [v4, address6],
        );
        expect(new Set<IpAddress>(kept).size).toBe(kept.length);
        expect(found.cooling.filter((each) => kept.some((other) => other === each))).toEqual([]);
        // The same, in whatever order the views come.
        const turned = {
          slaves: [],
          pods: kernel.pods.toReversed(),
          enis: kernel.enis.toReversed(),
          wasUsed,
        };
        expect(
          new Set(
            rebuild({ kernel: turned, cache: cache.toReversed(), enis, block: [] }).leases.map(
              ({ hostName }) => hostName,
            ),
          ),
        ).toEqual(new Set(found.leases.map(({ hostName }) => hostName)));
      }),
    );
  });
});
