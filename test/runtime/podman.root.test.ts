/**
 * podman drives the plugin: it probes the version first with an environment that names nothing. Where there is no podman
 * with CNI networks, the summary says so.
 *
 * @module
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentOptions, drainAgent, prepareAgent, startAgent, type Agent } from "../harness/agent.ts";
import { program } from "../harness/programs.ts";
import { differences, hostSnapshot, machineChanges, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode, socketOf } from "../e2e/one-node.ts";
import { PAUSE_IMAGE } from "./image.ts";
import { type Isolation, openIsolation } from "./isolation.ts";
import { QUICK_CLOUD } from "./node.ts";
import { cannotRun } from "./notes.ts";
import { missingPodman, openPodman, type Podman } from "./podman.ts";
import { makeRecorder, recordsIn } from "./recorder.ts";

type Opened = {
  readonly one: OneNode;
  readonly isolation: Isolation;
  readonly options: AgentOptions;
  readonly agent: Agent;
  readonly podman: Podman;
};

describe("podman", () => {
  let machine: Snapshot;
  let before: Snapshot;
  let opened: Opened | undefined;
  let why = "";

  beforeAll(async () => {
    machine = await hostSnapshot();
    why = (await missingPodman()) ?? "";
    if (why === "") {
      const one = await openOneNode(`tw${process.pid}m`, { latencies: QUICK_CLOUD });
      before = await one.snapshot();
      const opening = await openRuntime(one);
      if (typeof opening === "string") {
        why = opening;
        await one[Symbol.asyncDispose]();
      } else opened = opening;
    }
    if (opened === undefined) cannotRun("podman", why);
  });

  afterAll(async () => {
    if (opened === undefined) return;
    const { one, isolation, options, agent } = opened;
    const left: string[] = [];
    try {
      await agent.stop();
      await drainAgent(options);
    } finally {
      agent.process.kill("SIGKILL");
      left.push(...(await isolation.close()), ...differences(before, await one.snapshot()));
      await one[Symbol.asyncDispose]();
    }
    expect([...left, ...machineChanges(machine, await hostSnapshot(), `tw${process.pid}m`)]).toEqual([]);
  });

  it("probes the version, gives a container an address, takes it back", async ({ skip }) => {
    if (opened === undefined) skip(why);
    else await drive(opened);
  });
});

async function drive({ one, isolation, podman }: Opened): Promise<void> {
  expect(await podman.must("network", "ls", "--format", "{{.Name}} {{.Driver}}")).toContain(
    "terway terway\n",
  );
  const run = [
    "run",
    "--detach",
    "--name",
    "one",
    "--network",
    "terway",
    "--cgroup-parent",
    isolation.cgroup,
  ];
  await podman.must(...run, PAUSE_IMAGE);
  const address = (
    await podman.must("inspect", "one", "--format", "{{.NetworkSettings.Networks.terway.IPAddress}}")
  ).trim();
  const given = (await one.simulator.enis()).find((eni) => !eni.isPrimary && eni.addresses.includes(address));
  expect(given).toMatchObject({ instance: one.node.instance, vSwitch: "vsw-pods-h2" });
  expect(await ping(one.node.namespace, address)).toMatchObject({ received: 3 });
  await podman.must("stop", "--time", "0", "one");
  await podman.must("rm", "one");
  expect(await ping(one.node.namespace, address)).toMatchObject({ received: 0 });
  const records = await recordsIn(join(one.directory, "podman"));
  const commands = records.map(({ command, status }) => `${command} ${status}`);
  expect(commands[0]).toBe("VERSION 0");
  expect(commands.filter((text) => text !== "VERSION 0")).toEqual(["ADD 0", "DEL 0"]);
  const [added, deleted] = records.filter(({ command }) => command !== "VERSION");
  expect(records[0]?.env).toMatchObject({ NETNS: "dummy", IFNAME: "dummy", PATH: "dummy" });
  expect(added?.env["ARGS"]).toBe("IgnoreUnknown=1;K8S_POD_NAME=one");
  expect(JSON.parse(deleted?.stdin ?? "{}")).toMatchObject({
    prevResult: { ips: [{ address: `${address}/32` }] },
  });
}

/** Or why podman cannot run here, in its own words. */
async function openRuntime(one: OneNode): Promise<Opened | string> {
  const directory = join(one.directory, "podman");
  const isolation = await openIsolation(
    `${one.simulator.name}-pods`,
    `/run/netns/${one.node.namespace}`,
    join(directory, "var-lib"),
  );
  const options = { ...one.agent("agent"), enter: isolation.enterNode };
  const plugin = { type: "terway", agent_socket: socketOf(options) };
  const conf = { cniVersion: "1.0.0", name: "terway", plugins: [plugin] };
  const recorder = await makeRecorder(directory, program("terway"));
  const podman = await openPodman(isolation, directory, recorder, conf).catch(String);
  if (typeof podman === "string") {
    await isolation.close();
    return podman;
  }
  await prepareAgent(options);
  return { one, isolation, options, agent: await startAgent(options), podman };
}
