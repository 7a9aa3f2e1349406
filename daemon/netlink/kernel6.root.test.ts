/** IPv6 of the datapath on the kernel: who reaches whom, what is dropped and not believed, and what is left. */
import { writeSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { macBytes } from "../../proto/addr.ts";
import { ipBytes } from "../../proto/addr6.ts";
import { addressesOf } from "../core/datapath/layout.ts";
import { type PodLink } from "../core/kernel.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import {
  attempt,
  FAR_ADDRESS,
  FAR_ADDRESS6,
  ip6,
  type Lab,
  mac,
  must,
  NODE_ADDRESS,
  NODE_ADDRESS6,
} from "./lab.ts";
import { openLab, sh, type Stack, v6 } from "./lab.ts";
import { linkLocal } from "./ndp.ts";
import { openSocketThread } from "./socket.ts";

let lab: Lab;
let kernel: OpenKernel;

async function start(stack: Stack): Promise<void> {
  lab = openLab(0, stack);
  kernel = await openKernel({ nodeNetns: lab.nodeNetns, gatewayPatienceMs: 500 });
  must(await kernel.prepareHost());
}

async function configure(): Promise<void> {
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
}

async function attached(slot: number, number: number): Promise<PodLink> {
  const pod = lab.newPod(slot, number);
  must(await kernel.attachPod(pod));
  return pod;
}

afterEach(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
  expect(sh("ip netns").includes(lab.node.slice(0, -"-node".length))).toBe(false);
});

describe.each(["dual", "ipv6"] as const)("attachPod() of %s pods", (stack) => {
  it("connects them to each other, to the node, to the gateway and to those far away, both ways, at once", async () => {
    await start(stack);
    await configure();
    const pods = [await attached(0, 20), await attached(0, 21), await attached(1, 20)];
    const seen: string[] = [];
    for (const pod of pods) {
      const others = pods.filter((other) => other !== pod).flatMap(({ addresses }) => addressesOf(addresses));
      const net = (pod.slot ?? 0) + 1;
      const ends6 = [NODE_ADDRESS6, `fd00:0:0:${net}::fd`, FAR_ADDRESS6];
      const ends4 = stack === "dual" ? [NODE_ADDRESS, `10.0.${net}.253`, FAR_ADDRESS] : [];
      for (const target of [...others, ...ends6, ...ends4])
        if (!lab.pings(lab.nameOf(pod), target)) seen.push(`${v6(pod)} -> ${target}`);
      for (const address of addressesOf(pod.addresses)) {
        if (!lab.pings(lab.node, address)) seen.push(`node -> ${address}`);
        const far = address.includes(":") ? FAR_ADDRESS6 : FAR_ADDRESS;
        if (!lab.pings(lab.vpc, address, far)) seen.push(`far away -> ${address}`);
      }
    }
    expect(seen).toEqual([]);
    expect(lab.spoofed()).toBe(0);
    // The node routes nothing for others, and believes nobody about its own routes.
    expect(lab.run(lab.node, "sysctl -n net.ipv6.conf.all.forwarding").trim()).toBe("0");
    const links = must(await kernel.podTraces()).map(({ hostName, address }) => `${hostName} ${address}`);
    expect(links.sort()).toEqual(
      pods.flatMap((pod) => addressesOf(pod.addresses).map((address) => `${pod.hostName} ${address}`)).sort(),
    );
  });

  it("lets nobody use a released address, also where a process lives on", async () => {
    await start(stack);
    await configure();
    lab.run(lab.node, "nft add table ip6 others");
    lab.run(lab.node, "nft add chain ip6 others c { type filter hook forward priority 0; }");
    lab.run(lab.node, "nft add rule ip6 others c ct state new accept");
    const [old, other] = [await attached(0, 20), await attached(1, 20)];
    for (const each of [old, other]) expect(lab.pings(lab.nameOf(each), FAR_ADDRESS6)).toBe(true);
    expect(lab.run(lab.node, "conntrack -L -f ipv6")).toContain(v6(old));
    must(await kernel.detachPod(old));
    // With the link, a moment later.
    await expect.poll(() => lab.run(lab.node, "conntrack -L -f ipv6")).not.toContain(`=${v6(old)} `);
    expect(lab.run(lab.node, "conntrack -L -f ipv6")).toContain(`=${v6(other)} `);
    for (const target of [FAR_ADDRESS6, NODE_ADDRESS6, v6(other)])
      expect(lab.pings(lab.nameOf(old), target), target).toBe(false);
    for (const from of [lab.node, lab.vpc, lab.nameOf(other)])
      expect(lab.pings(from, v6(old)), from).toBe(false);
    const next = { ...lab.newPod(0, 20), hostName: "twnext" };
    must(await kernel.attachPod(next));
    expect(lab.pings(lab.nameOf(old), FAR_ADDRESS6)).toBe(false);
    expect(lab.pings(lab.nameOf(next), FAR_ADDRESS6)).toBe(true);
    expect(lab.spoofed()).toBe(0);
  });
});

describe("the chain of pods", () => {
  it("drops a source that is not the pod's at the node, and everything of a pod without IPv6", async () => {
    await start("dual");
    await configure();
    const [a, b] = [await attached(0, 20), await attached(1, 20)];
    const { v4 } = lab.newPod(0, 30).addresses;
    const only4 = { ...lab.newPod(0, 30), ...(v4 !== undefined && { addresses: { v4 } }) };
    must(await kernel.attachPod(only4));
    lab.run(lab.nameOf(only4), "ip route add default via fe80::1 dev eth0");
    const { hostMac } = must(await kernel.attachPod(only4));
    lab.run(lab.nameOf(only4), `ip neighbour add fe80::1 lladdr ${hostMac} dev eth0`);
    const sources = [v6(b), NODE_ADDRESS6, "fd00:0:0:1::77", "2001:db8::1"];
    for (const pod of [a, only4]) {
      const name = lab.nameOf(pod);
      for (const source of sources) {
        lab.run(name, `ip address add ${source}/128 dev eth0 nodad`);
        for (const target of [FAR_ADDRESS6, NODE_ADDRESS6, v6(b)])
          if (target !== source)
            expect(lab.pings(name, target, source), `${source} -> ${target}`).toBe(false);
        lab.run(name, `ip address del ${source}/128 dev eth0`);
      }
    }
    expect(lab.spoofed()).toBe(0);
    expect(lab.pings(lab.nameOf(a), FAR_ADDRESS6, v6(a))).toBe(true);
    // Without the rule the source gets through, so it was the rule.
    lab.run(lab.node, "nft flush chain ip6 terway pods");
    lab.run(lab.nameOf(a), "ip address add fd00:0:0:1::77/128 dev eth0 nodad");
    lab.pings(lab.nameOf(a), FAR_ADDRESS6, "fd00:0:0:1::77");
    expect(lab.spoofed()).toBeGreaterThan(0);
  });
});

/** A router advertisement to everybody on the link of `device` in `netns`: RFC 4861, section 4.2. */
async function advertise(netns: string, device: string): Promise<void> {
  const [link]: readonly { readonly ifindex: number; readonly address: string }[] = JSON.parse(
    sh(`nsenter --net=${netns} ip -j link show ${device}`),
  );
  if (link === undefined) throw new Error(device);
  const ends = [...ipBytes(linkLocal(mac(link.address))), ...ipBytes(ip6("ff02::1"))];
  const message = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
  const words = [...ends, 0, 0, 0, message.length, 0, 0, 0, 58, ...message];
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += ((words[at] ?? 0) << 8) | (words[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  const checked = message.with(2, (~sum >> 8) & 0xff).with(3, ~sum & 0xff);
  const ethernet = [0x33, 0x33, 0, 0, 0, 1, ...macBytes(mac(link.address)), 0x86, 0xdd];
  const frame = Uint8Array.from([...ethernet, 0x60, 0, 0, 0, 0, 16, 58, 255, ...ends, ...checked]);
  await using thread = await openSocketThread(new URL("./worker.ts", import.meta.url), { nodeNetns: netns });
  const address = new Uint8Array(20);
  new DataView(address.buffer).setUint16(0, 17, true);
  new DataView(address.buffer).setInt32(4, link.ifindex, true);
  const opened = await thread.run({
    kind: "open",
    socket: { domain: 17, type: 3, protocol: 0, address, receiveTimeoutMs: 10 },
  });
  if (opened.kind !== "opened") throw new Error(opened.kind);
  writeSync(opened.fd, frame);
  await thread.run({ kind: "close", fd: opened.fd });
}

function learnt(device: string): string {
  return sh(`ip -n ${lab.node} -6 route show dev ${device} proto ra`);
}

describe("router advertisements", () => {
  it("are not believed, neither from a pod nor by an ENI, with the nftables table or without it", async () => {
    await start("dual");
    await configure();
    const pod = await attached(0, 20);
    sh(`ip -n ${lab.node} link add plain type veth peer name other netns ${lab.vpc}`);
    sh(`ip -n ${lab.node} link set plain up`);
    sh(`ip -n ${lab.vpc} link set other up`);
    for (const withTable of [true, false]) {
      if (!withTable) lab.run(lab.node, "nft delete table ip6 terway");
      await advertise(pod.netns, "eth0");
      await advertise(`/run/netns/${lab.vpc}`, "p1");
      await advertise(`/run/netns/${lab.vpc}`, "other");
      // The kernel believes what comes in by a device that is not ours: so the frame is a good one, and has had its time.
      await expect.poll(() => learnt("plain"), { timeout: 5_000 }).toMatch(/default via fe80::/);
      expect([learnt(pod.hostName), learnt("eni0")]).toEqual(["", ""]);
    }
  });
});

describe("configureEni() with IPv6", () => {
  it("asks the gateway by neighbour discovery, and says that it does not answer", async () => {
    await start("dual");
    sh(`ip -n ${lab.vpc} address del fd00:0:0:1::fd/128 dev p1`);
    const result = await kernel.configureEni(lab.eni(0));
    expect(result.ok ? undefined : result.fault).toMatchObject({
      kind: "deadline",
      what: expect.stringMatching(/^neighbour solicitation for the gateway fd00:0:0:1::fd from fe80::/),
    });
    expect(sh(`ip -n ${lab.node} link show eni0`)).toMatch(/state DOWN.* group default/);
    sh(`ip -n ${lab.vpc} address add fd00:0:0:1::fd/128 dev p1 nodad`);
    must(await kernel.configureEni(lab.eni(0)));
    expect(sh(`ip -n ${lab.node} -6 neighbour show dev eni0 nud permanent`)).toMatch(
      /^fd00:0:0:1::fd lladdr \S+ PERMANENT proto 84 *\n$/,
    );
    expect(sh(`ip -n ${lab.node} -6 address show dev eni0`)).toBe("");
  });
});

describe("checkPod() and checkNode() with IPv6", () => {
  it("name what is gone, and a repeated call mends it", async () => {
    await start("dual");
    await configure();
    const pod = lab.newPod(0, 20);
    const checked = { ...pod, ...must(await kernel.attachPod(pod)) };
    const inPod = `dev eth0 in ${pod.netns}`;
    const eni = lab.eni(0);
    const cases: readonly (readonly [command: string, line: string])[] = [
      [
        "node ip -6 route del fd00:0:0:1::20 table 7400",
        "route fd00:0:0:1::20/128 dev tw0x20 table 7400 is missing",
      ],
      ["node ip neighbour del fd00:0:0:1::20 dev tw0x20", "neighbour fd00:0:0:1::20 dev tw0x20 is missing"],
      [
        "node sysctl -qw net.ipv6.conf.tw0x20.accept_ra=1",
        "device tw0x20: router advertisements are accepted",
      ],
      ["node sysctl -qw net.ipv6.conf.tw0x20.force_forwarding=0", "device tw0x20: IPv6 forwarding is off"],
      ["pod ip -6 route del default", `route default via fe80::1 ${inPod} is missing`],
      ["pod ip neighbour del fe80::1 dev eth0", `neighbour fe80::1 ${inPod} is missing`],
      [
        "node nft delete element ip6 terway pod_source { tw0x20 . fd00:0:0:1::20 }",
        "nft element ip6 terway pod_source { tw0x20 . fd00:0:0:1::20 } is missing",
      ],
      ["node ip -6 rule del priority 512", "ipv6 rule 512 from all lookup 7400 is missing"],
      [
        "node ip -6 route flush table 7401",
        "route default via fd00:0:0:1::fd dev eni0 table 7401 is missing",
      ],
      ["node sysctl -qw net.ipv6.conf.eni0.force_forwarding=0", "device eni0: IPv6 forwarding is off"],
      ["node ip -6 rule del priority 2049", "ipv6 rule 2049 from all iif eni0 blackhole is missing"],
      ["node nft flush chain ip6 terway prerouting", "nft chain ip6 terway prerouting has 0 of its 2 rules"],
      ["node nft flush chain ip6 terway pods", "nft chain ip6 terway pods has 0 of its 4 rules"],
    ];
    for (const [command, line] of cases) {
      const [where, ...words] = command.split(" ");
      lab.run(where === "pod" ? lab.nameOf(pod) : lab.node, words.join(" "));
      const found = [...must(await kernel.checkPod(checked)), ...must(await kernel.checkNode([eni]))];
      expect(found, command).toEqual([line]);
      must(await kernel.prepareHost());
      must(await kernel.configureEni(eni));
      must(await kernel.attachPod(pod));
      expect([must(await kernel.checkPod(checked)), must(await kernel.checkNode([eni]))]).toEqual([[], []]);
    }
  });

  it("names an address that is gone with all that needs it", async () => {
    await start("ipv6");
    await configure();
    const pod = lab.newPod(0, 20);
    const checked = { ...pod, ...must(await kernel.attachPod(pod)) };
    lab.run(lab.nameOf(pod), "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    const inPod = `eth0 in ${pod.netns}`;
    expect(must(await kernel.checkPod(checked))).toEqual([
      `device ${inPod}: IPv6 is disabled`,
      `address fd00:0:0:1::20/128 dev ${inPod} is missing`,
      `route default via fe80::1 dev ${inPod} is missing`,
      `neighbour fe80::1 dev ${inPod} is missing`,
    ]);
    must(await kernel.attachPod(pod));
    expect(must(await kernel.checkPod(checked))).toEqual([]);
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS6)).toBe(true);
  });
});

describe("cleanHost() with IPv6", () => {
  it("leaves nothing of ours, and keeps what pods use until they are gone", async () => {
    lab = openLab(0, "dual");
    const ofEnis = /eni\d|addrgenmode|link\/ether/;
    const others = (text: string): string[] => text.split("\n").filter((line) => !ofEnis.test(line));
    const before = others(lab.snapshot());
    kernel = await openKernel({ nodeNetns: lab.nodeNetns });
    must(await kernel.prepareHost());
    await configure();
    const pod = await attached(0, 20);
    lab.run(lab.node, "nft add element ip6 terway pod_source { 4711 . fd00:0:0:2::99 : goto eni1 }");
    must(await kernel.cleanHost());
    expect(lab.snapshot()).not.toMatch(/7402|fd00:0:0:2::99|chain eni1/);
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS6)).toBe(true);
    must(await kernel.detachPod(pod));
    must(await kernel.cleanHost());
    expect(others(lab.snapshot())).toEqual(before);
    expect(attempt(`ip netns exec ${lab.node} nft list table ip6 terway`)).toBe(false);
  });
});
