/**
 * `openKernel` with ipvlan pods, on a kernel that has IPVLAN and nftables.
 *
 *     node                                   vpc
 *       eth0 10.0.0.10/24  fd00:0:0::10/64     p0  10.0.0.253  fd00:0:0::fd
 *       eni0, slot 0       ------------------- p1  10.0.1.253  fd00:0:1::fd
 *       eni1, slot 1       ------------------- p2  10.0.2.253  fd00:0:2::fd
 *     Services 172.16.0.N and fd00:5::N: pods, by DNAT on the node and nothing else
 */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type IpAddress, isIpv6 } from "../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../proto/cidr6.ts";
import { type IpvlanEni, type IpvlanNode, planIpvlanPod, slaveOf } from "../core/datapath/ipvlan-plan.ts";
import { addressesOf } from "../core/datapath/layout.ts";
import { type EniLink, type PodAddresses, type PodLink } from "../core/kernel.ts";
import { applyPlan } from "./apply.ts";
import { openClient } from "./client.ts";
import { type OpenKernel, openKernel } from "./kernel.ts";
import { attempt, ip, ip6, mac, must, sh } from "./lab.ts";
import { openNetns } from "./netns.ts";

const NAME = `tw${process.pid}ik`;
const [NODE_NS, VPC_NS] = [`${NAME}-node`, `${NAME}-vpc`];
const NODE_PATH = `/run/netns/${NODE_NS}`;
const VPC_MAC = "ee:ff:ff:ff:ff:ff";
const HOST_STACK = ["172.16.0.0/16", "169.254.20.10/32", "fd00:5::/112"].map(cidr);
const namespaces: string[] = [];
/** The packaged kernel of User Mode Linux has no nftables of the family ip (test/uml/run-in-uml.ts). */
const hasNft = attempt("unshare --net nft add table ip probe");

let kernel: OpenKernel;
let enis: readonly EniLink[];
let before: readonly string[];

function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
}

function inside(namespace: string, command: string): string {
  return sh(`ip netns exec ${namespace} ${command}`);
}

function newNamespace(name: string): void {
  sh(`ip netns add ${name}`);
  namespaces.push(name);
  sh(`ip -n ${name} link set lo up`);
}

function nameOf({ netns }: PodLink): string {
  return netns.slice("/run/netns/".length);
}

function newPod(slot: number, number: number, families: "v4" | "v6" | "dual" = "dual"): PodLink {
  const name = `${NAME}-p${slot}x${number}`;
  newNamespace(name);
  const addresses: PodAddresses = {
    ...(families !== "v6" && { v4: ip(`10.0.${slot + 1}.${number}`) }),
    ...(families !== "v4" && { v6: ip6(`fd00:0:${slot + 1}::${number}`) }),
  };
  const netns = `/run/netns/${name}`;
  return { hostName: `twv${slot}`, netns, ifName: "eth0", addresses, slot, mtu: 1400, datapath: "ipvlan" };
}

/** Those of `targets` that do not answer `namespace`; all are asked at the same time. */
function silent(namespace: string, targets: readonly string[], from = ""): readonly string[] {
  const how = from === "" ? "-c 4 -i 0.5 -W 5" : `-I ${from} -c 1 -W 2`;
  const asked = targets.map((to) => `{ ping -n ${how} ${to} >/dev/null || echo ${to}; } &`);
  const command = ["netns", "exec", namespace, "sh", "-c", `${asked.join(" ")} wait`];
  const lines = execFileSync("ip", command, { encoding: "utf8" }).split("\n");
  return targets.filter((target) => lines.includes(target));
}

/** All that the node's network consists of and that somebody could leave behind. */
function nodeState(): readonly string[] {
  const script = [
    "ip -o link",
    "ip -o address",
    "ip rule",
    "ip -6 rule",
    "ip route show table all",
    "ip -6 route show table all",
    "tc qdisc show",
    "tc filter show dev eni0 egress",
    "tc filter show dev eni1 egress",
    "nft list ruleset",
    "cat /proc/sys/net/ipv4/conf/eth0/forwarding",
  ].join("; ");
  const shown = execFileSync("ip", ["netns", "exec", NODE_NS, "sh", "-c", script], { encoding: "utf8" });
  // An ENI stays up; which queue it has is the kernel's affair.
  return shown.replaceAll(/<[^>]*>|qlen \d+|state \w+/g, "").split("\n");
}

/** One shell: a process of this one costs much more there. */
function build(): void {
  for (const each of [NODE_NS, VPC_NS]) newNamespace(each);
  const [n, v] = [`ip -n ${NODE_NS}`, `ip -n ${VPC_NS}`];
  const v6Settings = ["all.forwarding=1", "all.accept_dad=0", "default.accept_dad=0"];
  const settings = v6Settings.map((setting) => `net.ipv6.conf.${setting}`).join(" ");
  const script = [
    `ip netns exec ${NODE_NS} sysctl -qw ${settings} net.ipv6.conf.default.addr_gen_mode=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.forwarding=0`,
    `ip netns exec ${VPC_NS} sysctl -qw ${settings} net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0`,
    ...["eth0", "eni0", "eni1"].flatMap((device, net) => [
      `${n} link add ${device} type veth peer name p${net} address ${VPC_MAC} netns ${VPC_NS}`,
      `${v} link set p${net} up`,
      `${v} address add 10.0.${net}.253/24 dev p${net}`,
      `${v} address add fd00:0:${net}::fd/64 dev p${net} nodad`,
    ]),
    `${n} link set eth0 up`,
    // What an ENI keeps when it is given back.
    ...["eni0", "eni1"].map((device) => `${n} link set ${device} up mtu 1400`),
    `${n} address add 10.0.0.10/24 dev eth0`,
    `${n} address add fd00:0:0::10/64 dev eth0 nodad`,
    `${n} route add default via 10.0.0.253`,
    `${n} -6 route add default via fd00:0:0::fd`,
    `${n} address add 169.254.20.10/32 dev lo`,
  ];
  execFileSync("sh", ["-ec", script.join("\n")], { stdio: "pipe" });
}

function linkOf(device: string): { readonly ifIndex: number; readonly mac: string } {
  const shown: readonly { readonly ifindex: number; readonly address: string }[] = JSON.parse(
    sh(`ip -n ${NODE_NS} -j link show ${device}`),
  );
  const [link] = shown;
  if (link === undefined) throw new Error(`no ${device}`);
  return { ifIndex: link.ifindex, mac: link.address };
}

function eniLink(slot: number): EniLink {
  const link = linkOf(`eni${slot}`);
  return {
    slot,
    mac: mac(link.mac),
    ifIndex: link.ifIndex,
    primary: ip(`10.0.${slot + 1}.20`),
    gateway: ip(`10.0.${slot + 1}.253`),
    prefixLength: 24,
    v6: { gateway: ip6(`fd00:0:${slot + 1}::fd`) },
    mtu: 1400,
  };
}

async function use(hostStack = HOST_STACK): Promise<void> {
  must(await kernel.ipvlan.use({ primaryMac: mac(linkOf("eth0").mac), hostStack }));
}

function checked(pod: PodLink) {
  const eni = enis[pod.slot ?? 0];
  if (eni === undefined) throw new Error("no ENI");
  return { ...pod, hostMac: eni.mac, podMac: eni.mac };
}

/** A Service with one backend, translated as kube-proxy does it for packets of pods. */
function addService(service: string, backend: IpAddress): void {
  const family = isIpv6(backend) ? "ip6" : "ip";
  const chain = `${family} services prerouting`;
  inside(NODE_NS, `nft add table ${family} services`);
  inside(NODE_NS, `nft add chain ${chain} { type nat hook prerouting priority dstnat; }`);
  inside(NODE_NS, `nft add rule ${chain} ${family} daddr ${service} dnat to ${backend}`);
}

beforeAll(async () => {
  if (!hasNft) return;
  // Of the guest: which settings the kernel has is asked in the process's own namespace.
  sh("sysctl -qw net.ipv6.conf.all.forwarding=1");
  build();
  before = nodeState();
  kernel = await openKernel({ nodeNetns: NODE_PATH });
  enis = [eniLink(0), eniLink(1)];
});

afterAll(async () => {
  if (!hasNft) return;
  await kernel[Symbol.asyncDispose]();
  sh("sysctl -qw net.ipv6.conf.all.forwarding=0");
  for (const each of namespaces) attempt(`ip netns del ${each}`);
});

describe.runIf(hasNft)("openKernel() with ipvlan pods", () => {
  const pods: PodLink[] = [];

  it("knows that the kernel has IPVLAN, and leaves nothing of the question", async () => {
    expect(must(await kernel.ipvlan.isThere())).toBe(true);
    expect(nodeState()).toEqual(before);
  });

  it("attaches pods of each family on two ENIs, one with its ENI's primary address, and finds no difference", async () => {
    must(await kernel.prepareHost());
    await use();
    for (const eni of enis) must(await kernel.configureEni(eni));
    pods.push(newPod(0, 20), newPod(0, 21), newPod(1, 20, "v4"), newPod(1, 21, "v6"));
    const made = [];
    for (const pod of pods) made.push(must(await kernel.attachPod(pod)));
    const [eni] = enis;
    expect(made[0]).toEqual({
      hostMac: eni?.mac,
      podMac: eni?.mac,
      gateways: { v4: "10.0.1.253", v6: "fd00:0:1::fd" },
      prefixLengths: { v4: 24, v6: 64 },
    });
    for (const pod of pods) expect(must(await kernel.checkPod(checked(pod)))).toEqual([]);
    expect(must(await kernel.checkNode(enis))).toEqual([]);
    expect(must(await kernel.podTraces()).map(({ address, hostName }) => `${address} ${hostName}`)).toEqual([
      "10.0.1.20 twv0",
      "10.0.1.21 twv0",
      "10.0.2.20 twv1",
      "fd00:0:1::20 twv0",
      "fd00:0:1::21 twv0",
      "fd00:0:2::21 twv1",
    ]);
  });

  it("configures an ENI again whose primary address a pod has: nobody can ask its gateway now", async () => {
    for (const eni of enis) must(await kernel.configureEni(eni));
    expect(must(await kernel.checkNode(enis))).toEqual([]);
  });

  it("brings answers of Services back through the node, wherever the backend is, and to the backend itself", () => {
    const [here, sameEni, otherEni, otherEni6] = pods;
    if (here === undefined || sameEni === undefined || otherEni === undefined || otherEni6 === undefined)
      throw new Error("no pods");
    const backends = [here, sameEni, otherEni, otherEni6].flatMap(({ addresses }) => addressesOf(addresses));
    const far = [ip("10.0.0.253"), ip6("fd00:0:0::fd")];
    const services = [...backends, ...far].map((backend, number) => {
      const service = isIpv6(backend) ? `fd00:5::${number + 1}` : `172.16.0.${number + 1}`;
      addService(service, backend);
      return service;
    });
    expect(
      silent(nameOf(here), [...services, ...backends, "169.254.20.10", "10.0.0.10", "fd00::10"]),
    ).toEqual([]);
    expect(silent(NODE_NS, backends)).toEqual([]);
  });

  it("lets no pod send in another's name, to its own ENI's pods either", () => {
    const [here, sameEni] = pods;
    if (here === undefined || sameEni === undefined) throw new Error("no pods");
    for (const family of ["ip", "ip6"]) inside(NODE_NS, `nft delete table ${family} services`);
    const targets = addressesOf(sameEni.addresses);
    for (const [foreign, to] of [
      ["198.18.7.7", targets[0]],
      ["fd00:bad::7", targets[1]],
    ] as const) {
      inside(nameOf(here), `ip address add ${foreign} dev lo nodad`);
      inside(nameOf(sameEni), `ip route add ${foreign} dev eth0`);
      expect(silent(nameOf(here), [String(to)], foreign)).toEqual([String(to)]);
      inside(nameOf(here), `ip address del ${foreign} dev lo`);
    }
    expect(silent(nameOf(here), targets)).toEqual([]);
  });

  it("names and mends what somebody took away", async () => {
    const [pod] = pods;
    if (pod === undefined) throw new Error("no pod");
    inside(nameOf(pod), "ip route del 10.0.0.10");
    inside(nameOf(pod), "tc filter del dev eth0 egress pref 21592");
    inside(NODE_NS, "ip route del 10.0.1.20 dev twv0 table 7400");
    inside(NODE_NS, "nft delete table ip terway_ipvlan");
    inside(NODE_NS, "sysctl -qw net.ipv4.conf.eth0.forwarding=0");
    expect(must(await kernel.checkPod(checked(pod)))).toHaveLength(3);
    expect(must(await kernel.checkNode(enis))).toEqual([
      "nft table ip terway_ipvlan is missing",
      "device eth0: forwarding of ip is off",
    ]);
    must(await kernel.prepareHost());
    must(await kernel.attachPod(pod));
    expect(must(await kernel.checkPod(checked(pod)))).toEqual([]);
    expect(must(await kernel.checkNode(enis))).toEqual([]);
  });

  it("refuses an ENI whose pods would have addresses of the host's stack", async () => {
    await use([...HOST_STACK, cidr("10.0.1.0/28")]);
    const [eni] = enis;
    if (eni === undefined) throw new Error("no ENI");
    expect(await kernel.configureEni(eni)).toMatchObject({
      ok: false,
      fault: {
        kind: "bad-config",
        reason: "10.0.1.0/28 overlaps with 10.0.1.0/24 of the ENI of slot 0, where pods have their addresses",
      },
    });
    await use();
  });

  it(
    "makes an attachment whole that was cut off on its way, and takes it away whole",
    { timeout: 120_000 },
    async () => {
      const pod = newPod(0, 30);
      const [eni] = enis;
      if (eni === undefined) throw new Error("no ENI");
      const ipvlanEni: IpvlanEni = {
        ...eni,
        device: { name: "eni0", ifIndex: eni.ifIndex },
        gatewayMacs: {},
      };
      const node: IpvlanNode = {
        addresses: { v4: ip("10.0.0.10"), v6: ip6("fd00::10") },
        hostStack: HOST_STACK,
      };
      const plan = planIpvlanPod(pod, ipvlanEni, 30_000, node);
      expect(slaveOf(ipvlanEni).name).toBe(pod.hostName);
      const client = openClient(kernel.thread);
      const state = nodeState();
      for (const length of [1, 3, plan.length - 1])
        for (const again of [false, true]) {
          const opened = must(openNetns(pod.netns, NODE_PATH));
          expect(await applyPlan(client, plan.slice(0, length), opened.fd)).toEqual({ ok: true });
          opened[Symbol.dispose]();
          if (again) {
            must(await kernel.attachPod(pod));
            expect(must(await kernel.checkPod(checked(pod)))).toEqual([]);
          }
          must(await kernel.detachPod(pod));
          expect(nodeState()).toEqual(state);
          expect(inside(nameOf(pod), "ip -o link").trim().split("\n")).toHaveLength(1);
        }
    },
  );

  it("keeps an ENI that pods use when it cleans, and takes the other away", async () => {
    for (const pod of pods.splice(2)) must(await kernel.detachPod(pod));
    must(await kernel.cleanHost());
    const links = inside(NODE_NS, "ip -o link");
    expect([links.includes("twv0"), links.includes("twv1")]).toEqual([true, false]);
    const [here, sameEni] = pods;
    if (here === undefined || sameEni === undefined) throw new Error("no pods");
    expect(silent(nameOf(here), [...addressesOf(sameEni.addresses), "10.0.0.10", "10.0.0.253"])).toEqual([]);
  });

  it("leaves the node as it was, also where the pod's namespace has gone, and for another agent than the one that made it", async () => {
    const [gone, last] = pods;
    if (gone === undefined || last === undefined) throw new Error("no pods");
    sh(`ip netns del ${nameOf(gone)}`);
    await kernel[Symbol.asyncDispose]();
    kernel = await openKernel({ nodeNetns: NODE_PATH });
    for (const pod of [gone, last, last]) must(await kernel.detachPod(pod));
    expect(must(await kernel.podTraces())).toEqual([]);
    must(await kernel.cleanHost());
    expect(nodeState()).toEqual(before);
  });
});
