import { describe, expect, it } from "vitest";
import { type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok } from "../../proto/result.ts";
import { type Kernel } from "../core/kernel.ts";
import { type PodCall } from "../rpc/request.ts";
import { type AgentApi } from "../rpc/server.ts";
import { type LeaseRow } from "../store/schema.ts";
import { openLog } from "./log.ts";
import { openPods } from "./pods.ts";
import { attachment, type Lab, openLab } from "./test-lab.ts";

const BROKEN: Fault = { kind: "kernel", op: "ip link add", errno: "ENOMEM" };

async function unused(): Promise<never> {
  throw new Error("not used by pods");
}

/** A kernel in memory: which host link has which address. `broken` makes every call fail. */
function memoryKernel(): {
  kernel: Kernel;
  links: Map<string, string>;
  broken: { value: boolean };
  gate: { value?: Promise<void> };
} {
  const links = new Map<string, string>();
  const broken = { value: false };
  const gate: { value?: Promise<void> } = {};
  const [hostMac, podMac, gateway] = [
    mac("02:00:00:00:00:01"),
    mac("02:00:00:00:00:02"),
    parseIpv4("169.254.1.1"),
  ];
  if (gateway === undefined) throw new Error("gateway");
  const kernel: Kernel = {
    prepareHost: unused,
    awaitEni: unused,
    prepareEni: unused,
    configureEni: unused,
    forgetEni: unused,
    podTraces: unused,
    cleanHost: unused,
    async attachPod({ hostName, address }) {
      await gate.value;
      if (broken.value) return failed(BROKEN);
      links.set(hostName, address);
      return ok({ hostMac, podMac, gateway });
    },
    async detachPod({ hostName }) {
      if (broken.value) return failed(BROKEN);
      links.delete(hostName);
      return ok(undefined);
    },
  };
  return { kernel, links, broken, gate };
}

function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

type Setup = ReturnType<typeof memoryKernel> & Lab & { readonly pods: AgentApi };

function setup(leases: readonly LeaseRow[] = []): Setup {
  const lab = openLab();
  const memory = memoryKernel();
  const common = {
    loop: lab.loop,
    kernel: memory.kernel,
    write: lab.write,
    nowMs: () => performance.now(),
    log: openLog("silent"),
    checkNetns: () => ok(undefined),
  };
  return { ...lab, ...memory, pods: openPods({ ...common, mtu: 1500, addTimeoutMs: 60_000, leases }) };
}

function call(containerId: string, netns = `/run/netns/${containerId}`): PodCall {
  return { attachment: attachment(containerId), netns, args: {}, deadlineMs: 30_000, traceparent: "" };
}

describe("openPods()", () => {
  it("writes the lease, makes the interface, marks the lease done, then answers", async () => {
    const { pods, order, links } = setup();
    const added = await pods.add(call("a"));
    expect(added).toMatchObject({
      ok: true,
      value: {
        interfaces: [
          { mac: "02:00:00:00:00:01", sandbox: "", mtu: 1500 },
          { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/a", mtu: 1500 },
        ],
        ips: [{ address: "10.0.0.10/32", gateway: "169.254.1.1", interface: 1 }],
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
      },
    });
    expect(order).toEqual(["write put-lease", "write put-lease"]);
    expect([...links.values()]).toEqual(["10.0.0.10"]);
  });

  it("answers a repeated ADD with the same result", async () => {
    const { pods, loop } = setup();
    const first = await pods.add(call("a"));
    expect(await pods.add(call("a"))).toEqual(first);
    expect(
      [...(loop.pool().enis.get(0)?.addresses.values() ?? [])].filter(({ kind }) => kind === "used"),
    ).toHaveLength(1);
  });

  it("gives the address back where the interface could not be made", async () => {
    const { pods, broken, loop, links } = setup();
    broken.value = true;
    expect(await pods.add(call("a"))).toEqual(failed(BROKEN));
    expect([...(loop.pool().enis.get(0)?.addresses.values() ?? [])].map(({ kind }) => kind)).toEqual([
      "idle",
      "idle",
    ]);
    expect(links.size).toBe(0);
  });

  it("leaves a running pod alone where a repeated ADD fails", async () => {
    const { pods, broken, loop } = setup();
    await pods.add(call("a"));
    broken.value = true;
    expect(await pods.add(call("a"))).toEqual(failed(BROKEN));
    expect(
      [...(loop.pool().enis.get(0)?.addresses.values() ?? [])].filter(({ kind }) => kind === "used"),
    ).toHaveLength(1);
  });

  it("makes DEL succeed for what it does not know, and any number of times", async () => {
    const { pods, links } = setup();
    expect(await pods.del(call("nobody", ""))).toEqual(ok(undefined));
    await pods.add(call("a"));
    for (const _ of [1, 2, 3]) expect(await pods.del(call("a", ""))).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("keeps the address where DEL fails, and frees it when it is repeated", async () => {
    const { pods, broken, links } = setup();
    await pods.add(call("a"));
    broken.value = true;
    expect(await pods.del(call("a"))).toEqual(failed(BROKEN));
    broken.value = false;
    expect(links.size).toBe(1);
    expect(await pods.del(call("a"))).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("refuses a second ADD at the same time, and lets DEL wait for the first", async () => {
    const { pods, gate, links } = setup();
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.value = promise;
    const adding = pods.add(call("a"));
    expect(await pods.add(call("a"))).toMatchObject({ ok: false, fault: { kind: "attachment-busy" } });
    const deleting = pods.del(call("a"));
    const impatient = await pods.del({ ...call("a"), deadlineMs: 5 });
    expect(impatient).toMatchObject({ ok: false, fault: { kind: "deadline" } });
    resolve();
    expect((await adding).ok).toBe(true);
    expect(await deleting).toEqual(ok(undefined));
    expect(links.size).toBe(0);
  });

  it("ends an ADD that waits for an address when its pod is deleted", async () => {
    const { pods, loop } = setup();
    for (const id of ["a", "b"]) await pods.add(call(id));
    const waiting = pods.add(call("c"));
    expect(loop.pool().waiting).toHaveLength(1);
    expect(await pods.del(call("c"))).toEqual(ok(undefined));
    expect(await waiting).toMatchObject({ ok: false, fault: { reason: expect.stringContaining("deleted") } });
    expect(loop.pool().waiting).toHaveLength(0);
  });

  it("makes room for a pod whose sandbox was made anew under the same id", async () => {
    const { pods, links } = setup();
    await pods.add(call("a", "/run/netns/old"));
    const again = await pods.add(call("a", "/run/netns/new"));
    expect(again).toMatchObject({ ok: true, value: { interfaces: [{}, { sandbox: "/run/netns/new" }] } });
    expect(links.size).toBe(1);
  });
});
