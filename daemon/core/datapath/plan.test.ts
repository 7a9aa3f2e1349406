import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type EniLink, type PodLink } from "../kernel.ts";
import {
  CHAIN_RULES,
  nftCleanText,
  nftEniText,
  nftForgetEniText,
  nftHostText,
  planEniLink,
  planEniRoutes,
  planEniUnlink,
  planForgetEni,
  planHost,
} from "./host-plan.ts";
import { POD_ENDS_BYTES, podEnds, podInterfaces, planPod, planPodAgain } from "./pod-plan.ts";
import { describeStep, inverse, type Step } from "./step.ts";

const ip = (text: string) => parseIpv4(text) ?? raise(text);
const mac = (text: string): Mac => parseMac(text) ?? raise(text);

function raise(text: string): never {
  throw new Error(text);
}

function ops(steps: readonly Step[]): string[] {
  return steps.map(({ op }) => op).sort();
}

const eni: EniLink = {
  slot: 2,
  mac: mac("00:16:3e:00:00:02"),
  ifIndex: 4,
  primary: ip("10.0.1.10"),
  gateway: ip("10.0.1.253"),
  prefixLength: 24,
  mtu: 1500,
};
const pod: PodLink = {
  hostName: "tw0",
  netns: "/run/netns/a",
  ifName: "eth0",
  addresses: { v4: ip("10.0.1.20") },
  datapath: "veth",
  slot: 2,
  mtu: 1500,
};
const ends = {
  hostIndex: 20_000,
  hostMac: mac("02:00:00:00:00:01"),
  podIndex: 30_000,
  podMac: mac("02:00:00:00:00:02"),
};

describe("planPod()", () => {
  it("is these commands, in this order", () => {
    expect(planPod(pod, ends).map(describeStep)).toEqual([
      "ip link add tw0 type veth peer name eth0",
      "ip link set dev 20000 addrgenmode none",
      "ip link set dev 20000 up",
      "ip route add 10.0.1.20/32 dev 20000 table 7400",
      "ip neighbour add 10.0.1.20 lladdr 02:00:00:00:00:02 dev 20000",
      "ip link set dev 1 in the pod up",
      "ip link set dev 30000 in the pod up",
      "ip address add 10.0.1.20/32 dev 30000 in the pod",
      "ip route add 169.254.1.1/32 dev 30000 in the pod table 254",
      "ip route add default dev 30000 in the pod table 254",
      "ip neighbour add 169.254.1.1 lladdr 02:00:00:00:00:01 dev 30000 in the pod",
      "nft add element ip terway pod_eni { 10.0.1.20 : goto eni2 }",
    ]);
  });

  it("gives a pod of a block of the node no ENI", () => {
    const { slot: _, ...inBlock } = pod;
    expect(planPod(inBlock, ends)).toEqual(planPod(pod, ends).filter(({ op }) => op !== "map-pod"));
  });

  it("is strict about the source at the host's end, and connects only when all is there", () => {
    const steps = planPod(pod, ends);
    expect(steps.find((step) => step.op === "set-link" && step.where === "node")).toMatchObject({
      settings: { forwarding: true, rpFilter: 1 },
      alias: "terway:10.0.1.20",
      group: 21_504,
    });
    expect(steps.at(-1)?.op).toBe("map-pod");
    expect(planPodAgain(pod, ends)).toEqual(steps.slice(1));
    expect(podInterfaces(ends)).toEqual({
      hostMac: ends.hostMac,
      podMac: ends.podMac,
      gateways: { v4: "169.254.1.1" },
    });
  });
});

describe("podEnds()", () => {
  it("gives MACs of local administration for one receiver, and indexes of 16 bits that the kernel does not give", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: POD_ENDS_BYTES, maxLength: POD_ENDS_BYTES }), (random) => {
        const { hostMac, podMac, hostIndex, podIndex } = podEnds(random);
        for (const each of [hostMac, podMac]) expect(Number.parseInt(each.slice(0, 2), 16) & 3).toBe(2);
        for (const each of [hostIndex, podIndex]) expect(each >= 16_384 && each <= 65_535).toBe(true);
      }),
    );
  });

  it("throws where there is too little randomness", () => {
    expect(() => podEnds(new Uint8Array(POD_ENDS_BYTES - 1))).toThrow(RangeError);
  });
});

describe("planEniLink() and planEniRoutes()", () => {
  it("make the device ready, then one table and one rule", () => {
    expect(planEniLink(eni)).toEqual([
      { op: "no-link-local", ifIndex: 4 },
      {
        op: "set-link",
        where: "node",
        ifIndex: 4,
        mtu: 1500,
        group: 21_506,
        settings: { forwarding: true, rpFilter: 2, srcValidMark: true },
        up: true,
      },
    ]);
    expect(planEniRoutes(eni, mac("ee:ff:ff:ff:ff:ff"))).toEqual([
      {
        op: "add-neighbour",
        where: "node",
        ifIndex: 4,
        address: "10.0.1.253",
        mac: "ee:ff:ff:ff:ff:ff",
      },
      { op: "add-route", where: "node", table: 7403, ifIndex: 4, via: "10.0.1.253" },
      { op: "add-rule", priority: 2048, table: 7403, mark: 0x0300_0000 },
    ]);
    expect(planHost()).toEqual([{ op: "add-rule", priority: 512, table: 7400 }]);
    expect(planEniUnlink(4)).toEqual([{ op: "set-link", where: "node", ifIndex: 4, group: 0, up: false }]);
  });
});

describe("planForgetEni()", () => {
  it("takes back what planEniRoutes() did, with and without the device", () => {
    const undo = planEniRoutes(eni, mac("ee:ff:ff:ff:ff:ff")).flatMap((step) => inverse(step) ?? []);
    expect(ops(planForgetEni(2, eni))).toEqual([...ops(undo), "set-link"].sort());
    expect(ops(planForgetEni(2, undefined))).toEqual(["delete-route", "delete-rule"]);
  });
});

describe("inverse()", () => {
  it("takes back what a pod's plan leaves in the node, once each", () => {
    const undo = planPod(pod, ends).flatMap((step) => inverse(step) ?? []);
    expect(undo.map(describeStep)).toEqual([
      "ip link delete tw0",
      "ip route delete 10.0.1.20/32 table 7400",
      "ip neighbour delete 10.0.1.20 dev 20000",
      "nft delete element ip terway pod_eni { 10.0.1.20 }",
    ]);
    expect(undo.flatMap((step) => inverse(step) ?? [])).toEqual([]);
  });
});

describe("nftHostText() and the others", () => {
  it("are one transaction each that may be repeated", () => {
    expect(nftHostText()).toBe(`add table ip terway
add map ip terway pod_eni { type ipv4_addr : verdict; }
add chain ip terway prerouting { type filter hook prerouting priority -250; policy accept; }
flush chain ip terway prerouting
add rule ip terway prerouting meta iifgroup 21504 ip saddr vmap @pod_eni
add rule ip terway prerouting meta iifgroup 21506 ip daddr vmap @pod_eni
`);
    expect(nftEniText(2)).toBe(`add chain ip terway eni2
flush chain ip terway eni2
add rule ip terway eni2 meta mark set meta mark and 0xc0ffffff or 0x03000000
`);
    const rules = [nftHostText(), nftEniText(2)].map((text) => text.match(/^add rule/gm)?.length);
    expect(rules).toEqual([CHAIN_RULES.host, CHAIN_RULES.eni]);
    expect(nftForgetEniText(2)).toBe("delete chain ip terway eni2\n");
    expect(nftCleanText()).toBe("add table ip terway\ndelete table ip terway\n");
  });
});
