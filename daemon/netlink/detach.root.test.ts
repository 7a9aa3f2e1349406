/** Deleting pods on the kernel: what holds when `detachPod` has answered, and what becomes of the link. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DeletionBounds } from "../core/datapath/deletion.ts";
import { failed, ok } from "../../proto/result.ts";
import { type PodLink } from "../core/kernel.ts";
import { openClient } from "./client.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import { FAR_ADDRESS, type Lab, must, NODE_ADDRESS, openLab, sh, v4 } from "./lab.ts";
import { attachPod, type PodPorts } from "./pods.ts";

/** Doomed links stay until somebody wants them gone. */
const NEVER: DeletionBounds = { gapMs: 600_000, latestMs: 600_000, linksMax: 1000 };

let lab: Lab;
let kernel: OpenKernel;

async function start(deletionBounds?: DeletionBounds): Promise<void> {
  kernel = await openKernel({
    nodeNetns: lab.nodeNetns,
    ...(deletionBounds !== undefined && { deletionBounds }),
  });
  must(await kernel.prepareHost());
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
}

async function attached(slot: number, number: number): Promise<PodLink> {
  const pod = lab.newPod(slot, number);
  must(await kernel.attachPod(pod));
  return pod;
}

function hostLinks(): string {
  return sh(`ip -n ${lab.node} -d link show`);
}

/** Packets that came in at the pod's end. */
function received(pod: PodLink): number {
  const [link]: readonly { readonly stats64: { readonly rx: { readonly packets: number } } }[] = JSON.parse(
    lab.run(lab.nameOf(pod), "ip -s -j link show eth0"),
  );
  return link?.stats64.rx.packets ?? Number.NaN;
}

/** Packets from the address that reached the VPC. */
function countedFrom(): number {
  return Number(/packets (\d+)/.exec(lab.run(lab.vpc, "nft list counter ip lab frompod"))?.[1]);
}

beforeEach(() => {
  lab = openLab();
});

afterEach(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
  expect(sh("ip netns").includes(lab.node.slice(0, -"-node".length))).toBe(false);
});

describe("detachPod(), when it has answered", () => {
  beforeEach(() => start(NEVER));

  it("has doomed the link under whatever name somebody gave it", async () => {
    const [renamed, other] = [await attached(0, 20), await attached(0, 21)];
    sh(`ip -n ${lab.node} link set ${renamed.hostName} name mine0`);
    must(await kernel.detachPod(renamed));
    expect(hostLinks()).toMatch(/mine0@.* group 21505 /);
    expect(lab.pings(lab.nameOf(renamed), FAR_ADDRESS)).toBe(false);
    expect(lab.pings(lab.nameOf(other), FAR_ADDRESS)).toBe(true);
    must(await kernel.detachPod(other));
  });

  it("is in nobody's way in its namespace, also while its link is being deleted", async () => {
    const old = await attached(0, 20);
    must(await kernel.detachPod(old));
    const next: PodLink = { ...lab.newPod(0, 21), netns: old.netns };
    const client = openClient(kernel.thread);
    let deleted = 0;
    const ports: PodPorts = {
      nodeNetns: lab.nodeNetns,
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
      remove: async () => failed({ kind: "internal", reason: "nothing is to be taken away" }),
      deleteDoomed: async () => ok(undefined),
      client: {
        ...client,
        // Right behind the answer that shows the pod's end, before the other end is asked for.
        async ask(calls) {
          const answers = await client.ask(calls);
          const [call] = calls;
          if (calls.length === 1 && call?.netnsFd !== undefined && deleted === 0) {
            deleted += 1;
            sh(`ip -n ${lab.node} link delete group 21505`);
          }
          return answers;
        },
      },
    };
    must(await attachPod(ports, next));
    expect(deleted).toBe(1);
    expect(lab.pings(lab.nameOf(old), FAR_ADDRESS)).toBe(true);
    must(await kernel.detachPod(next));
  });

  it("lets nobody reach or use the address, also when another pod has it and a process lives on", async () => {
    const [old, other] = [await attached(0, 20), await attached(1, 20)];
    const oldName = lab.nameOf(old);
    const everybody = [FAR_ADDRESS, NODE_ADDRESS, v4(other), "10.0.1.253"];
    for (const target of everybody) expect(lab.pings(oldName, target), target).toBe(true);
    lab.run(lab.vpc, "nft add counter ip lab frompod");
    lab.run(lab.vpc, `nft insert rule ip lab pre ip saddr ${v4(old)} counter name frompod`);

    must(await kernel.detachPod(old));
    expect(hostLinks()).toMatch(/tw0x20@.* group 21505 /);
    expect(sh(`ip -n ${oldName} route`)).toMatch(/default via 169\.254\.1\.1/);
    const cameIn = received(old);
    const speaks = (): string[] => everybody.filter((target) => lab.pings(oldName, target));
    expect(speaks()).toEqual([]);
    for (const from of [lab.node, lab.vpc, lab.nameOf(other)])
      expect(lab.pings(from, v4(old)), from).toBe(false);
    expect([countedFrom(), received(old) - cameIn]).toEqual([0, 0]);

    const next = { ...lab.newPod(0, 20), hostName: "twnext" };
    must(await kernel.attachPod(next));
    // Pings of the one that lives on, while those of the new one come and go.
    expect(speaks()).toEqual([]);
    expect(countedFrom()).toBe(0);
    for (const target of everybody) expect(lab.pings(lab.nameOf(next), target), target).toBe(true);
    expect(lab.pings(lab.vpc, v4(next), FAR_ADDRESS)).toBe(true);
    expect(speaks()).toEqual([]);
    expect(received(old) - cameIn).toBe(0);
    expect(lab.spoofed()).toBe(0);
  });

  it("leaves no trace of the pod but its doomed link, however often it is called", async () => {
    const pod = await attached(0, 20);
    for (let times = 1; times <= 2; times++) {
      must(await kernel.detachPod(pod));
      expect(must(await kernel.podTraces())).toEqual([]);
    }
    const left = lab.snapshot().split("\n");
    expect(left.filter((line) => /10\.0\.1\.20|tw0x20/.test(line) && !line.startsWith("net."))).toEqual([
      expect.stringMatching(/^\d+: tw0x20@/),
      expect.stringMatching(/alias terway:10\.0\.1\.20/),
    ]);
    must(await kernel.cleanHost());
    expect(lab.snapshot()).not.toMatch(/tw0x20|21505/);
  });

  it("has the same interface made again at once, also by another host's end", async () => {
    const pod = await attached(0, 20);
    must(await kernel.detachPod(pod));
    must(await kernel.attachPod(pod));
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS)).toBe(true);
    must(await kernel.detachPod(pod));
    const renamed = { ...pod, hostName: "twother", addresses: lab.newPod(0, 21).addresses };
    must(await kernel.attachPod(renamed));
    expect(lab.pings(lab.nameOf(pod), FAR_ADDRESS, v4(renamed))).toBe(true);
    expect(hostLinks()).not.toMatch(/tw0x20|group 21505/);
  });

  it("deletes what is doomed when it is closed, and prepareHost() what a killed agent left", async () => {
    must(await kernel.detachPod(await attached(0, 20)));
    await kernel[Symbol.asyncDispose]();
    expect(hostLinks()).not.toMatch(/tw0x20/);
    sh(`ip -n ${lab.node} link add tw0left group 21505 type veth`);
    await start(NEVER);
    expect(hostLinks()).not.toMatch(/tw0left/);
  });
});

describe("detachPod(), a moment later", () => {
  beforeEach(() => start());

  it("has the links deleted, many by one request", async () => {
    const pods = [await attached(0, 20), await attached(1, 20), await attached(0, 21)];
    const before = kernel.linkDeletions();
    const [first, ...others] = pods;
    if (first !== undefined) must(await kernel.detachPod(first));
    for (const result of await Promise.all(others.map((pod) => kernel.detachPod(pod)))) must(result);
    expect(hostLinks()).toMatch(/group 21505/);
    await expect.poll(() => kernel.linkDeletions() - before, { interval: 10 }).toBe(1);
    expect(hostLinks()).not.toMatch(/group 21505/);
    for (const pod of pods) expect(sh(`ip -n ${lab.nameOf(pod)} -br link`)).not.toMatch(/eth0/);
  });

  it("goes with the removal of the namespace, before it, after it or at the same time", async () => {
    const before = lab.snapshot();
    const [first, same, after] = [await attached(0, 20), await attached(0, 21), await attached(0, 22)];
    sh(`ip netns del ${lab.nameOf(first)}`);
    await expect.poll(hostLinks, { timeout: 5_000 }).not.toMatch(/tw0x20/);
    expect(lab.snapshot()).toMatch(/10\.0\.1\.20 : goto eni0/);
    const detached = kernel.detachPod(same);
    sh(`ip netns del ${lab.nameOf(same)}`);
    for (const result of [await kernel.detachPod(first), await detached, await kernel.detachPod(after)])
      must(result);
    sh(`ip netns del ${lab.nameOf(after)}`);
    await expect.poll(hostLinks, { timeout: 5_000 }).not.toMatch(/tw0x2/);
    expect(lab.snapshot()).toBe(before);
  });
});
