import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { failed, ok } from "../../proto/result.ts";
import { type Cloud, type EniView } from "../core/cloud.ts";
import { type Kernel } from "../core/kernel.ts";
import { instanceId } from "../../proto/ids.ts";
import { openEffects } from "./effects.ts";
import { openLog } from "./log.ts";
import { type Happening } from "./turn.ts";
import { openLab, VIEW } from "./test-lab.ts";

async function unused(): Promise<never> {
  throw new Error("not used here");
}

/** What a look for a device finds. */
type Device = "there" | "gone" | "unknown";

/** Effects over a kernel that has `traces` and a cloud that accepts; what they do is in `did`. */
function setup(
  traces: readonly string[],
  { shown = [], device = "there" }: { readonly shown?: readonly EniView[]; readonly device?: Device } = {},
): {
  did: string[];
  happened: Happening[];
  act: (kind: "unlink-eni" | "detach-eni" | "unassign") => void;
  describe: () => void;
} {
  const { loop } = openLab();
  const did: string[] = [];
  const happened: Happening[] = [];
  const kernel: Kernel = {
    prepareHost: unused,
    async awaitEni() {
      did.push("look for the device");
      if (device === "there") return ok({ ifIndex: 7, name: "eth7" });
      return failed(
        device === "gone"
          ? { kind: "deadline", what: "the device", waitedMs: 500 }
          : { kind: "kernel", op: "ip link show", errno: "ENOBUFS" },
      );
    },
    prepareEni: unused,
    eniSlots: unused,
    configureEni: unused,
    mtuOf: unused,
    attachPod: unused,
    detachPod: unused,
    cleanHost: unused,
    checkPod: unused,
    checkNode: unused,
    podTraces: async () =>
      ok(traces.flatMap((text) => ({ address: parseIpv4(text) ?? VIEW.primary, hostName: "tw0" }))),
    async forgetEni() {
      await turn();
      did.push("forget");
      return ok(undefined);
    },
  };
  const accept = async (what: string): Promise<{ ok: true; value: undefined }> => {
    did.push(what);
    return ok(undefined);
  };
  const cloud: Cloud = {
    createEni: unused,
    attachEni: unused,
    describeEnis: async () => ok(shown),
    assignAddresses: unused,
    unassignAddresses: () => accept("unassign"),
    detachEni: () => accept("detach"),
    deleteEni: unused,
    setSecurityGroups: unused,
    describeVSwitches: unused,
    describeInstance: unused,
  };
  const effects = openEffects({
    cloud,
    kernel,
    node: {
      instance: instanceId("i-1"),
      instanceType: "t",
      region: "r",
      zone: "z",
      vpc: "v",
      primaryMac: VIEW.mac,
    },
    pool: loop.pool,
    mtuOf: async () => ok(1500),
    linkTimeoutMs: 1000,
    log: openLog("silent"),
    onBug: (error) => did.push(`bug ${String(error)}`),
    vSwitchOf: () => undefined,
    onVSwitches: () => undefined,
  });
  const of = { slot: 0, eni: VIEW.id };
  return {
    did,
    happened,
    describe() {
      const scope = { by: "ids", ids: [VIEW.id] } as const;
      effects.act({ kind: "describe", scope }, (happening) => happened.push(happening));
    },
    act(kind) {
      const effect = kind === "unassign" ? { kind, ...of, addresses: [VIEW.primary] } : { kind, ...of };
      effects.act(effect, (happening) => happened.push(happening));
    },
  };
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await turn();
}

describe("openEffects()", () => {
  it("cleans the slot's datapath before the ENI is detached", async () => {
    const { did, happened, act } = setup([]);
    act("unlink-eni");
    act("detach-eni");
    await settle();
    expect(did).toEqual(["forget", "detach"]);
    expect(happened).toEqual([{ kind: "detach-accepted", slot: 0, eni: VIEW.id }]);
  });

  it("touches neither datapath nor cloud while the kernel has a pod on the ENI", async () => {
    const { did, happened, act } = setup(["10.0.0.11"]);
    act("unlink-eni");
    act("detach-eni");
    await settle();
    expect(did).toEqual([]);
    expect(happened).toMatchObject([
      { kind: "detach-failed", failure: { class: "configuration", effect: "none" } },
    ]);
  });

  it("asks the kernel about an ENI that a view does not show as attached, and only then", async () => {
    const other = { ...VIEW, instance: instanceId("i-other") };
    const cases: [readonly EniView[], Device, string[], string[]][] = [
      [[VIEW], "gone", [], []],
      [[{ ...VIEW, status: "Detaching" }], "gone", [], []],
      [[], "there", ["look for the device"], [VIEW.id]],
      [[{ ...VIEW, status: "Available" }], "there", ["look for the device"], [VIEW.id]],
      [[other], "gone", ["look for the device"], []],
      [[], "gone", ["look for the device"], []],
      [[], "unknown", ["look for the device"], [VIEW.id]],
    ];
    for (const [shown, device, looked, present] of cases) {
      const { did, happened, describe: ask } = setup([], { shown, device });
      ask();
      await settle();
      expect([did, happened]).toMatchObject([looked, [{ kind: "described", views: shown, present }]]);
    }
  });

  it("gives an address back only when the kernel does not have it", async () => {
    const used = setup(["10.0.0.10"]);
    used.act("unassign");
    const free = setup(["10.0.0.11"]);
    free.act("unassign");
    await settle();
    expect([used.did, free.did]).toEqual([[], ["unassign"]]);
    expect(used.happened).toMatchObject([
      {
        kind: "unassign-failed",
        failure: { fault: { reason: expect.stringContaining("10.0.0.10 by tw0") } },
      },
    ]);
    expect(free.happened).toMatchObject([{ kind: "unassigned", addresses: ["10.0.0.10"] }]);
  });
});
