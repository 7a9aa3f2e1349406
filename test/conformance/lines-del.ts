/**
 * D1 to D7: DEL always comes to an end, takes away what is its own and nothing else.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import { type Added, type Bench, type CallOptions, IFNAME } from "./bench.ts";
import { DELEGATE_FAILURE, openDelegate } from "./delegate.ts";
import { differences, footprintOf } from "./footprint.ts";
import { NO_DELEGATE, whileOn } from "./lines-add-failure.ts";
import { hasLink, ip } from "./node.ts";
import { type Pod, type Run } from "./probe.ts";
import { readResult } from "./result.ts";
import { type Line, type Trial } from "./trial.ts";
import { hasInterfaces } from "./version.ts";

/** Under the ten seconds that containerd gives to its clean-up after a failed ADD. */
const DEL_MS_MAX = 10_000;
/** After the agent came back. */
const REPLAY_MS = 20_000;

type Unknown = readonly [string, CallOptions];

async function unknownOnes(trial: Trial, bench: Bench): Promise<void> {
  const [pod, gone] = [await bench.newPod(), await bench.newPod()];
  await bench.removeNetns(gone);
  const cases: readonly (readonly [string, Pod, CallOptions])[] = [
    ["an unknown container", pod, {}],
    ["an unknown container, CNI_NETNS empty", pod, { env: { CNI_NETNS: "" } }],
    ["an unknown container, CNI_NETNS not set", pod, { env: { CNI_NETNS: undefined } }],
    ["an unknown container, its namespace gone", gone, {}],
    ["an unknown container, a path below nothing", pod, { env: { CNI_NETNS: "/proc/1/none/net" } }],
    ["an unknown container, an interface that is not there", pod, { env: { CNI_IFNAME: "none0" } }],
  ];
  const before = await bench.footprint();
  for (const [what, whom, options] of cases) trial.succeeds(what, await bench.call("DEL", whom, options));
  trial.unchanged("the node after DELs of unknown containers", await bench.settled(before));
}

/** DEL of something that was added, after something happened to it, and what is left. */
async function afterwards(
  trial: Trial,
  bench: Bench,
  what: string,
  happens: (added: Added) => Promise<CallOptions>,
): Promise<void> {
  const before = await bench.footprint();
  const added = await bench.add();
  const options = await happens(added);
  const run = await bench.call("DEL", added.pod, options);
  trial.succeeds(what, run);
  trial.unchanged(`${what}: the node afterwards`, await bench.settled(before), run);
}

async function spoiltOnes(trial: Trial, bench: Bench): Promise<void> {
  const results: readonly Unknown[] = [
    ["prevResult missing", {}],
    ["prevResult null", { config: { prevResult: null } }],
    ["prevResult without interfaces", { config: { prevResult: { cniVersion: bench.version } } }],
  ];
  for (const [what, options] of results)
    await afterwards(trial, bench, what, async () => Promise.resolve(options));
  await afterwards(trial, bench, "its namespace gone", async ({ pod, result }) => {
    await bench.removeNetns(pod);
    return { config: { prevResult: result } };
  });
  await afterwards(trial, bench, "its namespace gone, CNI_NETNS empty", async ({ pod }) => {
    await bench.removeNetns(pod);
    return { env: { CNI_NETNS: "" } };
  });
  await afterwards(trial, bench, "its interface deleted by hand", async ({ pod, result }) => {
    await ip(pod.namespace, "link", "del", IFNAME);
    return { config: { prevResult: result } };
  });
  if (bench.target.stateDirs.length === 0) return;
  await afterwards(trial, bench, "what the plugin remembered is gone", async ({ result }) => {
    for (const directory of bench.target.stateDirs) await rm(directory, { recursive: true, force: true });
    return { config: { prevResult: result } };
  });
}

async function manyTimes(trial: Trial, bench: Bench, times: number): Promise<void> {
  const before = await bench.footprint();
  const added = await bench.add();
  const startedMs = performance.now();
  for (let time = 1; time <= times; time += 1) {
    trial.succeeds(`DEL ${time} of ${times}`, await bench.del(added));
    if (time > 1) continue;
    trial.unchanged("after the first DEL the node is as before", await bench.settled(before, 1000));
    const isThere = await hasLink(added.pod.namespace, IFNAME);
    trial.check("the interface is gone within a second", !isThere, {
      wanted: `no ${IFNAME} in the pod`,
      seen: `it is there after ${Math.round(performance.now() - startedMs)} ms`,
    });
  }
  await bench.removeNetns(added.pod);
  trial.succeeds("DEL once more, its namespace gone", await bench.del(added));
}

async function withoutAgent(trial: Trial, bench: Bench): Promise<void> {
  const { agentDown } = bench.driver;
  if (agentDown === undefined) return trial.skip("its agent away", "no driver that can bring it about");
  const before = await bench.footprint();
  const [one, other] = [await bench.add(), await bench.add()];
  await whileOn(agentDown, async () => {
    trial.succeeds("its agent away", await bench.del(one));
    await bench.removeNetns(other.pod);
    trial.succeeds("its agent away, its namespace gone", await bench.del(other, { env: { CNI_NETNS: "" } }));
    trial.succeeds("its agent away, an unknown container", await bench.call("DEL", await bench.newPod()));
  });
  trial.unchanged("the node after the agent came back", await bench.settled(before, REPLAY_MS));
}

const D1: Line = {
  id: "D1",
  wants:
    "success for what is unknown or half gone: container, namespace, interface, prevResult, memory; again and again",
  async run(trial, bench) {
    await unknownOnes(trial, bench);
    await spoiltOnes(trial, bench);
    await manyTimes(trial, bench, 10);
    await withoutAgent(trial, bench);
  },
};

const D2: Line = {
  id: "D2",
  wants:
    "the key is (network, container, interface): no other DEL touches a pod, even if it names the pod's address",
  async run(trial, bench) {
    const added = await bench.add();
    const [stranger, other] = [await bench.newPod(), await bench.newPod()];
    const [node, inside] = [await bench.footprint(), await footprintOf(added.pod.namespace)];
    const config = { prevResult: added.result };
    const foreign: readonly (readonly [string, Pod, CallOptions])[] = [
      ["another container", stranger, { config }],
      ["another container, CNI_NETNS empty", other, { config, env: { CNI_NETNS: "" } }],
      ["another interface", added.pod, { config, env: { CNI_IFNAME: "eth9", CNI_NETNS: "" } }],
      [
        "another network",
        added.pod,
        { config: { ...config, name: "conformance-other" }, env: { CNI_NETNS: "" } },
      ],
    ];
    for (const [what, pod, options] of foreign) {
      const run = await bench.call("DEL", pod, options);
      trial.succeeds(`DEL of ${what} with the pod's prevResult`, run);
      trial.unchanged(`the node after DEL of ${what}`, differences(node, await bench.footprint()), run);
      const changes = differences(inside, await footprintOf(added.pod.namespace));
      trial.unchanged(`the pod after DEL of ${what}`, changes, run);
    }
  },
};

const D3: Line = {
  id: "D3",
  wants: "DEL goes on to delegated plugins even where the own things are gone; their error is returned",
  async run(trial, bench) {
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("", NO_DELEGATE);
    const added = await bench.add(undefined, delegate.options());
    await delegate.calls();
    await bench.removeNetns(added.pod);
    await delegate.failOn("DEL");
    const options = delegate.options({ prevResult: added.result });
    const failing = await bench.call("DEL", added.pod, options);
    trial.fails("DEL with a delegate that fails", failing, { mentions: [DELEGATE_FAILURE] });
    await delegate.failOn();
    const run = await bench.call("DEL", added.pod, options);
    trial.succeeds("DEL with the namespace gone", run);
    const verbs = (await delegate.calls()).map(({ verb }) => verb);
    trial.same("what the delegate was called for", ["DEL", "DEL"], verbs, run);
    return undefined;
  },
};

const D4: Line = {
  id: "D4",
  wants: "best effort: what can be taken away is taken away, whatever else fails",
  async run(trial, bench) {
    const before = await bench.footprint();
    const added = await bench.add();
    const hostSide = readResult(added.result).interfaces.filter(({ sandbox }) => sandbox === "");
    const came = hostSide.filter(({ name }) => !before.some((text) => text.includes(`"ifname":"${name}"`)));
    for (const { name } of came) await ip(bench.driver.node, "link", "del", name);
    if (came.length > 0) {
      const run = await bench.del(added);
      trial.succeeds("DEL after the host's side was deleted", run);
      trial.unchanged("the rest is gone", await bench.settled(before), run);
    } else trial.skip("the host's side deleted", "ADD lists no link of its own on the node");
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("the delegate fails", NO_DELEGATE);
    const other = await bench.add(undefined, delegate.options());
    await delegate.failOn("DEL");
    const options = delegate.options({ prevResult: other.result });
    const run = await bench.call("DEL", other.pod, options);
    trial.fails("DEL with a delegate that fails", run);
    trial.check("the interface is gone nevertheless", !(await hasLink(other.pod.namespace, IFNAME)), {
      wanted: `no ${IFNAME} in the pod`,
      seen: "it is there",
      run,
    });
    await delegate.failOn();
    await bench.call("DEL", other.pod, options);
    return undefined;
  },
};

const D5: Line = {
  id: "D5",
  wants: "prevResult is the last one of the whole chain: entries of other plugins do no harm",
  async run(trial, bench) {
    if (!hasInterfaces(bench.version)) return trial.skip("", `${bench.version} knows no chain`);
    const before = await bench.footprint();
    const added = await bench.add();
    const { interfaces, ips } = added.result;
    const prevResult = {
      ...added.result,
      interfaces: [
        ...list(interfaces),
        { name: "after0", mac: "02:00:00:00:00:08", sandbox: added.pod.netns },
      ],
      ips: [
        ...list(ips),
        {
          ...(bench.version < "1.0.0" && { version: "4" }),
          interface: list(interfaces).length,
          address: "198.51.100.8/24",
        },
      ],
    };
    const run = await bench.call("DEL", added.pod, { config: { prevResult } });
    trial.succeeds("DEL with the result of a whole chain", run);
    trial.unchanged("the node afterwards", await bench.settled(before), run);
    return undefined;
  },
};

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

const D6: Line = {
  id: "D6",
  wants: "no output on success",
  async run(trial, bench) {
    const added = await bench.add();
    for (const time of ["first", "second"]) {
      const run = await bench.del(added);
      // A DEL that fails is D1's business.
      if (run.end === 0) trial.same(`stdout of the ${time} DEL`, "", run.stdout, run);
    }
  },
};

function inTime(trial: Trial, what: string, run: Run): void {
  trial.check(`${what} ends in time`, run.tookMs < DEL_MS_MAX, {
    wanted: `under ${DEL_MS_MAX} ms`,
    seen: `${Math.round(run.tookMs)} ms`,
    run,
  });
}

const D7: Line = {
  id: "D7",
  wants: "bounded time: ten seconds at most, also where its agent does not answer",
  async run(trial, bench) {
    const before = await bench.footprint();
    const added = await bench.add();
    inTime(trial, "DEL", await bench.del(added));
    const { agentFrozen } = bench.driver;
    if (agentFrozen === undefined)
      return trial.skip("DEL with a frozen agent", "no driver that can bring it about");
    const other = await bench.add();
    await whileOn(agentFrozen, async () => {
      const run = await bench.del(other, { timeoutMs: 15_000 });
      inTime(trial, "DEL with a frozen agent", run);
      trial.succeeds("DEL with a frozen agent", run);
    });
    trial.unchanged("the node after the agent goes on", await bench.settled(before, REPLAY_MS));
    return undefined;
  },
};

export const DEL_LINES: readonly Line[] = [D1, D2, D3, D4, D5, D6, D7];
