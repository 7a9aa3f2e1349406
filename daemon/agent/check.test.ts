import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { BROKEN, openPodsLab, podCall, type PodsLab } from "./pods-lab.ts";
import { attachment } from "./test-lab.ts";

/** A pod "a" that runs, what its ADD said, and the name of its link. */
async function attached(): Promise<PodsLab & { readonly prevResult: unknown; readonly hostName: string }> {
  const lab = openPodsLab();
  const added = await lab.pods.add(podCall("a"));
  if (!added.ok) throw new Error("ADD");
  const [hostName = ""] = lab.links.keys();
  return { ...lab, prevResult: added.value.result, hostName };
}

function differing(...differences: readonly string[]): unknown {
  return failed({ kind: "check-failed", attachment: "terway/a/eth0", differences });
}

describe("check()", () => {
  it("succeeds where all is as ADD made it, and writes nothing", async () => {
    const { pods, prevResult, order } = await attached();
    order.length = 0;
    expect(await pods.check({ ...podCall("a"), prevResult })).toEqual(ok(undefined));
    expect(order).toEqual([]);
  });

  it("fails for what it does not know", async () => {
    const { pods, prevResult } = await attached();
    expect(await pods.check({ ...podCall("b"), prevResult })).toEqual(
      failed({ kind: "check-failed", attachment: "terway/b/eth0", differences: ["the agent has no lease"] }),
    );
  });

  it("names what the kernel lacks, in another namespace, and in another result", async () => {
    const { pods, prevResult, missing, hostName } = await attached();
    missing.set(hostName, ["route 10.0.0.10/32 is missing", "rule is missing"]);
    expect(await pods.check({ ...podCall("a"), prevResult })).toEqual(
      differing("route 10.0.0.10/32 is missing", "rule is missing"),
    );
    missing.clear();
    const netns = "/run/netns/b";
    expect(await pods.check({ ...podCall("a", { netns }), prevResult })).toEqual(
      differing("it was made in /run/netns/a, not in /run/netns/b"),
    );
    expect(await pods.check({ ...podCall("a"), prevResult: { interfaces: [] } })).toEqual(
      differing(
        "prevResult has no interface eth0 in a sandbox",
        `prevResult has no interface ${hostName} on the node`,
        "prevResult has no address 10.0.0.10",
      ),
    );
  });

  it("looks again before it says that something is missing", async () => {
    const { pods, prevResult, missing, hostName } = await attached();
    missing.set(hostName, ["neighbour is missing"]);
    const checking = pods.check({ ...podCall("a"), prevResult });
    await Promise.resolve();
    setTimeout(() => missing.clear(), 20);
    expect(await checking).toEqual(ok(undefined));
  });

  it("says where the pool has the address as another's", async () => {
    const { pods, loop, prevResult } = await attached();
    loop.dispatch({ kind: "released", attachment: attachment("a") });
    expect(await pods.check({ ...podCall("a"), prevResult })).toEqual(
      differing("the pool has 10.0.0.10 as idle"),
    );
  });

  it("passes on that the kernel cannot be asked", async () => {
    const { pods, prevResult, broken } = await attached();
    broken.value = true;
    expect(await pods.check({ ...podCall("a"), prevResult })).toEqual(failed(BROKEN));
  });
});

describe("checkAll()", () => {
  it("names what running pods lack, and mendAll() makes it again", async () => {
    const { pods, missing, hostName } = await attached();
    expect(await pods.checkAll()).toEqual([]);
    missing.set(hostName, ["element 10.0.0.10 is missing"]);
    expect(await pods.checkAll()).toEqual(["a: element 10.0.0.10 is missing"]);
    await pods.mendAll();
    expect(await pods.checkAll()).toEqual([]);
  });

  it("mends a pod that a CHECK is looking at, when that has ended", async () => {
    const { pods, missing, hostName, prevResult } = await attached();
    missing.set(hostName, ["element 10.0.0.10 is missing"]);
    const checking = pods.check({ ...podCall("a"), prevResult });
    await pods.mendSuspects(() => true);
    expect(missing.size).toBe(0);
    expect(await checking).toMatchObject({ ok: false, fault: { kind: "check-failed" } });
  });

  it("leaves pods alone whose namespace or link is gone", async () => {
    const { pods, missing, gone, links, hostName } = await attached();
    missing.set(hostName, ["element is missing"]);
    gone.add("/run/netns/a");
    expect(await pods.checkAll()).toEqual([]);
    await pods.mendAll();
    expect(missing.size).toBe(1);
    gone.clear();
    links.clear();
    expect(await pods.checkAll()).toEqual([]);
    await pods.mendAll();
    expect(links.size).toBe(0);
  });
});
