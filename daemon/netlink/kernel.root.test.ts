/** The datapath on the kernel: who reaches whom, by which device, and that nothing but ours changes. */
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { POD_ENDS_BYTES, podEnds } from "../core/datapath/pod-plan.ts";
import { type PodLink } from "../core/kernel.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import { FAR_ADDRESS, ip, type Lab, must, NODE_ADDRESS, openLab, sh, v4 } from "./lab.ts";

let lab: Lab;
let kernel: OpenKernel;

async function start(rpFilter: number): Promise<void> {
  lab = openLab(rpFilter);
  kernel = await openKernel({ nodeNetns: lab.nodeNetns, gatewayPatienceMs: 500 });
}

async function prepare(): Promise<void> {
  must(await kernel.prepareHost());
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
}

async function attached(slot: number, number: number): Promise<PodLink & { readonly slot: number }> {
  const pod = { ...lab.newPod(slot, number), slot };
  must(await kernel.attachPod(pod));
  return pod;
}

function linesWithout(text: string, pattern: RegExp): string[] {
  return text.split("\n").filter((line) => !pattern.test(line));
}

afterEach(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
  expect(sh("ip netns").includes(lab.node.slice(0, -"-node".length))).toBe(false);
});

describe.each([0, 1, 2])("attachPod() with all.rp_filter=%i", (rpFilter) => {
  beforeEach(() => start(rpFilter));

  it("connects pods to each other, to the node, to the gateway and to those far away, both ways", async () => {
    await prepare();
    const [a, b, c] = [await attached(0, 20), await attached(0, 21), await attached(1, 20)];
    const seen: string[] = [];
    for (const pod of [a, b, c]) {
      const others = [a, b, c].filter((other) => other !== pod).map(v4);
      const gateway = `10.0.${pod.slot + 1}.253`;
      for (const target of [...others, NODE_ADDRESS, gateway, FAR_ADDRESS])
        if (!lab.pings(lab.nameOf(pod), target)) seen.push(`${v4(pod)} -> ${target}`);
      if (!lab.pings(lab.node, v4(pod))) seen.push(`node -> ${v4(pod)}`);
      if (!lab.pings(lab.vpc, v4(pod), FAR_ADDRESS)) seen.push(`far away -> ${v4(pod)}`);
    }
    expect(seen).toEqual([]);
    // Each came in by the port of its own ENI, and the node routes nothing for others.
    expect(lab.spoofed()).toBe(0);
    expect(lab.run(lab.node, "sysctl -n net.ipv4.ip_forward").trim()).toBe("0");
  });

  it("drops a source that is not the pod's at the node", async () => {
    await prepare();
    const [a, b] = [await attached(0, 20), await attached(1, 20)];
    const name = lab.nameOf(a);
    for (const source of [v4(b), NODE_ADDRESS, "10.0.1.77", "198.51.100.1"]) {
      lab.run(name, `ip address add ${source}/32 dev eth0`);
      for (const target of [FAR_ADDRESS, NODE_ADDRESS, v4(b)])
        if (target !== source) expect(lab.pings(name, target, source), `${source} -> ${target}`).toBe(false);
      lab.run(name, `ip address del ${source}/32 dev eth0`);
    }
    expect(lab.spoofed()).toBe(0);
    expect(lab.pings(name, FAR_ADDRESS, v4(a))).toBe(true);
  });
});

describe("openKernel()", () => {
  beforeEach(() => start(0));

  it("leaves what is not ours as it was, and everything in the end", async () => {
    const before = lab.snapshot();
    await prepare();
    const pods = [await attached(0, 20), await attached(1, 20)];
    const during = lab.snapshot();
    const ours = /proto 84|tw\dx\d|table ip terway/;
    const isOthers = (line: string): boolean =>
      /^(net\.ipv4\.(ip_forward|conf\.(all|default|lo|eth0)))|dev eth0|foreign|inet /.test(line) &&
      !ours.test(line);
    expect(during.split("\n").filter(isOthers)).toEqual(before.split("\n").filter(isOthers));
    for (const pod of pods) must(await kernel.detachPod(pod));
    for (const slot of [0, 1]) must(await kernel.forgetEni(slot));
    must(await kernel.cleanHost());
    // What the ENIs were set to is theirs until they are unplugged.
    const ofEnis = /eni\d|addrgenmode|link\/ether/;
    expect(linesWithout(lab.snapshot(), ofEnis)).toEqual(linesWithout(before, ofEnis));
  });

  it("has the same rules for 50 pods as for one", async () => {
    await prepare();
    await attached(0, 20);
    const rules = sh(`ip -n ${lab.node} rule`);
    const pods = Array.from({ length: 49 }, (_, at) => lab.newPod(at % 2, 21 + at));
    const results = await Promise.all(pods.map((pod) => kernel.attachPod(pod)));
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(sh(`ip -n ${lab.node} rule`)).toBe(rules);
    expect(rules.split("\n").filter((line) => line.includes("proto 84"))).toEqual([
      "512:\tfrom all lookup 7400 proto 84",
      "2048:\tfrom all fwmark 0x1000000/0x3f000000 lookup 7401 proto 84",
      "2048:\tfrom all fwmark 0x2000000/0x3f000000 lookup 7402 proto 84",
      "2049:\tfrom all iif eni0 blackhole proto 84",
      "2050:\tfrom all iif eni1 blackhole proto 84",
    ]);
    expect(must(await kernel.podTraces()).length).toBe(50);
    const deletions = kernel.linkDeletions();
    const gone = await Promise.all(pods.map((pod) => kernel.detachPod(pod)));
    expect(gone.filter(({ ok }) => !ok)).toEqual([]);
    const left = (): number => sh(`ip -n ${lab.node} -br link`).match(/^tw[01]x\d+@/gm)?.length ?? 0;
    await expect.poll(left, { timeout: 10_000 }).toBe(1);
    // Together, and not one by one, however slow the machine is.
    expect(kernel.linkDeletions() - deletions).toBeLessThan(10);
    expect(must(await kernel.podTraces())).toEqual([{ address: "10.0.1.20", hostName: "tw0x20" }]);
  });

  it("does everything again without harm", async () => {
    await prepare();
    const pod = lab.newPod(0, 20);
    const first = must(await kernel.attachPod(pod));
    const snapshot = lab.snapshot();
    await prepare();
    expect(must(await kernel.attachPod(pod))).toEqual(first);
    expect(lab.snapshot()).toBe(snapshot);
    // What somebody took away in the pod is put back.
    lab.run(lab.nameOf(pod), "ip route del default");
    must(await kernel.attachPod(pod));
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
    for (let times = 1; times <= 3; times++) must(await kernel.detachPod(pod));
    expect(must(await kernel.podTraces())).toEqual([]);
    must(await kernel.attachPod(pod));
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
  });

  it("takes nothing to be there already, and nothing to be left, for granted", async () => {
    const before = lab.snapshot();
    const pod = lab.newPod(0, 20);
    expect(must(await kernel.podTraces())).toEqual([]);
    for (let times = 1; times <= 2; times++) {
      must(await kernel.forgetEni(0));
      must(await kernel.cleanHost());
    }
    expect(lab.snapshot()).toBe(before);
    const early = await kernel.attachPod(pod);
    expect(early).toMatchObject({ ok: false, fault: { kind: "kernel", errno: "ENOENT" } });
    expect(lab.snapshot()).toBe(before);
    must(await kernel.detachPod(pod));
    await prepare();
    for (let times = 1; times <= 2; times++) must(await kernel.forgetEni(1));
    expect(lab.snapshot()).not.toMatch(/lookup 7402|chain eni1/);
  });

  it("takes the namespace that the process runs in for the node's", async () => {
    await prepare();
    const pod = lab.newPod(0, 20);
    const script = `
      import { openKernel } from ${JSON.stringify(new URL("./kernel.ts", import.meta.url).href)};
      await using kernel = await openKernel();
      const results = [await kernel.prepareHost(), await kernel.attachPod(${JSON.stringify(pod)}), await kernel.podTraces()];
      process.stdout.write(JSON.stringify(results.map(({ ok }) => ok)));`;
    const args = ["netns", "exec", lab.node, process.execPath, "--input-type=module", "-e", script];
    expect(execFileSync("ip", args, { encoding: "utf8" })).toBe("[true,true,true]");
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
  });

  it("cleans up around pods that are there, and what has no pod", async () => {
    await prepare();
    const pod = await attached(0, 20);
    sh(`ip -n ${lab.node} link add tw0half group 21504 type veth`);
    lab.run(lab.node, "nft add element ip terway pod_source { 4711 . 10.0.2.99 : goto eni1 }");
    must(await kernel.cleanHost());
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
    const left = lab.snapshot();
    expect(left).not.toMatch(/tw0half|7402|10\.0\.2\.99|chain eni1/);
    expect(left).toMatch(/lookup 7401/);
    must(await kernel.detachPod(pod));
    must(await kernel.cleanHost());
    expect(lab.snapshot()).not.toMatch(/proto 84|terway|group 2150/);
  });

  it("forgets the connections of a pod's address", async () => {
    await prepare();
    lab.run(lab.node, "nft add rule ip foreign c ct state new accept");
    const [pod, other] = [await attached(0, 20), await attached(0, 21)];
    for (const each of [pod, other]) expect(lab.pings(lab.nameOf(each), FAR_ADDRESS)).toBe(true);
    expect(lab.run(lab.node, "conntrack -L")).toMatch(/src=10\.0\.1\.20/);
    must(await kernel.detachPod(pod));
    const left = lab.run(lab.node, "conntrack -L");
    expect(left).not.toMatch(/10\.0\.1\.20/);
    expect(left).toMatch(/10\.0\.1\.21/);
  });
});

describe("prepareEni()", () => {
  beforeEach(() => start(0));

  it("makes the chain ahead, once, and forgetEni() removes it", async () => {
    must(await kernel.prepareHost());
    const before = lab.snapshot();
    await Promise.all([kernel.prepareEni(0), kernel.prepareEni(0)]);
    expect(lab.snapshot()).toMatch(/chain eni0/);
    must(await kernel.prepareEni(1));
    must(await kernel.forgetEni(0));
    must(await kernel.forgetEni(1));
    expect(lab.snapshot()).toBe(before);
  });

  it("does not keep a later configureEni() from making it again", async () => {
    must(await kernel.prepareHost());
    must(await kernel.prepareEni(0));
    must(await kernel.configureEni(lab.eni(0)));
    lab.run(lab.node, "nft delete chain ip terway eni0");
    must(await kernel.configureEni(lab.eni(0)));
    expect(lab.snapshot()).toMatch(/chain eni0/);
  });
});

describe("configureEni()", () => {
  beforeEach(() => start(0));

  it("says that the gateway does not answer, and leaves the device down", async () => {
    must(await kernel.prepareHost());
    const before = lab.snapshot();
    sh(`ip -n ${lab.vpc} address del 10.0.1.253/32 dev p1`);
    const result = await kernel.configureEni(lab.eni(0));
    const fault = result.ok ? undefined : result.fault;
    expect(fault).toMatchObject({
      kind: "deadline",
      what: expect.stringContaining("gateway 10.0.1.253 from 10.0.1.10"),
    });
    // Its settings do no harm while it is down.
    const ofEni = /addrgenmode|conf\.eni0|: eni0/;
    expect(linesWithout(lab.snapshot(), ofEni)).toEqual(linesWithout(before, ofEni));
    expect(sh(`ip -n ${lab.node} link show eni0`)).toMatch(/state DOWN.* group default/);
  });

  it("puts no address on the device, and keeps asking a gateway that comes late", async () => {
    must(await kernel.prepareHost());
    sh(`ip -n ${lab.vpc} link set p1 down`);
    const pending = kernel.configureEni(lab.eni(0));
    sh(`ip -n ${lab.vpc} link set p1 up`);
    must(await pending);
    expect(sh(`ip -n ${lab.node} address show dev eni0`)).not.toMatch(/inet/);
    expect(sh(`ip -n ${lab.node} neighbour show dev eni0`)).toMatch(
      /^10\.0\.1\.253 lladdr \S+ PERMANENT proto 84 *\n$/,
    );
  });

  it("refuses a device with another MAC", async () => {
    const [eni, other] = [lab.eni(0), lab.eni(1)];
    expect(await kernel.configureEni({ ...eni, mac: other.mac })).toMatchObject({
      ok: false,
      fault: { kind: "kernel", errno: "ENODEV" },
    });
    expect(await kernel.configureEni({ ...eni, ifIndex: 4711 })).toMatchObject({
      ok: false,
      fault: { kind: "kernel", errno: "ENODEV" },
    });
  });
});

describe("attachPod(), where it cannot", () => {
  beforeEach(() => start(0));

  it("names what is wrong with the namespace", async () => {
    await prepare();
    const pod = lab.newPod(0, 20);
    const before = lab.snapshot();
    const reasons = [];
    for (const netns of [
      "/run/netns/tw-none",
      "/etc/hostname",
      "/proc/self/ns/mnt",
      lab.nodeNetns,
      "/proc/self/ns/net",
    ]) {
      const result = await kernel.attachPod({ ...pod, netns });
      reasons.push(!result.ok && result.fault.kind === "bad-netns" ? result.fault.reason : result);
    }
    expect(reasons).toEqual([
      "it does not exist",
      "it is not a network namespace",
      "it is not a network namespace",
      "it is the node's own network namespace, not a pod's",
      "it is the node's own network namespace, not a pod's",
    ]);
    expect(lab.snapshot()).toBe(before);
  });

  it("leaves an interface alone that is there already", async () => {
    await prepare();
    const [pod, host] = [lab.newPod(0, 20), lab.newPod(0, 21)];
    sh(`ip -n ${lab.nameOf(pod)} link add eth0 type bridge`);
    sh(`ip -n ${lab.node} link add ${host.hostName} type bridge`);
    const before = lab.snapshot();
    expect(await kernel.attachPod(pod)).toEqual({
      ok: false,
      fault: { kind: "interface-exists", ifName: "eth0", netns: pod.netns },
    });
    expect(await kernel.attachPod(host)).toEqual({
      ok: false,
      fault: { kind: "interface-exists", ifName: host.hostName, netns: "the node's namespace" },
    });
    must(await kernel.detachPod(host));
    expect(lab.snapshot()).toBe(before);
    expect(sh(`ip -n ${lab.nameOf(pod)} -br link`)).toMatch(/eth0/);
  });

  it("does not take another pod's link for a repeated call", async () => {
    await prepare();
    const pod = await attached(0, 20);
    const before = lab.snapshot();
    const other = await kernel.attachPod({ ...pod, addresses: { v4: ip("10.0.1.21") } });
    expect(other).toMatchObject({ ok: false, fault: { kind: "interface-exists" } });
    expect(lab.snapshot()).toBe(before);
  });

  it("leaves the link of a pod that runs where a repeated call fails", async () => {
    await prepare();
    const pod = await attached(0, 20);
    lab.run(lab.node, "nft delete table ip terway");
    expect(await kernel.attachPod(pod)).toMatchObject({ ok: false, fault: { errno: "ENOENT" } });
    await prepare();
    must(await kernel.attachPod(pod));
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
  });

  it("takes other numbers where those chosen are in use", async () => {
    await prepare();
    const draws = [1, 1, 2].map((byte) => new Uint8Array(16).fill(byte));
    await using fixed = await openKernel({
      nodeNetns: lab.nodeNetns,
      randomBytes: () => draws.shift() ?? new Uint8Array(16).fill(3),
    });
    for (const number of [20, 21]) must(await fixed.attachPod(lab.newPod(0, number)));
    expect(draws).toEqual([]);
    expect(must(await kernel.podTraces()).length).toBe(2);
  });

  it("replaces the element of a pod whose namespace went without a DEL, where its number is drawn again", async () => {
    await prepare();
    const draws = [1, 2].map((byte) => new Uint8Array(POD_ENDS_BYTES).fill(byte));
    const { hostIndex } = podEnds(new Uint8Array(POD_ENDS_BYTES).fill(1));
    await using fixed = await openKernel({
      nodeNetns: lab.nodeNetns,
      randomBytes: () => draws.shift() ?? new Uint8Array(POD_ENDS_BYTES).fill(3),
    });
    const stale = `nft add element ip terway pod_source { ${hostIndex} . 10.0.1.20 : goto eni1 }`;
    lab.run(lab.node, stale);
    const pod = lab.newPod(0, 20);
    must(await fixed.attachPod(pod));
    expect(draws).toEqual([]);
    expect(lab.run(lab.node, "nft list map ip terway pod_source")).not.toMatch(/eni1/);
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
  });
});
