/** What happens to pods that run while the node's part is made again: by a new version, or for another setting of the node. */
import { spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { type PodLink } from "../core/kernel.ts";
import { addressesOf } from "../core/datapath/layout.ts";
import { runNft } from "./nft.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import {
  FAR_ADDRESS,
  FAR_ADDRESS6,
  type Lab,
  must,
  NODE_ADDRESS,
  openLab,
  sh,
  type Stack,
  v4,
} from "./lab.ts";

let lab: Lab;
let kernel: OpenKernel;

async function start(rpFilter: number, stack: Stack): Promise<void> {
  lab = openLab(rpFilter, stack);
  kernel = await openKernel({ nodeNetns: lab.nodeNetns, gatewayPatienceMs: 500 });
  await mend();
}

/** What the agent does at its start, and when the node's check finds something. */
async function mend(): Promise<void> {
  must(await kernel.prepareHost());
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
}

async function checked(): Promise<readonly string[]> {
  return must(await kernel.checkNode([lab.eni(0), lab.eni(1)]));
}

afterEach(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
  expect(sh("ip netns").includes(lab.node.slice(0, -"-node".length))).toBe(false);
});

/** Packets that are sent every 2 ms while `work` is done. Resolves with the summaries of those who lost some. */
async function lossDuring(
  ways: readonly (readonly [namespace: string, target: string, source: string])[],
  work: () => Promise<void>,
): Promise<readonly string[]> {
  const pings = ways.map(([namespace, target, source]) => {
    const words = ["netns", "exec", namespace, "ping", "-n", "-q", "-i", "0.002", "-W", "2", "-I", source];
    const child = spawn("ip", [...words, target], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (data: Buffer) => (said += data.toString()));
    const ended = new Promise<string>((resolve) => child.on("close", () => resolve(said)));
    return { child, ended };
  });
  try {
    for (const { child } of pings)
      await expect.poll(() => sentBy(child.pid ?? 0), { timeout: 5_000 }).toBe("ping");
    await work();
  } finally {
    for (const { child } of pings) child.kill("SIGINT");
  }
  const said = await Promise.all(pings.map(({ ended }) => ended));
  return said.flatMap((text, at) => {
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
    // The last one may be on its way when it ends.
    const isWhole = Number(sent) > 5 && Number(received) >= Number(sent) - 1;
    return isWhole ? [] : [`${ways[at]?.join(" ")}: ${text}`];
  });
}

/** `ip netns exec` becomes the command that it runs. */
function sentBy(pid: number): string {
  return sh(`cat /proc/${pid}/comm`).trim();
}

function waysOf(pods: readonly PodLink[]): readonly (readonly [string, string, string])[] {
  return pods.flatMap((pod) =>
    addressesOf(pod.addresses).flatMap((address) => {
      const far = address.includes(":") ? FAR_ADDRESS6 : FAR_ADDRESS;
      return [
        [lab.nameOf(pod), far, address],
        [lab.vpc, address, far],
      ] as const;
    }),
  );
}

/** Packets that were dropped meanwhile are none of the structure, nor is the order in which chains were made. */
function withoutCounts(snapshot: string): readonly string[] {
  return snapshot
    .split("\n")
    .filter((line) => !/packets \d+ bytes/.test(line))
    .sort();
}

function chainOf(family: "ip" | "ip6", slot: number): string {
  const chain = `${family} terway eni${slot}`;
  return `add chain ${chain}
    add rule ${chain} meta mark set meta mark and 0xc0ffffff or 0x0${slot + 1}000000`;
}

/** How the version before left a node: a map from addresses alone, and the kernel's check of sources on every link. */
async function makeFormer(pods: readonly PodLink[], stack: Stack): Promise<void> {
  const elements = (family: "ip" | "ip6"): string =>
    pods
      .flatMap(({ addresses, slot }) => {
        const address = family === "ip" ? addresses.v4 : addresses.v6;
        return address === undefined || slot === undefined ? [] : [`${address} : goto eni${slot}`];
      })
      .join(", ");
  const tableOf = (family: "ip" | "ip6"): string => `
    delete table ${family} terway
    add table ${family} terway
    add map ${family} terway pod_eni { type ${family === "ip" ? "ipv4_addr" : "ipv6_addr"} : verdict; }
    add chain ${family} terway prerouting { type filter hook prerouting priority -250; policy accept; }
    ${chainOf(family, 0)}
    ${chainOf(family, 1)}
    add element ${family} terway pod_eni { ${elements(family)} }
    add rule ${family} terway prerouting meta iifgroup 21504 ${family} saddr vmap @pod_eni
    add rule ${family} terway prerouting meta iifgroup 21506 ${family} daddr vmap @pod_eni`;
  const families = stack === "ipv4" ? (["ip"] as const) : (["ip", "ip6"] as const);
  must(await runNft(families.map(tableOf).join("\n"), lab.nodeNetns));
  for (const { hostName } of pods) {
    const conf = `net.ipv4.conf.${hostName}`;
    lab.run(lab.node, `sysctl -qw ${conf}.rp_filter=1 ${conf}.accept_local=0 ${conf}.arp_ignore=0`);
  }
  for (const eni of ["eni0", "eni1"]) {
    const conf = `net.ipv4.conf.${eni}`;
    lab.run(
      lab.node,
      `sysctl -qw ${conf}.rp_filter=2 ${conf}.src_valid_mark=1 ${conf}.accept_local=0 ${conf}.arp_ignore=0`,
    );
  }
  for (const family of ["-4", "-6"])
    for (const priority of [2049, 2050]) sh(`ip -n ${lab.node} ${family} rule del priority ${priority}`);
}

describe.each(["ipv4", "dual"] as const)("prepareHost() over a former version, %s", (stack) => {
  it("takes running pods over without the loss of a packet, and leaves nothing of it", async () => {
    await start(0, stack);
    const pods = [lab.newPod(0, 20), lab.newPod(1, 20)];
    const { slot: _, ...inBlock } = lab.newPod(0, 30);
    for (const pod of [...pods, inBlock]) must(await kernel.attachPod(pod));
    const whole = lab.snapshot();
    await makeFormer([...pods, inBlock], stack);
    await kernel[Symbol.asyncDispose]();
    kernel = await openKernel({ nodeNetns: lab.nodeNetns });
    const [first = inBlock] = pods;
    const ways = [...waysOf(pods), [lab.nameOf(inBlock), v4(first), v4(inBlock)] as const];
    expect(await lossDuring(ways, mend)).toEqual([]);
    expect(await checked()).toEqual([]);
    expect(withoutCounts(lab.snapshot())).toEqual(withoutCounts(whole));
    lab.run(lab.nameOf(first), `ip address add ${NODE_ADDRESS}/32 dev eth0`);
    expect(lab.pings(lab.nameOf(first), FAR_ADDRESS, NODE_ADDRESS)).toBe(false);
    expect(lab.spoofed()).toBe(0);
  });

  it("goes on where it was cut short", async () => {
    await start(0, stack);
    const pod = lab.newPod(0, 20);
    must(await kernel.attachPod(pod));
    const whole = withoutCounts(lab.snapshot());
    const former = `add map ip terway pod_eni { type ipv4_addr : verdict; }
      add element ip terway pod_eni { ${v4(pod)} : goto eni0 , 10.0.1.99 : goto eni1 }`;
    const end = `net.ipv4.conf.${pod.hostName}`;
    lab.run(lab.node, `sysctl -qw ${end}.rp_filter=1 ${end}.accept_local=0`);
    must(await runNft(former, lab.nodeNetns));
    await mend();
    expect(withoutCounts(lab.snapshot())).toEqual(whole);
    expect(await checked()).toEqual([]);
  });

  it("is cleaned up by cleanHost(), around pods that are there", async () => {
    await start(0, stack);
    const pod = lab.newPod(0, 20);
    must(await kernel.attachPod(pod));
    await makeFormer([pod], stack);
    must(await kernel.cleanHost());
    expect(lab.snapshot()).not.toMatch(/7402|chain eni1/);
    for (const [namespace, target, source] of waysOf([pod]))
      expect(lab.pings(namespace, target, source), `${source} -> ${target}`).toBe(true);
    must(await kernel.detachPod(pod));
    must(await kernel.cleanHost());
    expect(lab.snapshot()).not.toMatch(/proto 84|terway|group 2150/);
  });
});

function linesOfEnis(lines: readonly string[]): readonly string[] {
  return ["eni0", "eni1"].flatMap((device) => lines.map((line) => `device ${device}: ${line}`));
}

describe("prepareHost()", () => {
  it("takes elements away whose link is gone, and no others", async () => {
    await start(0, "dual");
    const pod = lab.newPod(0, 20);
    must(await kernel.attachPod(pod));
    const before = withoutCounts(lab.snapshot());
    for (const stray of ["ip terway pod_source { 4711 . 10.0.1.20", "ip6 terway pod_source { 4711 . fd00::7"])
      lab.run(lab.node, `nft add element ${stray} : goto eni0 }`);
    must(await kernel.prepareHost());
    expect(withoutCounts(lab.snapshot())).toEqual(before);
  });
});

describe("forgetEni()", () => {
  it("leaves a device that forwards nothing into the node", async () => {
    await start(0, "ipv4");
    must(await kernel.forgetEni(0));
    expect(lab.pings(lab.vpc, "10.0.1.77", FAR_ADDRESS)).toBe(false);
    expect(lab.spoofed()).toBe(0);
  });
});

describe("checkNode(), when the node begins or ends to check sources", () => {
  it.each([1, 2])(
    "names what is set otherwise, and it is mended without loss: all.rp_filter %i",
    async (rpFilter) => {
      await start(0, "dual");
      const pods = [lab.newPod(0, 20), lab.newPod(1, 20)];
      for (const pod of pods) must(await kernel.attachPod(pod));
      lab.run(lab.node, `sysctl -qw net.ipv4.conf.all.rp_filter=${rpFilter}`);
      expect(await checked()).toEqual([
        "nft chain ip terway prerouting has 2 of its 3 rules",
        ...linesOfEnis(["rp_filter is 0, not 2", "src_valid_mark is off", "accept_local is on"]),
      ]);
      await mend();
      expect(await checked()).toEqual([]);
      for (const [namespace, target, source] of waysOf(pods))
        expect(lab.pings(namespace, target, source), `${source} -> ${target}`).toBe(true);
      lab.run(lab.node, "sysctl -qw net.ipv4.conf.all.rp_filter=0");
      expect(await checked()).toEqual(
        linesOfEnis(["rp_filter is 2, not 0", "src_valid_mark is on", "accept_local is off"]),
      );
      expect(await lossDuring(waysOf(pods), mend)).toEqual([]);
      expect(await checked()).toEqual([]);
      expect(lab.spoofed()).toBe(0);
    },
  );
});

describe.each([0, 1])("configureEni() with all.rp_filter=%i", (rpFilter) => {
  it("lets nothing pass that an ENI brings for nobody, and answers nobody by ARP", async () => {
    await start(rpFilter, "dual");
    const pod = lab.newPod(0, 20);
    must(await kernel.attachPod(pod));
    const strangers = [
      ["10.0.1.77", FAR_ADDRESS],
      ["fd00:0:0:1::77", FAR_ADDRESS6],
    ] as const;
    for (const [target, source] of strangers) expect(lab.pings(lab.vpc, target, source)).toBe(false);
    expect(lab.spoofed()).toBe(0);
    // What the node's own device has is on no link of ours.
    sh(`ip -n ${lab.nameOf(pod)} route add ${NODE_ADDRESS} dev eth0`);
    expect(lab.pings(lab.nameOf(pod), NODE_ADDRESS)).toBe(false);
    sh(`ip -n ${lab.vpc} route add ${NODE_ADDRESS} dev p1 src 10.0.1.253`);
    expect(lab.pings(lab.vpc, NODE_ADDRESS, "10.0.1.253")).toBe(false);
    const neighbours = sh(`ip -n ${lab.node} -4 neighbour show`).split("\n");
    expect(neighbours.filter((line) => /dev (tw|eni)/.test(line) && !line.includes("PERMANENT"))).toEqual([]);
    // Without it the packet goes out again by the node's own device, so it was the rule.
    for (const family of ["-4", "-6"]) sh(`ip -n ${lab.node} ${family} rule del priority 2049`);
    lab.run(lab.node, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eni0.rp_filter=0");
    for (const [target, source] of strangers) expect(lab.pings(lab.vpc, target, source)).toBe(false);
    expect(lab.spoofed()).toBeGreaterThan(1);
  });

  it("leaves Services to others: a pod reaches itself and others by an address that the node translates", async () => {
    await start(rpFilter, "ipv4");
    const [pod, near, other] = [lab.newPod(0, 20), lab.newPod(0, 21), lab.newPod(1, 20)];
    for (const each of [pod, near, other]) must(await kernel.attachPod(each));
    const services = [pod, near, other].map((behind, at) => ({
      behind: v4(behind),
      at: `172.16.0.${at + 1}`,
    }));
    const text = `
      add table ip services
      add chain ip services pre { type nat hook prerouting priority dstnat; }
      add chain ip services post { type nat hook postrouting priority srcnat; }
      ${services.map(({ behind, at }) => `add rule ip services pre ip daddr ${at} dnat to ${behind}`).join("\n")}
      add rule ip services post ip saddr ${v4(pod)} ip daddr ${v4(pod)} masquerade`;
    must(await runNft(text, lab.nodeNetns));
    const reached = services.filter(({ at }) => lab.pings(lab.nameOf(pod), at)).map(({ behind }) => behind);
    expect(reached).toEqual(services.map(({ behind }) => behind));
    expect(lab.pings(lab.node, v4(other))).toBe(true);
    expect(lab.spoofed()).toBe(0);
  });
});
