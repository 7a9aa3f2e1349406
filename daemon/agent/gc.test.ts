import { describe, expect, it } from "vitest";
import { ok } from "../../proto/result.ts";
import { openPodsLab, podCall, type PodsLab } from "./pods-lab.ts";
import { attachment } from "./test-lab.ts";

/** Pods "a" and "b" that run. */
async function two(): Promise<PodsLab> {
  const lab = openPodsLab();
  for (const id of ["a", "b"]) await lab.pods.add(podCall(id));
  return lab;
}

/** The pod's namespace went without a DEL, and its link with it. */
function die({ gone, links }: PodsLab, id: string): void {
  gone.add(`/run/netns/${id}`);
  const [a, b] = links.keys();
  links.delete((id === "a" ? a : b) ?? "");
}

describe("collectGarbage()", () => {
  it("removes what is gone and not listed, once", async () => {
    const lab = await two();
    die(lab, "b");
    const call = { network: "terway", valid: [attachment("a")] };
    for (const _ of [1, 2]) expect(await lab.pods.gc(call)).toEqual(ok(undefined));
    expect(lab.addresses()).toEqual(["used", "idle"]);
    expect(lab.order.filter((what) => what === "write delete-lease")).toHaveLength(1);
  });

  it("leaves listed ones alone, and those of other networks", async () => {
    const lab = await two();
    for (const id of ["a", "b"]) die(lab, id);
    await lab.pods.gc({ network: "terway", valid: [attachment("a"), attachment("b")] });
    await lab.pods.gc({ network: "other", valid: [] });
    expect(lab.addresses()).toEqual(["used", "used"]);
  });

  it("leaves a live pod alone that the caller does not list", async () => {
    const lab = await two();
    die(lab, "b");
    await lab.pods.gc({ network: "terway", valid: [] });
    expect(lab.addresses()).toEqual(["used", "idle"]);
    expect(lab.links.size).toBe(1);
  });

  it("removes without a list only what no trace is left of", async () => {
    const lab = await two();
    lab.gone.add("/run/netns/a");
    die(lab, "b");
    await lab.pods.gc({ network: "terway", valid: undefined });
    expect(lab.addresses()).toEqual(["used", "idle"]);
    await lab.pods.gc({ network: "terway", valid: [] });
    expect(lab.addresses()).toEqual(["idle", "idle"]);
  });

  it("does not touch what is being worked on", async () => {
    const lab = openPodsLab();
    const { promise, resolve } = Promise.withResolvers<void>();
    lab.gate.value = promise;
    const adding = lab.pods.add(podCall("a"));
    await Promise.resolve();
    lab.gone.add("/run/netns/a");
    await lab.pods.gc({ network: "terway", valid: [] });
    resolve();
    expect((await adding).ok).toBe(true);
    expect(lab.links.size).toBe(1);
  });

  it("does not touch what was made after it began", async () => {
    const lab = await two();
    die(lab, "b");
    const { promise, resolve } = Promise.withResolvers<void>();
    const { kernel } = lab;
    const before = await kernel.podTraces();
    Object.assign(kernel, {
      async podTraces() {
        await promise;
        return before;
      },
    });
    const collecting = lab.pods.gc({ network: "terway", valid: [attachment("a")] });
    lab.gone.clear();
    expect((await lab.pods.add(podCall("b"))).ok).toBe(true);
    resolve();
    expect(await collecting).toEqual(ok(undefined));
    expect(lab.addresses()).toEqual(["used", "used"]);
    expect(lab.links.size).toBe(2);
  });

  it("goes on past failures and names each", async () => {
    const lab = await two();
    for (const id of ["a", "b"]) die(lab, id);
    Object.assign(lab.kernel, {
      detachPod: async () => ({ ok: false, fault: { kind: "kernel", op: "ip link delete", errno: "EBUSY" } }),
    });
    expect(await lab.pods.gc({ network: "terway", valid: [] })).toEqual({
      ok: false,
      fault: {
        kind: "kernel",
        op: "remove 2 of 2 stale attachments",
        errno: "EBUSY",
        extAck: "terway/a/eth0: ip link delete: EBUSY; terway/b/eth0: ip link delete: EBUSY",
      },
    });
    expect(lab.addresses()).toEqual(["used", "used"]);
  });
});

describe("sweep()", () => {
  it("frees pods of which the node has neither namespace nor interface, and no others", async () => {
    const lab = await two();
    lab.gone.add("/run/netns/a");
    die(lab, "b");
    expect(await lab.pods.sweep()).toEqual(ok(undefined));
    expect(lab.addresses()).toEqual(["used", "idle"]);
  });

  it("takes away what could not be undone when an ADD failed", async () => {
    const lab = openPodsLab();
    const { promise, resolve } = Promise.withResolvers<void>();
    lab.gate.value = promise;
    const adding = lab.pods.add(podCall("a"));
    await Promise.resolve();
    // An ADD that goes on is left alone.
    expect(await lab.pods.sweep()).toEqual(ok(undefined));
    lab.failWrites(true);
    resolve();
    expect(await adding).toMatchObject({ ok: false, fault: { kind: "store" } });
    expect(lab.addresses()).toEqual(["used", "idle"]);
    expect(await lab.pods.sweep()).toMatchObject({ ok: false, fault: { kind: "store" } });
    lab.failWrites(false);
    expect(await lab.pods.sweep()).toEqual(ok(undefined));
    expect([lab.addresses(), lab.links.size]).toEqual([["idle", "idle"], 0]);
  });
});
