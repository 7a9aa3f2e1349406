/** Plans as text that reads like ip(8)'s: golden/*.txt. `vitest run -u` writes them anew. */
import { describe, expect, it } from "vitest";
import { type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, parseIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../../proto/cidr6.ts";
import { type EniLink, type PodAddresses, type PodLink } from "../kernel.ts";
import {
  type HostFacts,
  nftEniText,
  nftHostText,
  planEniLink,
  planEniRoutes,
  planHost,
} from "./host-plan.ts";
import {
  type IpvlanEni,
  type IpvlanNode,
  planHostStack,
  planIpvlanEni,
  planIpvlanPod,
} from "./ipvlan-plan.ts";
import { nftIpvlanText } from "./ipvlan-nft.ts";
import { planPod } from "./pod-plan.ts";
import { describeThing, placeOf, type Plan } from "./thing.ts";
import { describeTraffic, planSources, type TrafficThing } from "./traffic.ts";

const HOST = { ipv6: true };
const V4 = parseIpv4("10.0.1.20") ?? raise("v4");
const V6 = parseIpv6("2001:db8:0:1::20") ?? raise("v6");
const [first, second] = [mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02")];

const ENI: EniLink = {
  slot: 2,
  mac: mac("00:16:3e:00:00:02"),
  ifIndex: 4,
  primary: parseIpv4("10.0.1.10") ?? raise("primary"),
  gateway: parseIpv4("10.0.1.253") ?? raise("gateway"),
  prefixLength: 24,
  v6: { gateway: parseIpv6("2001:db8:0:1::fd") ?? raise("gateway") },
  mtu: 1500,
};

function mac(text: string): Mac {
  return parseMac(text) ?? raise(text);
}

function raise(text: string): never {
  throw new Error(text);
}

function podPlan(addresses: PodAddresses): Plan {
  const pod: PodLink = {
    hostName: "tw0",
    netns: "/run/netns/a",
    ifName: "eth0",
    addresses,
    slot: 2,
    mtu: 1500,
    datapath: "veth",
  };
  return planPod(pod, { hostIndex: 20_000, hostMac: first, podIndex: 30_000, podMac: second });
}

/** One thing a line, with where it is; then what nft(8) is told. */
function textOf(plan: Plan, nft = ""): string {
  const things = plan.map((thing) => `${placeOf(thing).padEnd(4)} ${describeThing(thing)}`);
  return `${things.join("\n")}\n${nft.replaceAll(/^(?=.)/gm, "nft  ")}`;
}

/** Of the pod's ENI, whose gateway of IPv4 alone has said its MAC. */
const IPVLAN_ENI: IpvlanEni = {
  ...ENI,
  device: { name: "eth1", ifIndex: 4 },
  gatewayMacs: { v4: mac("ee:ff:ff:ff:ff:ff") },
};
const NODE: IpvlanNode = {
  addresses: {
    v4: parseIpv4("10.0.0.10") ?? raise("node"),
    v6: parseIpv6("2001:db8::10") ?? raise("node"),
  },
  hostStack: ["172.16.0.0/16", "169.254.20.10/32", "fd00:5::/112"].map(cidr),
};

function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  return parsed.ok ? parsed.value : raise(text);
}

function ipvlanPodPlan(addresses: PodAddresses): Plan {
  const pod: PodLink = {
    hostName: "tw0",
    netns: "/run/netns/a",
    ifName: "eth0",
    addresses,
    slot: 2,
    mtu: 1500,
    datapath: "ipvlan",
  };
  return planIpvlanPod(pod, IPVLAN_ENI, 30_000, NODE);
}

function trafficText(things: readonly TrafficThing[]): string {
  return things.map((thing) => `${thing.place.padEnd(4)} ${describeTraffic(thing)}\n`).join("");
}

function sourcesText(addresses: readonly IpAddress[]): string {
  return trafficText(planSources({ place: "pod", device: { name: "eth0", ifIndex: 30_000 } }, addresses));
}

describe("plans", () => {
  const eni = { name: "eth1", ifIndex: 4 };
  const { v6: _, ...eniV4 } = ENI;
  const macs = { v4: mac("ee:ff:ff:ff:ff:ff"), v6: mac("ee:ff:ff:ff:ff:fe") };
  const eniText = (link: EniLink, host: HostFacts): string =>
    textOf([...planEniLink(link, eni, host), ...planEniRoutes(link, eni, macs, host)], nftEniText(2, host));
  const cases: readonly (readonly [file: string, text: string])[] = [
    ["host", textOf(planHost(HOST), nftHostText(HOST))],
    ["host-that-checks-sources", nftHostText({ ...HOST, checksSources: true })],
    ["host-without-ipv6", textOf(planHost({ ipv6: false }), nftHostText({ ipv6: false }))],
    ["eni", eniText(ENI, HOST)],
    ["eni-v4", eniText(eniV4, HOST)],
    ["eni-that-checks-sources", eniText(eniV4, { ...HOST, checksSources: true })],
    ["pod-v4", textOf(podPlan({ v4: V4 }))],
    ["pod-dual", textOf(podPlan({ v4: V4, v6: V6 }))],
    ["pod-v6", textOf(podPlan({ v6: V6 }))],
    [
      "ipvlan-eni",
      textOf(planIpvlanEni(IPVLAN_ENI, NODE, HOST)) + trafficText(planHostStack(IPVLAN_ENI, NODE)),
    ],
    ["ipvlan-node", textOf([], nftIpvlanText(HOST))],
    ["ipvlan-pod-v4", textOf(ipvlanPodPlan({ v4: V4 })) + sourcesText([V4])],
    ["ipvlan-pod-dual", textOf(ipvlanPodPlan({ v4: V4, v6: V6 })) + sourcesText([V4, V6])],
    ["ipvlan-pod-v6", textOf(ipvlanPodPlan({ v6: V6 })) + sourcesText([V6])],
  ];

  it.each(cases)("are as golden/%s.txt says", async (file, text) => {
    await expect(text).toMatchFileSnapshot(`golden/${file}.txt`);
  });
});
