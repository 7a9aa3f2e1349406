import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { ok } from "../../proto/result.ts";
import { type Cloud } from "../core/cloud.ts";
import { type Kernel } from "../core/kernel.ts";
import { instanceId } from "../../proto/ids.ts";
import { openEffects } from "./effects.ts";
import { openLog } from "./log.ts";
import { type Happening } from "./turn.ts";
import { openLab, VIEW } from "./test-lab.ts";

async function unused(): Promise<never> {
  throw new Error("not used here");
}

/** Effects over a kernel that has `traces` and a cloud that accepts; what they do is in `did`. */
function setup(traces: readonly string[]): {
  did: string[];
  happened: Happening[];
  act: (kind: "unlink-eni" | "detach-eni" | "unassign") => void;
} {
  const { loop } = openLab();
  const did: string[] = [];
  const happened: Happening[] = [];
  const kernel: Kernel = {
    prepareHost: unused,
    awaitEni: unused,
    prepareEni: unused,
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
    describeEnis: unused,
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
