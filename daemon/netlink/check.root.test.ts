/** CHECK on the kernel: each thing that attachPod() or configureEni() made is taken away, and is what is named. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CheckedPod } from "./check-pod.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import { type Lab, must, openLab, sh } from "./lab.ts";

let lab: Lab;
let kernel: OpenKernel;
let pod: CheckedPod;

/** Commands are run in the node where they begin with `node`, else in the pod. */
function run(command: string): void {
  const [where, ...words] = command.split(" ");
  lab.run(where === "node" ? lab.node : lab.nameOf(pod), words.join(" "));
}

async function enis(): Promise<readonly string[]> {
  return must(await kernel.checkNode([lab.eni(0), lab.eni(1)]));
}

beforeAll(async () => {
  lab = openLab();
  kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  must(await kernel.prepareHost());
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
  const made = lab.newPod(0, 20);
  pod = { ...made, ...must(await kernel.attachPod(made)) };
});

afterAll(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

const NEIGHBOUR = "neighbour 10.0.1.20 dev tw0x20";

function inPod(): string {
  return `eth0 in ${pod.netns}`;
}

function gateway(): string {
  return `neighbour 169.254.1.1 dev ${inPod()}`;
}

function missing(what: string): readonly string[] {
  return [`${what} is missing`];
}

describe("checkPod()", () => {
  beforeEach(async () => {
    const { hostMac, podMac } = pod;
    expect(must(await kernel.attachPod(pod))).toMatchObject({ hostMac, podMac });
    expect(must(await kernel.checkPod(pod))).toEqual([]);
  });

  /** What is done; what is said of it; what attachPod() does not mend. */
  const cases: readonly (readonly [does: string, says: () => readonly string[], mend?: string])[] = [
    ["node ip route del 10.0.1.20 table 7400", () => ["route 10.0.1.20/32 dev tw0x20 table 7400 is missing"]],
    ["node ip neighbour del 10.0.1.20 dev tw0x20", () => [`${NEIGHBOUR} is missing`]],
    [
      "node ip neighbour replace 10.0.1.20 lladdr 02:00:00:00:00:99 dev tw0x20 nud permanent",
      () => [`${NEIGHBOUR} has the MAC 02:00:00:00:00:99, not ${pod.podMac}`],
    ],
    ["node ip neighbour change 10.0.1.20 dev tw0x20 nud stale", () => [`${NEIGHBOUR} is not permanent`]],
    ["node ip link set tw0x20 group 7", () => ["device tw0x20 is in group 7, not 21504"], "group 21504"],
    ["node ip link set tw0x20 group 21505", () => ["device tw0x20 is about to be deleted"], "group 21504"],
    [
      "node ip link set tw0x20 alias mine",
      () => ['device tw0x20 has the alias "mine", not "terway:10.0.1.20"'],
      "alias terway:10.0.1.20",
    ],
    [
      "node ip link set tw0x20 address 02:00:00:00:00:98",
      // The kernel forgets the neighbours of a device whose MAC changes.
      () => [`device tw0x20 has the MAC 02:00:00:00:00:98, not ${pod.hostMac}`, `${NEIGHBOUR} is missing`],
      "address HOSTMAC",
    ],
    ["node ip link set tw0x20 mtu 1300", () => ["device tw0x20 has the mtu 1300, less than 1400"]],
    ["node ip link set tw0x20 addrgenmode eui64", () => ["device tw0x20: addrgenmode is not none"]],
    ["node sysctl -qw net.ipv4.conf.tw0x20.forwarding=0", () => ["device tw0x20: forwarding is off"]],
    ["node sysctl -qw net.ipv4.conf.tw0x20.rp_filter=1", () => ["device tw0x20: rp_filter is 1, not 0"]],
    ["node sysctl -qw net.ipv4.conf.tw0x20.accept_local=0", () => ["device tw0x20: accept_local is off"]],
    ["node sysctl -qw net.ipv4.conf.tw0x20.arp_ignore=0", () => ["device tw0x20: arp_ignore is 0, not 8"]],
    [
      "node nft delete element ip terway pod_source { tw0x20 . 10.0.1.20 }",
      () => ["nft element ip terway pod_source { tw0x20 . 10.0.1.20 } is missing"],
    ],
    [
      "pod ip address del 10.0.1.20/32 dev eth0",
      // With the last address of a device the kernel forgets its routes and neighbours.
      () => [
        `address 10.0.1.20/32 dev ${inPod()} is missing`,
        `route 169.254.1.1/32 dev ${inPod()} is missing`,
        `route default via 169.254.1.1 dev ${inPod()} is missing`,
        `${gateway()} is missing`,
      ],
    ],
    ["pod ip route del default", () => [`route default via 169.254.1.1 dev ${inPod()} is missing`]],
    ["pod ip route del 169.254.1.1", () => [`route 169.254.1.1/32 dev ${inPod()} is missing`]],
    ["pod ip neighbour del 169.254.1.1 dev eth0", () => [`${gateway()} is missing`]],
    [
      "pod ip neighbour replace 169.254.1.1 lladdr 02:00:00:00:00:97 dev eth0 nud permanent",
      () => [`${gateway()} has the MAC 02:00:00:00:00:97, not ${pod.hostMac}`],
    ],
    ["pod ip link set lo down", () => [`device lo in ${pod.netns} is down`]],
    [
      "pod ip link set eth0 address 02:00:00:00:00:96",
      () => [`device ${inPod()} has the MAC 02:00:00:00:00:96, not ${pod.podMac}`, `${gateway()} is missing`],
      "address PODMAC",
    ],
  ];

  it.for(cases)("names what is gone: %s", async ([does, says, mend]) => {
    run(does);
    expect(must(await kernel.checkPod(pod))).toEqual(says());
    if (mend === undefined) return;
    const [where, device] = does.startsWith("node") ? ["node", "tw0x20"] : ["pod", "eth0"];
    const words = mend.replace("HOSTMAC", pod.hostMac).replace("PODMAC", pod.podMac);
    run(`${where} ip link set ${device} ${words}`);
  });

  it("names a link that is down, with what the kernel took away for it", async () => {
    run("node ip link set tw0x20 down");
    expect(must(await kernel.checkPod(pod))).toEqual([
      "device tw0x20 is down",
      "route 10.0.1.20/32 dev tw0x20 table 7400 is missing",
      `${NEIGHBOUR} is missing`,
    ]);
    must(await kernel.attachPod(pod));
    run("pod ip link set eth0 down");
    expect(must(await kernel.checkPod(pod))).toEqual([
      `device ${inPod()} is down`,
      `route 169.254.1.1/32 dev ${inPod()} is missing`,
      `route default via 169.254.1.1 dev ${inPod()} is missing`,
      `${gateway()} is missing`,
    ]);
  });

  it("names an element that leads to another ENI", async () => {
    run("node nft delete element ip terway pod_source { tw0x20 . 10.0.1.20 }");
    run("node nft add element ip terway pod_source { tw0x20 . 10.0.1.20 : goto eni1 }");
    expect(must(await kernel.checkPod(pod))).toEqual([
      "nft element ip terway pod_source { tw0x20 . 10.0.1.20 } goes to eni1, not eni0",
    ]);
  });

  it("does not mind what others added, and changes nothing", async () => {
    run("pod ip address add 192.0.2.7/24 dev eth0");
    run("pod ip route add 198.51.100.0/24 via 169.254.1.1 dev eth0 onlink");
    run("pod ip route add default via 169.254.1.1 dev eth0 onlink metric 99");
    run("pod ip link set eth0 mtu 1200");
    run("pod ip link add other type bridge");
    run("node ip route add 203.0.113.0/24 dev tw0x20 table 7400");
    run("node nft add element ip terway pod_source { tw0x20 . 203.0.113.1 : goto eni0 }");
    const before = [lab.snapshot(), lab.run(lab.nameOf(pod), "ip address")];
    expect(must(await kernel.checkPod(pod))).toEqual([]);
    expect([lab.snapshot(), lab.run(lab.nameOf(pod), "ip address")]).toEqual(before);
  });

  it("names interfaces that are missing or belong to others", async () => {
    const other = lab.newPod(0, 21);
    const made = must(await kernel.attachPod(other));
    expect(must(await kernel.checkPod({ ...pod, ...made, hostName: other.hostName }))).toEqual(
      expect.arrayContaining([`device tw0x21 is not the other end of eth0 in ${pod.netns}`]),
    );
    lab.run(lab.node, "ip link del tw0x21");
    expect(must(await kernel.checkPod({ ...other, ...made }))).toEqual([
      "device tw0x21 is missing",
      `device eth0 in ${other.netns} is missing`,
    ]);
    must(await kernel.detachPod(other));
  });

  it("asks for no mark of a pod whose address is of a block of the node", async () => {
    const { slot: _, ...inBlock } = lab.newPod(0, 22);
    const made = must(await kernel.attachPod(inBlock));
    expect(lab.run(lab.node, "nft list map ip terway pod_source")).toContain('"tw0x22" . 10.0.1.22 : accept');
    expect(must(await kernel.checkPod({ ...inBlock, ...made }))).toEqual([]);
    expect(lab.pings(lab.nameOf(inBlock), "10.0.1.20")).toBe(true);
    run("node nft delete element ip terway pod_source { tw0x22 . 10.0.1.22 }");
    run("node nft add element ip terway pod_source { tw0x22 . 10.0.1.22 : goto eni1 }");
    expect(must(await kernel.checkPod({ ...inBlock, ...made }))).toEqual([
      "nft element ip terway pod_source { tw0x22 . 10.0.1.22 } goes to eni1, and is not accepted",
    ]);
    must(await kernel.detachPod(inBlock));
  });

  it("names a namespace that is gone, and one that is none", async () => {
    const lost = lab.newPod(1, 21);
    const made = must(await kernel.attachPod(lost));
    sh(`ip netns del ${lab.nameOf(lost)}`);
    await expect.poll(() => sh(`ip -n ${lab.node} -br link`), { timeout: 5_000 }).not.toMatch(/tw1x21/);
    const others = ["device tw1x21 is missing"];
    const wrong = ["/proc/self/ns/mnt", "/etc/hostname", lost.netns];
    const said: (readonly string[])[] = [];
    for (const netns of wrong) said.push(must(await kernel.checkPod({ ...lost, ...made, netns })));
    expect(said).toEqual([
      [...others, "network namespace /proc/self/ns/mnt: it is not a network namespace"],
      [...others, "network namespace /etc/hostname: it is not a network namespace"],
      [...others, `network namespace ${lost.netns} is gone`],
    ]);
    must(await kernel.detachPod(lost));
  });
});

describe("checkNode()", () => {
  beforeEach(async () => {
    must(await kernel.prepareHost());
    for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
    expect(await enis()).toEqual([]);
  });

  /** What is done, and what is said of it; `configureEni` and `prepareHost` mend all of it. */
  const cases: readonly (readonly [does: string, says: readonly string[]])[] = [
    ["node ip rule del priority 512", missing("rule 512 from all lookup 7400")],
    [
      "node ip rule del priority 2048 lookup 7401",
      missing("rule 2048 fwmark 0x1000000/0x3f000000 lookup 7401"),
    ],
    ["node ip route flush table 7402", missing("route default via 10.0.2.253 dev eni1 table 7402")],
    ["node ip neighbour del 10.0.1.253 dev eni0", missing("neighbour 10.0.1.253 dev eni0")],
    [
      "node ip neighbour change 10.0.1.253 dev eni0 nud stale",
      ["neighbour 10.0.1.253 dev eni0 is not permanent"],
    ],
    ["node ip link set eni1 group 0", ["device eni1 is in group 0, not 21506"]],
    ["node ip link set eni1 mtu 1300", ["device eni1 has the mtu 1300, less than 1400"]],
    ["node ip link set eni1 addrgenmode eui64", ["device eni1: addrgenmode is not none"]],
    ["node sysctl -qw net.ipv4.conf.eni0.forwarding=0", ["device eni0: forwarding is off"]],
    ["node sysctl -qw net.ipv4.conf.eni0.rp_filter=1", ["device eni0: rp_filter is 1, not 0"]],
    ["node sysctl -qw net.ipv4.conf.eni0.src_valid_mark=1", ["device eni0: src_valid_mark is on"]],
    ["node sysctl -qw net.ipv4.conf.eni0.accept_local=0", ["device eni0: accept_local is off"]],
    ["node sysctl -qw net.ipv4.conf.eni0.arp_ignore=1", ["device eni0: arp_ignore is 1, not 8"]],
    ["node ip rule del priority 2050", missing("rule 2050 from all iif eni1 blackhole")],
    ["node nft add table ip terway { flags dormant; }", ["nft table ip terway is dormant"]],
    ["node nft flush chain ip terway prerouting", ["nft chain ip terway prerouting has 0 of its 2 rules"]],
    ["node nft flush chain ip terway pods", ["nft chain ip terway pods has 0 of its 2 rules"]],
    ["node nft flush chain ip terway eni1", ["nft chain ip terway eni1 has 0 of its 1 rules"]],
    [
      "node nft add chain ip terway prerouting { policy drop; }",
      ["nft chain ip terway prerouting has not the policy accept"],
    ],
    ["node nft delete table ip terway", missing("nft table ip terway")],
  ];

  it.for(cases)("names what is gone: %s", async ([does, says]) => {
    run(does);
    expect(await enis()).toEqual(says);
    if (does.includes("dormant")) run("node nft add table ip terway { }");
  });

  it("names a device that is down, with what the kernel took away for it", async () => {
    run("node ip link set eni1 down");
    expect(await enis()).toEqual([
      "device eni1 is down",
      "neighbour 10.0.2.253 dev eni1 is missing",
      "route default via 10.0.2.253 dev eni1 table 7402 is missing",
    ]);
  });

  it("names what of the table is missing or is another thing", async () => {
    run("node nft delete table ip terway");
    run("node nft add table ip terway");
    run("node nft add chain ip terway prerouting { type filter hook prerouting priority 5; }");
    run("node nft add rule ip terway prerouting accept");
    expect(await enis()).toEqual([
      "nft map ip terway pod_source is missing",
      "nft chain ip terway prerouting is not hooked into prerouting at priority -250",
      "nft chain ip terway prerouting has 1 of its 2 rules",
      "nft chain ip terway pods is missing",
      "nft chain ip terway eni0 is missing",
      "nft chain ip terway eni1 is missing",
    ]);
    run("node nft delete table ip terway");
  });

  it("names a device that is another one or is gone, and changes nothing", async () => {
    const eni = lab.eni(1);
    const before = lab.snapshot();
    for (const wrong of [{ mac: lab.eni(0).mac }, { ifIndex: 54_321 }]) {
      const asked = { ...eni, ...wrong };
      expect(must(await kernel.checkNode([asked]))).toEqual([
        `device ${asked.ifIndex} with the MAC ${asked.mac} of the ENI of slot 1 is missing`,
      ]);
    }
    expect(lab.snapshot()).toBe(before);
  });

  it("does not mind rules and chains of others", async () => {
    run("node nft add rule ip terway prerouting accept");
    run("node nft add chain ip terway others");
    run("node ip rule add priority 512 lookup main");
    run("node ip route add 203.0.113.0/24 dev eni0 table 7401");
    expect(await enis()).toEqual([]);
  });
});
