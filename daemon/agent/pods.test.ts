import { describe, expect, it, vi } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { type PodLink } from "../core/kernel.ts";
import { BROKEN, openPodsLab, podCall, type PodsLab } from "./pods-lab.ts";
import { attachment } from "./test-lab.ts";

const ONE_USED = ["idle", "used"];

describe("openPods()", () => {
  it("writes the lease, makes the interface, marks the lease done, then answers", async () => {
    const { pods, order, links } = openPodsLab();
    const added = await pods.add(podCall("a"));
    const ms = expect.any(Number);
    expect(added).toMatchObject({
      ok: true,
      value: {
        result: {
          interfaces: [
            { mac: "02:00:00:00:00:01", sandbox: "", mtu: 1500 },
            { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/a", mtu: 1500 },
          ],
          ips: [{ address: "10.0.0.10/32", gateway: "169.254.1.1", interface: 1 }],
          routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
        },
        timing: { wait: ms, store: ms, netlink: ms, total: ms },
      },
    });
    expect(order).toEqual(["write put-lease", "write put-lease"]);
    expect([...links.values()]).toEqual(["10.0.0.10"]);
  });

  it("answers a repeated ADD with the same result, MACs and all", async () => {
    const { pods, addresses } = openPodsLab();
    const first = await pods.add(podCall("a"));
    const second = await pods.add(podCall("a"));
    expect(second.ok && second.value.result).toEqual(first.ok && first.value.result);
    expect(addresses().toSorted()).toEqual(ONE_USED);
  });

  it("gives the kernel the limits of the last ADD, and keeps them with the lease", async () => {
    const { pods, limits, missing } = openPodsLab();
    const rate = { bitsPerSecond: 10_000_000, burstBytes: 0 };
    const both = { ingress: rate, egress: { bitsPerSecond: 2000, burstBytes: 500 } };
    for (const bandwidth of [both, { egress: rate }, {}]) {
      expect(await pods.add(podCall("a", { bandwidth }))).toMatchObject({ ok: true });
      expect([...limits.values()]).toEqual([bandwidth]);
      const [[hostName = ""] = []] = limits;
      limits.clear();
      missing.set(hostName, ["route is missing"]);
      await pods.mendAll();
      expect([...limits.values()]).toEqual([bandwidth]);
    }
  });

  it("gives the address back where the interface could not be made", async () => {
    const { pods, kernel, addresses } = openPodsLab();
    Object.assign(kernel, { attachPod: async () => failed(BROKEN) });
    expect(await pods.add(podCall("a"))).toEqual(failed(BROKEN));
    expect(addresses()).toEqual(["idle", "idle"]);
  });

  it("takes away what it could not make whole, before anybody else gets the address", async () => {
    const { pods, kernel, links, addresses } = openPodsLab();
    const attachPod = kernel.attachPod.bind(kernel);
    Object.assign(kernel, {
      async attachPod(pod: PodLink) {
        await attachPod(pod);
        return failed(BROKEN);
      },
    });
    expect(await pods.add(podCall("a"))).toEqual(failed(BROKEN));
    expect([links.size, addresses()]).toEqual([0, ["idle", "idle"]]);
  });

  it("keeps the address of an ADD that can neither be made nor undone, until the sweep has undone it", async () => {
    const { pods, broken, addresses, links } = openPodsLab();
    broken.value = true;
    expect(await pods.add(podCall("a"))).toEqual(failed(BROKEN));
    expect(addresses().toSorted()).toEqual(ONE_USED);
    broken.value = false;
    expect(await pods.sweep()).toEqual(ok(undefined));
    expect([links.size, addresses()]).toEqual([0, ["idle", "idle"]]);
  });

  it("leaves a running pod alone where a repeated ADD fails", async () => {
    const { pods, broken, addresses } = openPodsLab();
    await pods.add(podCall("a"));
    broken.value = true;
    expect(await pods.add(podCall("a"))).toEqual(failed(BROKEN));
    expect(addresses().toSorted()).toEqual(ONE_USED);
  });

  it("leaves a running pod alone where a repeated ADD cannot be written", async () => {
    const { pods, links, gate, failWrites, addresses } = openPodsLab();
    await pods.add(podCall("a"));
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.value = promise;
    const again = pods.add(podCall("a"));
    await vi.waitUntil(() => addresses().includes("used"));
    failWrites(true);
    resolve();
    expect(await again).toMatchObject({ ok: false, fault: { kind: "store" } });
    expect([links.size, addresses().toSorted()]).toEqual([1, ONE_USED]);
  });

  it("refuses a path that is no network namespace before it asks for an address", async () => {
    const { pods, gone, order } = openPodsLab();
    gone.add("/run/netns/a");
    expect(await pods.add(podCall("a"))).toMatchObject({ ok: false, fault: { kind: "bad-netns" } });
    expect(order).toEqual([]);
  });

  it("makes DEL succeed for what it does not know, and any number of times", async () => {
    const { pods, links } = openPodsLab();
    expect(await pods.del(podCall("nobody", { netns: "" }))).toEqual(ok(undefined));
    await pods.add(podCall("a"));
    for (const _ of [1, 2, 3]) expect(await pods.del(podCall("a", { netns: "" }))).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("keeps the address where DEL fails, and frees it when it is repeated", async () => {
    const { pods, broken, links } = openPodsLab();
    await pods.add(podCall("a"));
    broken.value = true;
    expect(await pods.del(podCall("a"))).toEqual(failed(BROKEN));
    broken.value = false;
    expect(links.size).toBe(1);
    expect(await pods.del(podCall("a"))).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("refuses a second ADD at the same time, and lets DEL wait for the first", async () => {
    const { pods, gate, links } = openPodsLab();
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.value = promise;
    const adding = pods.add(podCall("a"));
    expect(await pods.add(podCall("a"))).toMatchObject({ ok: false, fault: { kind: "attachment-busy" } });
    const deleting = pods.del(podCall("a"));
    const impatient = await pods.del(podCall("a", { deadlineMs: 5 }));
    expect(impatient).toMatchObject({ ok: false, fault: { kind: "deadline" } });
    resolve();
    expect((await adding).ok).toBe(true);
    expect(await deleting).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("ends an ADD that waits for an address when its pod is deleted", async () => {
    const { pods, loop } = openPodsLab();
    for (const id of ["a", "b"]) await pods.add(podCall(id));
    const waiting = pods.add(podCall("c"));
    await vi.waitUntil(() => loop.pool().waiting.length === 1);
    expect(await pods.del(podCall("c"))).toEqual(ok(undefined));
    expect(await waiting).toMatchObject({ ok: false, fault: { reason: expect.stringContaining("deleted") } });
    expect(loop.pool().waiting).toHaveLength(0);
  });

  it("makes room for a pod whose sandbox was made anew under the same id", async () => {
    const { pods, links } = openPodsLab();
    await pods.add(podCall("a", { netns: "/run/netns/old" }));
    const again = await pods.add(podCall("a", { netns: "/run/netns/new" }));
    expect(again).toMatchObject({
      ok: true,
      value: { result: { interfaces: [{}, { sandbox: "/run/netns/new" }] } },
    });
    expect(links.size).toBe(1);
  });
});

/** An ADD of pod "a" whose caller goes away while the kernel is at work. */
async function goneWhileAttaching({ pods, kernel, gate }: PodsLab): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.value = promise;
  const attachPod = kernel.attachPod.bind(kernel);
  let isBegun = false;
  Object.assign(kernel, {
    async attachPod(pod: PodLink) {
      isBegun = true;
      return attachPod(pod);
    },
  });
  const caller = new AbortController();
  const adding = pods.add(podCall("a", { signal: caller.signal }));
  await vi.waitUntil(() => isBegun);
  caller.abort();
  resolve();
  return adding;
}

describe("openPods(), when the caller of ADD goes away", () => {
  it("does nothing for one that is gone already", async () => {
    const { pods, addresses, order } = openPodsLab();
    const added = await pods.add(podCall("a", { signal: AbortSignal.abort() }));
    expect(added).toMatchObject({ ok: false, fault: { kind: "deadline", cause: "the caller has gone" } });
    expect([addresses(), order]).toEqual([["idle", "idle"], []]);
  });

  it("stops waiting for an address", async () => {
    const { pods, loop } = openPodsLab();
    for (const id of ["a", "b"]) await pods.add(podCall(id));
    const caller = new AbortController();
    const waiting = pods.add(podCall("c", { signal: caller.signal }));
    await vi.waitUntil(() => loop.pool().waiting.length === 1);
    caller.abort();
    expect(await waiting).toMatchObject({ ok: false, fault: { cause: "the caller has gone" } });
    expect(loop.pool().waiting).toEqual([]);
  });

  it("takes away the interface that was being made, with lease and address", async () => {
    const lab = openPodsLab();
    const added = await goneWhileAttaching(lab);
    expect(added).toMatchObject({ ok: false, fault: { cause: "the caller has gone" } });
    expect([lab.links.size, lab.addresses()]).toEqual([0, ["idle", "idle"]]);
    expect(lab.order).toEqual(["write put-lease", "write delete-lease"]);
  });

  it("leaves a pod as it was that runs already", async () => {
    const lab = openPodsLab();
    await lab.pods.add(podCall("a"));
    await goneWhileAttaching(lab);
    expect([lab.links.size, lab.addresses().toSorted()]).toEqual([1, ONE_USED]);
  });
});

describe("openPods(), with DELs that the plugin kept", () => {
  it("carries out the one of an attachment before its next ADD", async () => {
    const { pods, kept, order } = openPodsLab();
    await pods.add(podCall("a"));
    kept.add("terway/a/eth0");
    order.length = 0;
    expect((await pods.add(podCall("a"))).ok).toBe(true);
    expect(order).toEqual(["write delete-lease", "write put-lease", "write put-lease"]);
    expect(kept.size).toBe(0);
  });

  it("does not carry one out that an ADD took over while it waited", async () => {
    const { pods, gate, links, kept } = openPodsLab();
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.value = promise;
    kept.add("terway/a/eth0");
    const adding = pods.add(podCall("a"));
    const finished: string[] = [];
    const replayed = pods.replayDel(attachment("a"), {
      isPending: () => kept.has("terway/a/eth0"),
      finish: () => finished.push("a"),
    });
    resolve();
    expect((await adding).ok).toBe(true);
    expect(await replayed).toEqual(ok(undefined));
    expect([links.size, finished]).toEqual([1, []]);
  });

  it("finishes one when it is carried out, and not where that failed", async () => {
    const { pods, links, broken } = openPodsLab();
    await pods.add(podCall("a"));
    const finished: string[] = [];
    const pending = { isPending: () => true, finish: () => finished.push("a") };
    broken.value = true;
    expect(await pods.replayDel(attachment("a"), pending)).toEqual(failed(BROKEN));
    expect(finished).toEqual([]);
    broken.value = false;
    expect(await pods.replayDel(attachment("a"), pending)).toEqual(ok(undefined));
    expect([links.size, finished]).toEqual([0, ["a"]]);
  });
});
