import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { parseIpv6 } from "../../../proto/addr6.ts";
import { type PodLink } from "../kernel.ts";
import {
  chainRules,
  nftCleanText,
  nftEniText,
  nftForgetEniText,
  nftHostText,
  planEniForget,
  planEniUnlink,
} from "./host-plan.ts";
import { POD_ENDS_BYTES, podElements, podEnds, podInterfaces, planPod, planPodAgain } from "./pod-plan.ts";
import { type Plan } from "./thing.ts";

const mac = (text: string): Mac => parseMac(text) ?? raise(text);

function raise(text: string): never {
  throw new Error(text);
}

const v4 = parseIpv4("10.0.1.20") ?? raise("v4");
const v6 = parseIpv6("fd00::20") ?? raise("v6");
const pod: PodLink = {
  hostName: "tw0",
  netns: "/run/netns/a",
  ifName: "eth0",
  addresses: { v4, v6 },
  slot: 2,
  mtu: 1500,
  datapath: "veth",
};
const ends = {
  hostIndex: 20_000,
  hostMac: mac("02:00:00:00:00:01"),
  podIndex: 30_000,
  podMac: mac("02:00:00:00:00:02"),
};

function kinds(plan: Plan, kind: string): number {
  return plan.filter((thing) => thing.kind === kind).length;
}

/** How many rules the text for nft(8) adds to the chain. */
function rules(text: string, chain: string): number {
  return text.split("\n").filter((line) => line.startsWith(`add rule ${chain} `)).length;
}

describe("planPod()", () => {
  it("connects only when all is there, and a repeated call makes all but the link", () => {
    const plan = planPod(pod, ends);
    expect(plan.slice(-2)).toEqual(podElements(pod, { name: "tw0", ifIndex: ends.hostIndex }));
    expect(plan[0]?.kind).toBe("veth");
    expect(planPodAgain(pod, ends)).toEqual(plan.slice(1));
  });

  it("gives a pod of a block of the node no ENI", () => {
    const { slot: _, ...inBlock } = pod;
    const accepted = planPod(pod, ends).map((thing) => {
      if (thing.kind !== "element") return thing;
      const { chain: __, ...element } = thing;
      return element;
    });
    expect(planPod(inBlock, ends)).toEqual(accepted);
  });

  it("has for both families what it has for each, and nothing of a family without an address", () => {
    const [both, only4, only6] = [{ v4, v6 }, { v4 }, { v6 }].map((addresses) =>
      planPod({ ...pod, addresses }, ends),
    );
    for (const kind of ["address", "route", "neighbour", "element"])
      expect(kinds(both ?? [], kind)).toBe(kinds(only4 ?? [], kind) + kinds(only6 ?? [], kind));
    expect(JSON.stringify(only4)).not.toMatch(/ipv6|::/);
    expect(JSON.stringify(only6)).not.toMatch(/10\.0\.1|169\.254/);
  });
});

describe("podInterfaces()", () => {
  it("names the next hop of each family that the pod has", () => {
    const { hostMac, podMac } = ends;
    const gateways = { v4: "169.254.1.1", v6: "fe80::1" };
    expect(podInterfaces(pod, ends)).toEqual({ hostMac, podMac, gateways });
    expect(podInterfaces({ ...pod, addresses: { v6 } }, ends).gateways).toEqual({ v6: gateways.v6 });
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

describe("planEniUnlink() and planEniForget()", () => {
  it("give the device back", () => {
    const device = { name: "eth1", ifIndex: 4 };
    const settings = { kind: "settings", place: "node", device };
    const ipv4 = { rpFilter: 2, acceptLocal: false };
    expect(planEniUnlink(device)).toEqual([{ ...settings, settings: { group: 0, up: false, ipv4 } }]);
    expect(planEniForget(device)).toEqual([{ ...settings, settings: { group: 0, ipv4 } }]);
  });
});

describe("nftHostText() and the others", () => {
  it.each([false, true])(
    "say what they take away, and have as many rules as CHECK looks for",
    (checksSources) => {
      const host = { ipv6: true, checksSources };
      expect(nftForgetEniText(2, ["ip", "ip6"])).toBe(
        "delete chain ip terway eni2\ndelete chain ip6 terway eni2\n",
      );
      expect(nftCleanText(host)).toBe(
        "add table ip terway\ndelete table ip terway\nadd table ip6 terway\ndelete table ip6 terway\n",
      );
      const texts = nftHostText(host) + nftEniText(2, host);
      for (const family of ["ip", "ip6"] as const) {
        const { hook, pods } = chainRules(family, host);
        expect(
          ["prerouting", "pods", "eni2"].map((chain) => rules(texts, `${family} terway ${chain}`)),
        ).toEqual([hook.length, pods.length, 1]);
      }
      expect(texts.match(/fib daddr/g)?.length ?? 0).toBe(checksSources ? 1 : 0);
    },
  );
});
