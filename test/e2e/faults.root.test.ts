/**
 * What the cloud can do wrong, on the wire: each fault is aimed at a node of its own, and the pod gets its address, or
 * promptly the true cause. In the end nothing has leaked, and nothing but the eleven permitted actions was called.
 *
 * @module
 */
import { afterAll, beforeAll, describe, type ExpectStatic, it } from "vitest";
import { until } from "../harness/process.ts";
import { type SimEni } from "../harness/simulator.ts";
import { type NodeOptions, openRig, ELEVEN_ACTIONS, type Rig, type RigNode } from "./rig.ts";
import { KEY_WITHOUT_CREATE, type NodeSpec, QUICK_RELEASE } from "./topology.ts";

const NAME = `tw${process.pid}f`;
/** A fault costs one more round of calls, of which each takes up to a second; upstream's pods wait 118 s. */
const PROMPT_MS = 10_000;
/** A refusal that nothing can be done about is passed on after one round of calls. */
const REFUSED_MS = 6_000;

const CASES = [
  "lost-create",
  "lost-assign",
  "lost-attach",
  "throttled",
  "attach-fails",
  "conflict",
  "full-create",
  "quota-create",
  "full-assign",
  "all-full",
  "eni-limit",
  "slow-metadata",
  "forbidden",
  "html",
  "hang",
  "eni-deleted",
  "no-link",
] as const;
type Case = (typeof CASES)[number];

const SPECS = CASES.map((name): NodeSpec =>
  name === "eni-limit" ? { name, type: "ecs.g7.large" } : { name },
);
/** One line a fault for the report in the end. */
const report: string[] = [];
let rig: Rig;

beforeAll(async () => {
  // What is awaited only in the end is made short.
  rig = await openRig(NAME, SPECS, { latencies: QUICK_RELEASE });
});

afterAll(async () => {
  process.stdout.write(`${report.join("\n")}\n`);
  const actions = await rig.actionsCalled();
  const left = await rig.close();
  if (left.length > 0) throw new Error(`left or broken:\n${left.join("\n")}`);
  const others = actions.filter((action) => !ELEVEN_ACTIONS.includes(action));
  if (others.length > 0)
    throw new Error(`actions were called that the RAM policy does not have: ${others.join(", ")}`);
});

/** Runs `work` on the node of the case; afterwards nothing may be left of it in cloud and kernel. */
async function onNode(
  name: Case,
  expect: ExpectStatic,
  work: (node: RigNode) => Promise<void>,
  options: NodeOptions = {},
): Promise<void> {
  expect(await rig.onNode(name, work, options)).toEqual([]);
}

function note(what: string, tookMs: number, outcome = "address"): void {
  report.push(`  ${what.padEnd(48)} ${outcome.padEnd(8)} after ${(tookMs / 1000).toFixed(2)} s`);
}

/** Waits until the cloud says InUse: the device may come earlier, and until then Assign is refused for that reason. */
async function inUse(node: RigNode): Promise<SimEni[]> {
  const ask = async (): Promise<SimEni[] | false> => {
    const enis = await node.enis();
    return enis.every(({ status }) => status === "InUse") && enis;
  };
  return until("the ENI is InUse", ask, 5000);
}

function tokensOf(calls: Awaited<ReturnType<RigNode["calls"]>>): Set<unknown> {
  return new Set(calls.map(({ parameters }) => parameters["ClientToken"]));
}

/** The longest one begins first. */
describe.concurrent("a device that does not come", () => {
  it("a device that never appears: another ENI, and the broken one goes back", async ({ expect }) => {
    await onNode("no-link", expect, async (node) => {
      await node.fault("add", "linkNeverAppears", `instance=${node.node.name}`);
      const { tookMs } = await node.add();
      note("device never appears", tookMs);
      expect(tookMs).toBeLessThan(25_000);
      expect(await node.calls("CreateNetworkInterface")).toHaveLength(2);
      await until("the broken one is gone", async () => (await node.enis()).length === 1, 30_000, 200);
    });
  });
});

describe.concurrent("a reply that is lost", () => {
  it("of Create: the same call again finds the same ENI", async ({ expect }) => {
    await onNode("lost-create", expect, async (node) => {
      await node.fault("add", "lostReply", "action=CreateNetworkInterface", `vSwitch=${node.vSwitches[0]}`);
      const { tookMs } = await node.add();
      note("reply of Create lost", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      const calls = await node.calls("CreateNetworkInterface");
      expect(calls.map(({ end }) => end)).toEqual(["lost", "ok"]);
      expect(tokensOf(calls).size).toBe(1);
      expect(await node.enis()).toHaveLength(1);
    });
  });

  it("of Assign: the same call again finds the same address", async ({ expect }) => {
    await onNode("lost-assign", expect, async (node) => {
      await node.add();
      const [eni] = await inUse(node);
      await node.fault("add", "lostReply", "action=AssignPrivateIpAddresses", `eni=${eni?.id}`);
      const { tookMs } = await node.add();
      note("reply of Assign lost", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      const calls = await node.calls("AssignPrivateIpAddresses", [eni?.id ?? ""]);
      expect(calls.map(({ end }) => end)).toEqual(["lost", "ok"]);
      expect(tokensOf(calls).size).toBe(1);
      expect((await node.enis()).map(({ addresses }) => addresses.length)).toEqual([2]);
    });
  });

  it("of Attach, Detach and Delete: the ENI is used, not thrown away, and later given back", async ({
    expect,
  }) => {
    await onNode("lost-attach", expect, async (node) => {
      await node.fault("add", "lostReply", "action=AttachNetworkInterface", `instance=${node.node.name}`);
      const { tookMs } = await node.add();
      note("reply of Attach lost", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      expect(await node.calls("CreateNetworkInterface")).toHaveLength(1);
      expect(await node.enis()).toHaveLength(1);
      // On its way back as well: nothing may be left of it.
      const [eni] = await node.enis();
      await node.fault("add", "lostReply", "action=DetachNetworkInterface", `eni=${eni?.id}`);
      await node.fault("add", "lostReply", "action=DeleteNetworkInterface", `eni=${eni?.id}`);
    });
  });
});

describe.concurrent("a refusal that passes", () => {
  it("Throttling.User: the call is repeated after a pause", async ({ expect }) => {
    await onNode("throttled", expect, async (node) => {
      const of = [`vSwitch=${node.vSwitches[0]}`, "code=Throttling.User", "status=400", "times=2"];
      await node.fault("add", "error", "action=CreateNetworkInterface", ...of);
      const { tookMs } = await node.add();
      note("Throttling.User, twice, at Create", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      expect(await node.calls("CreateNetworkInterface")).toHaveLength(3);
    });
  });

  it("an attachment that was accepted and fails: once more", async ({ expect }) => {
    await onNode("attach-fails", expect, async (node) => {
      await node.fault("add", "attachFails", `instance=${node.node.name}`);
      const { tookMs } = await node.add();
      note("Attach accepted, fails afterwards", tookMs);
      expect(tookMs).toBeLessThan(12_000);
      expect(await node.calls("AttachNetworkInterface")).toHaveLength(2);
      expect(await node.enis()).toHaveLength(1);
    });
  });

  it("Operation.Conflict: the same Assign again", async ({ expect }) => {
    await onNode("conflict", expect, async (node) => {
      await node.add();
      const [eni] = await inUse(node);
      const of = [`eni=${eni?.id}`, "code=Operation.Conflict", "status=403", "times=2"];
      await node.fault("add", "error", "action=AssignPrivateIpAddresses", ...of);
      const { tookMs } = await node.add();
      note("Operation.Conflict, twice, at Assign", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      const calls = await node.calls("AssignPrivateIpAddresses", [eni?.id ?? ""]);
      expect(calls.map(({ end }) => end)).toEqual(["refused", "refused", "ok"]);
    });
  });

  it("502 with an HTML page, at Create and at Attach: both again", async ({ expect }) => {
    await onNode("html", expect, async (node) => {
      await node.fault("add", "html502", "action=CreateNetworkInterface", `vSwitch=${node.vSwitches[0]}`);
      await node.fault("add", "html502", "action=AttachNetworkInterface", `instance=${node.node.name}`);
      const { tookMs } = await node.add();
      note("502 with HTML, at Create and Attach", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      expect(await node.enis()).toHaveLength(1);
    });
  });

  it("no answer at all: after cloud_timeout the same call again", async ({ expect }) => {
    const options = { eniConf: { cloud_timeout: "2s" } };
    const work = async (node: RigNode): Promise<void> => {
      await node.fault("add", "hang", "action=CreateNetworkInterface", `vSwitch=${node.vSwitches[0]}`);
      const { tookMs } = await node.add();
      note("Create hangs (cloud_timeout 2 s)", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      expect(tokensOf(await node.calls("CreateNetworkInterface")).size).toBe(1);
      expect(await node.enis()).toHaveLength(1);
    };
    await onNode("hang", expect, work, options);
  });
});

describe.concurrent("a vSwitch without addresses", () => {
  const CODES = {
    "full-create": "InvalidVSwitchId.IpNotEnough",
    "quota-create": "QuotaExceeded.PrivateIpAddress",
  } as const;
  for (const name of ["full-create", "quota-create"] as const) {
    it(`${CODES[name]} at Create: the next one of the list`, async ({ expect }) => {
      await onNode(name, expect, async (node) => {
        const of = [`vSwitch=${node.vSwitches[0]}`, `code=${CODES[name]}`, "status=403"];
        await node.fault("add", "error", "action=CreateNetworkInterface", ...of);
        const { tookMs } = await node.add();
        note(`${CODES[name]} at Create`, tookMs);
        expect(tookMs).toBeLessThan(PROMPT_MS);
        expect((await node.enis()).map(({ vSwitch }) => vSwitch)).toEqual([node.vSwitches[1]]);
      });
    });
  }

  it("that of an existing ENI: a new ENI in the next one", async ({ expect }) => {
    await onNode("full-assign", expect, async (node) => {
      await node.add();
      await inUse(node);
      await node.fault("drain", node.vSwitches[0] ?? "");
      const { tookMs } = await node.add();
      note("vSwitch of the existing ENI is full", tookMs);
      expect(tookMs).toBeLessThan(PROMPT_MS);
      expect((await node.enis()).map(({ vSwitch }) => vSwitch).sort()).toEqual(node.vSwitches);
    });
  });

  it("all of them: the pod is told so, and gets an address as soon as there is room", async ({ expect }) => {
    const options = { eniConf: { vswitch_retry_after: "2s" } };
    const work = async (node: RigNode): Promise<void> => {
      for (const vSwitch of node.vSwitches) await node.fault("drain", vSwitch);
      const pod = await node.newPod();
      const { tookMs, ...error } = await node.addFails(pod);
      note("every vSwitch is empty", tookMs, "cause");
      expect(tookMs).toBeLessThan(REFUSED_MS);
      expect(error.code).toBe(11);
      expect(error.msg).toContain(`no vSwitch of the list can be used (${node.vSwitches.join(", ")})`);
      expect(error.msg).toMatch(
        /CreateNetworkInterface for \S+: (InvalidVSwitchId.IpNotEnough|QuotaExceeded.PrivateIpAddress): .*request /,
      );
      expect(error.details).toContain("add a vSwitch with free addresses");
      expect(await node.enis()).toEqual([]);
      for (const vSwitch of node.vSwitches) await node.fault("refill", vSwitch);
      await until(
        "the pod gets an address when it is asked for again",
        async () => (await node.add(pod).catch(() => undefined)) !== undefined,
        10_000,
        500,
      );
    };
    await onNode("all-full", expect, work, options);
  });
});

describe.concurrent("a limit or a permission", () => {
  it("EniPerInstanceLimitExceeded at Attach: the pod is told, the new ENI goes back", async ({ expect }) => {
    await onNode("eni-limit", expect, async (node) => {
      const foreign: string[] = [];
      // Somebody else takes all that the instance type allows (3 with the primary one), after the agent has looked.
      for (let index = 0; index < 2; index++) {
        const done = await node.fault(
          "add",
          "foreignEni",
          `vSwitch=${node.vSwitches[1]}`,
          `instance=${node.node.name}`,
        );
        foreign.push(done.trim().replace("done: ", ""));
      }
      const { tookMs, ...error } = await node.addFails();
      note("EniPerInstanceLimitExceeded at Attach", tookMs, "cause");
      expect(tookMs).toBeLessThan(REFUSED_MS);
      expect(error.code).toBe(11);
      expect(`${error.msg} ${error.details}`).toMatch(
        /EniPerInstanceLimitExceeded|all its \d secondary ENIs/,
      );
      await until("the ENI is gone", async () => (await node.enis()).length === 2, PROMPT_MS);
      expect((await node.enis()).map(({ id, status }) => `${id} ${status}`).sort()).toEqual(
        foreign.map((id) => `${id} InUse`).sort(),
      );
      for (const id of foreign) await node.fault("add", "deleteEni", `eni=${id}`);
    });
  });

  it("Forbidden.RAM at Create: the pod is told which action is missing, and what to do", async ({
    expect,
  }) => {
    const work = async (node: RigNode): Promise<void> => {
      const { tookMs, ...error } = await node.addFails();
      note("Forbidden.RAM at Create", tookMs, "cause");
      expect(tookMs).toBeLessThan(REFUSED_MS);
      expect(error.code).toBe(11);
      expect(error.msg).toMatch(
        /^CreateNetworkInterface for vsw-forbidden-a: Forbidden\.RAM: .*\(request [0-9A-F-]+\)$/,
      );
      expect(error.details).toContain("ecs:CreateNetworkInterface");
      const again = await node.addFails();
      expect(again.tookMs).toBeLessThan(1000);
      expect(await node.calls("CreateNetworkInterface")).toHaveLength(1);
    };
    await onNode("forbidden", expect, work, { key: KEY_WITHOUT_CREATE });
  });
});

describe.concurrent("what happens behind the agent's back", () => {
  it("a metadata service that lags by 20 s costs a pod nothing", async ({ expect }) => {
    await onNode("slow-metadata", expect, async (node) => {
      await node.fault("add", "metadataLag", "delayMs=20000", `instance=${node.node.name}`);
      const first = await node.add();
      note("metadata service lags by 20 s, new ENI", first.tookMs);
      await inUse(node);
      const second = await node.add();
      note("metadata service lags by 20 s, Assign", second.tookMs);
      expect(first.tookMs).toBeLessThan(PROMPT_MS);
      expect(second.tookMs).toBeLessThan(PROMPT_MS);
      expect((await node.enis()).map(({ addresses }) => addresses.length)).toEqual([2]);
    });
  });

  it("an ENI that somebody deletes: the next pod gets an address on another one", async ({ expect }) => {
    await onNode("eni-deleted", expect, async (node) => {
      const first = await node.add();
      const [eni] = await node.enis();
      await node.fault("add", "deleteEni", `eni=${eni?.id}`);
      const { tookMs } = await node.add();
      note("ENI deleted by somebody else", tookMs);
      expect(tookMs).toBeLessThan(20_000);
      const enis = await node.enis();
      expect(enis).toHaveLength(1);
      expect(enis[0]?.id).not.toBe(eni?.id);
      await node.del(first.pod);
    });
  });
});
