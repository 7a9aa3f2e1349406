/**
 * IPVLAN with packets, on a kernel that has it.
 *
 *     node                                vpc
 *       eth0 10.0.0.10/24  fd00:0:0::10   p0  10.0.0.253/24 fd00:0:0::fd/64
 *       eni0 (no address)  ------- p1     10.0.1.253/24 fd00:0:1::fd/64
 *       eni1 (no address)  ------- p2     10.0.2.253/24 fd00:0:2::fd/64
 *       lo 169.254.20.10 fd00:dd::10      lo 10.0.9.9 fd00:9::9, somebody far away
 *     Services 172.16.0.1 and fd00:5::1: a pod on eni1, by DNAT in the node
 */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseIpv6 } from "../../proto/addr6.ts";
import { parseIpCidr } from "../../proto/cidr6.ts";
import { planHost } from "../core/datapath/host-plan.ts";
import { type IpvlanEni, type IpvlanNode } from "../core/datapath/ipvlan-plan.ts";
import { addressesOf } from "../core/datapath/layout.ts";
import { type PodLink } from "../core/kernel.ts";
import { applyPlan } from "./apply.ts";
import { openClient } from "./client.ts";
import {
  attachIpvlanPod,
  checkIpvlanEni,
  checkIpvlanPod,
  configureIpvlanEni,
  detachIpvlanPod,
  forgetIpvlanEni,
  type IpvlanPorts,
} from "./ipvlan.ts";
import { attempt, ip, mac, must, sh } from "./lab.ts";
import { openSocketThread, type SocketThread } from "./socket.ts";

const NAME = `tw${process.pid}iv`;
const [NODE_NS, VPC_NS] = [`${NAME}-node`, `${NAME}-vpc`];
const namespaces: string[] = [];
const [FAR, FAR6, DNS, DNS6] = ["10.0.9.9", "fd00:9::9", "169.254.20.10", "fd00:dd::10"];
const SERVICES = ["172.16.0.1", "fd00:5::1"];
const HOST = { ipv6: true };

let thread: SocketThread;
let ports: IpvlanPorts;
let node: IpvlanNode;
const enis: IpvlanEni[] = [];
const pods: PodLink[] = [];

function inside(namespace: string, command: string): string {
  return sh(`ip netns exec ${namespace} ${command}`);
}

/** Those of `targets` that do not answer; all are asked at the same time. */
function silent(namespace: string, targets: readonly string[]): readonly string[] {
  const asked = targets.map((target) => `{ ping -n -c 1 -W 5 ${target} >/dev/null || echo ${target}; } &`);
  const output = execFileSync("ip", ["netns", "exec", namespace, "sh", "-c", `${asked.join(" ")} wait`], {
    encoding: "utf8",
  });
  const lines = output.split("\n");
  return targets.filter((target) => lines.includes(target));
}

function cidr(text: string): IpvlanNode["hostStack"][number] {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
}

function v6(text: string): NonNullable<ReturnType<typeof parseIpv6>> {
  const parsed = parseIpv6(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function newNamespace(name: string): void {
  sh(`ip netns add ${name}`);
  namespaces.push(name);
  sh(`ip -n ${name} link set lo up`);
}

function nameOf(pod: PodLink): string {
  return pod.netns.slice("/run/netns/".length);
}

function newPod(slot: number, number: number): PodLink {
  const name = `${NAME}-p${slot}x${number}`;
  newNamespace(name);
  return {
    hostName: `tw${slot}x${number}`,
    netns: `/run/netns/${name}`,
    ifName: "eth0",
    addresses: { v4: ip(`10.0.${slot + 1}.${number}`), v6: v6(`fd00:0:${slot + 1}::${number}`) },
    slot,
    mtu: 1400,
    datapath: "ipvlan",
  };
}

/** One shell: a process of this one costs much more there. */
function build(): void {
  for (const each of [NODE_NS, VPC_NS]) newNamespace(each);
  const settings = [
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
  ].join(" ");
  const [n, v] = [`ip -n ${NODE_NS}`, `ip -n ${VPC_NS}`];
  const networks = ["eth0", "eni0", "eni1"].flatMap((device, net) => [
    `${n} link add ${device} type veth peer name p${net} netns ${VPC_NS}`,
    `${v} link set p${net} up`,
    `${v} address add 10.0.${net}.253/24 dev p${net}`,
    `${v} address add fd00:0:${net}::fd/64 dev p${net} nodad`,
  ]);
  const services = [
    ["iptables-legacy", SERVICES[0], "10.0.2.20"],
    ["ip6tables-legacy", SERVICES[1], "fd00:0:2::20"],
  ].flatMap(([tables, service, backend]) => [
    `ip netns exec ${NODE_NS} ${tables} -t nat -A PREROUTING -d ${service} -j DNAT --to-destination ${backend}`,
    `ip netns exec ${NODE_NS} ${tables} -t nat -A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE`,
  ]);
  const script = [
    `ip netns exec ${NODE_NS} sysctl -qw ${settings}`,
    `ip netns exec ${VPC_NS} sysctl -qw ${settings} net.ipv4.ip_forward=1`,
    ...[`${FAR}/32`, `${FAR6}/128`].map((address) => `${v} address add ${address} dev lo`),
    ...[`${DNS}/32`, `${DNS6}/128`].map((address) => `${n} address add ${address} dev lo`),
    ...networks,
    `${n} link set eth0 up`,
    `${n} address add 10.0.0.10/24 dev eth0`,
    `${n} address add fd00:0:0::10/64 dev eth0 nodad`,
    `${n} route add default via 10.0.0.253`,
    `${n} -6 route add default via fd00:0:0::fd`,
    ...services,
  ];
  execFileSync("sh", ["-ec", script.join("\n")], { stdio: "pipe" });
}

beforeAll(async () => {
  build();
  thread = await openSocketThread(new URL("./worker.ts", import.meta.url), {
    nodeNetns: `/run/netns/${NODE_NS}`,
  });
  const client = openClient(thread);
  let index = 20_000;
  ports = { client, nodeNetns: `/run/netns/${NODE_NS}`, host: HOST, newIndex: () => ++index };
  node = {
    addresses: { v4: ip("10.0.0.10"), v6: v6("fd00::10") },
    hostStack: ["172.16.0.0/16", "169.254.20.10/32", "fd00:5::/112", "fd00:dd::10/128"].map(cidr),
  };
  for (const slot of [0, 1]) {
    const [link]: readonly { readonly ifindex: number; readonly address: string }[] = JSON.parse(
      sh(`ip -n ${NODE_NS} -j link show eni${slot}`),
    );
    if (link === undefined) throw new Error("no ENI");
    enis.push({
      slot,
      mac: mac(link.address),
      device: { name: `eni${slot}`, ifIndex: link.ifindex },
      mtu: 1400,
      gateway: ip(`10.0.${slot + 1}.253`),
      prefixLength: 24,
      v6: { gateway: v6(`fd00:0:${slot + 1}::fd`) },
      gatewayMacs: {},
    });
  }
  expect(await applyPlan(client, planHost(HOST))).toEqual({ ok: true });
  for (const eni of enis) must(await configureIpvlanEni(ports, eni, node));
  pods.push(newPod(0, 20), newPod(0, 21), newPod(1, 20));
  for (const pod of pods) must(await attachIpvlanPod(ports, pod, eniOf(pod), node));
});

afterAll(async () => {
  await thread[Symbol.asyncDispose]();
  for (const each of namespaces) attempt(`ip netns del ${each}`);
});

function eniOf({ slot = 0 }: PodLink): IpvlanEni {
  const eni = enis[slot];
  if (eni === undefined) throw new Error("no ENI");
  return eni;
}

describe("attachIpvlanPod()", () => {
  it("connects pods of one ENI and of two, node, gateway, Services, local DNS and those far away, of both families", () => {
    const failed: string[] = [];
    const all = pods.flatMap(({ addresses }) => addressesOf(addresses));
    for (const pod of pods) {
      const net = (pod.slot ?? 0) + 1;
      const gateways = [`10.0.${net}.253`, `fd00:0:${net}::fd`];
      const targets = [
        ...all,
        ...addressesOf(node.addresses),
        ...gateways,
        FAR,
        FAR6,
        DNS,
        DNS6,
        ...SERVICES,
      ];
      failed.push(...silent(nameOf(pod), targets).map((target) => `${nameOf(pod)} -> ${target}`));
    }
    failed.push(...silent(NODE_NS, all).map((target) => `node -> ${target}`));
    failed.push(...silent(VPC_NS, all).map((target) => `vpc -> ${target}`));
    expect(failed).toEqual([]);
  });

  it("differs in nothing afterwards, and a repeated call changes nothing", async () => {
    const [pod] = pods;
    if (pod === undefined) throw new Error("no pod");
    const shown = (): string => inside(nameOf(pod), "ip -o address") + inside(nameOf(pod), "ip route");
    const before = shown();
    expect(must(await checkIpvlanPod(ports, pod, eniOf(pod), node))).toEqual([]);
    for (const eni of enis) expect(must(await checkIpvlanEni(ports, eni, node))).toEqual([]);
    must(await attachIpvlanPod(ports, pod, eniOf(pod), node));
    for (const eni of enis) must(await configureIpvlanEni(ports, eni, node));
    expect(shown()).toBe(before);
    expect(inside(NODE_NS, "tc filter show dev eni0 egress").match(/mirred \(Ingress/g)).toHaveLength(4);
  });

  it("limits both directions where the runtime asks for it", async () => {
    const rate = { bitsPerSecond: 8_000_000, burstBytes: 0 };
    const limited = { ...newPod(0, 22), bandwidth: { ingress: rate, egress: rate } };
    must(await attachIpvlanPod(ports, limited, eniOf(limited), node));
    expect(must(await checkIpvlanPod(ports, limited, eniOf(limited), node))).toEqual([]);
    expect(inside(nameOf(limited), "tc qdisc show").match(/tbf 5457: dev \S+ root/g)).toEqual([
      "tbf 5457: dev eth0 root",
      "tbf 5457: dev ti-eth0 root",
    ]);
    expect(silent(nameOf(limited), [FAR, FAR6])).toEqual([]);
    must(await detachIpvlanPod(ports, limited));
    expect(inside(nameOf(limited), "ip -o link").trim().split("\n")).toHaveLength(1);
  });
});

describe("configureIpvlanEni()", () => {
  it("makes again what was lost, and names it before", async () => {
    const [eni] = enis;
    if (eni === undefined) throw new Error("no ENI");
    inside(NODE_NS, "tc filter del dev eni0 egress pref 21632");
    inside(NODE_NS, "ip link set twv0 arp on");
    expect(must(await checkIpvlanEni(ports, eni, node))).toEqual([
      "device twv0 answers ARP",
      "filter dev eni0 egress pref 21632 protocol ip u32 match ip dst 172.16.0.0/16 is missing",
    ]);
    must(await configureIpvlanEni(ports, eni, node));
    expect(must(await checkIpvlanEni(ports, eni, node))).toEqual([]);
  });

  it("takes the filters away that are not wanted any more, and leaves those of others", async () => {
    const [eni] = enis;
    if (eni === undefined) throw new Error("no ENI");
    inside(
      NODE_NS,
      "tc filter add dev eni0 egress pref 7 protocol ip u32 match ip dst 192.0.2.0/24 action ok",
    );
    const fewer = { ...node, hostStack: node.hostStack.slice(1, 2) };
    must(await configureIpvlanEni(ports, eni, fewer));
    const shown = inside(NODE_NS, "tc filter show dev eni0 egress");
    expect(shown.match(/mirred \(Ingress/g)).toHaveLength(1);
    expect(shown).toContain("match a9fe140a/ffffffff at 16");
    expect(shown).toContain("pref 7 ");
    const [pod] = pods;
    if (pod === undefined) throw new Error("no pod");
    expect(silent(nameOf(pod), [DNS, FAR])).toEqual([]);
    expect(silent(nameOf(pod), SERVICES)).toEqual(SERVICES);
    must(await configureIpvlanEni(ports, eni, node));
  });
});

describe("detachIpvlanPod(), forgetIpvlanEni()", () => {
  it("leave nothing, also where the pod's namespace has gone, and however often they are called", async () => {
    const [first, gone] = pods;
    if (first === undefined || gone === undefined) throw new Error("no pods");
    sh(`ip netns del ${nameOf(gone)}`);
    for (let times = 0; times < 2; times++) for (const pod of pods) must(await detachIpvlanPod(ports, pod));
    expect(inside(nameOf(first), "ip -o link").trim().split("\n")).toHaveLength(1);
    const routes = ["-4", "-6"].map((family) => inside(NODE_NS, `ip ${family} route show table all`));
    expect(routes.join("")).not.toContain("table 7400");
    for (const eni of enis) must(await forgetIpvlanEni(ports, eni.slot));
    expect(inside(NODE_NS, "ip -o link")).not.toContain("twv");
    expect(inside(NODE_NS, "tc filter show dev eni1 egress")).toBe("");
  });
});
