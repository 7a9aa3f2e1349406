/**
 * cnitool, the CNI project's own client, drives the plugin as a user does who tries it: with `10-terway.conf`, with a list
 * of plugins, and with a list of version 1.1.0, which brings gc and status. Debian's cnitool has neither of these two; the
 * summary says so where it is the one that is there.
 *
 * @module
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { type CniResult, deletePodNamespace, type Pod } from "../harness/pod.ts";
import { must, type Ran, run, until } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, hostSnapshot, machineChanges, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { note } from "../runtime/notes.ts";
import { type OneNode, openOneNode, socketOf } from "./one-node.ts";

/** `netconf`: where cnitool looks for networks; `libDirectory` stands for /var/lib. */
type Client = { readonly cnitool: string; readonly netconf: string; readonly libDirectory: string };

/**
 * libcni keeps results below /var/lib/cni; in a mount namespace of its own that is a directory of the test.
 * `-n`: mount(8) makes /run/mount otherwise.
 */
async function cnitool(
  client: Client,
  verb: "add" | "check" | "del" | "gc" | "status",
  pod: Pod,
): Promise<Ran> {
  const script = 'mount -n --bind "$0" /var/lib && exec "$@"';
  const command = [client.cnitool, verb, "terway", `/run/netns/${pod.namespace}`];
  return run("unshare", ["-m", "sh", "-c", script, client.libDirectory, ...command], {
    env: {
      PATH: process.env["PATH"] ?? "",
      CNI_PATH: dirname(program("terway")),
      NETCONFPATH: client.netconf,
    },
  });
}

async function openClient(
  directory: string,
  tool: string,
  file: string,
  conf: Readonly<Record<string, unknown>>,
): Promise<Client> {
  const client = {
    cnitool: tool,
    netconf: join(directory, `${file}.d`),
    libDirectory: join(directory, `${file}.lib`),
  };
  await mkdir(client.netconf);
  await mkdir(client.libDirectory);
  await writeFile(join(client.netconf, file), JSON.stringify(conf));
  return client;
}

/** The MAC that a link has in a namespace; empty where there is none. */
async function macOf(namespace: string, link: string): Promise<string> {
  const shown = await run("ip", ["-n", namespace, "-o", "link", "show", "dev", link]);
  return /link\/ether (\S+)/.exec(shown.stdout)?.[1] ?? "";
}

/** The agent answers before the link is deleted. */
async function gone(namespace: string, link: string): Promise<void> {
  await until(`${link} is gone`, async () => (await macOf(namespace, link)) === "", 5000);
}

/** Newer versions of the client leave an empty "dns" out. */
function resultOf(ran: Ran): CniResult & { readonly dns?: object } {
  expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the whole of it is compared below
  return { dns: {}, ...(JSON.parse(ran.stdout) as CniResult) };
}

const ONLY_THREE_VERBS = "cnitool gc and status were not tested: this cnitool is Debian's, which has neither";

/** The one that is built with Go from its module. */
function hasAllVerbs(tool: string): boolean {
  return !tool.endsWith("-debian");
}

describe("cnitool", () => {
  let machine: Snapshot;
  let nodeBefore: Snapshot;
  let tool = "";
  let one: OneNode;
  let options: AgentOptions;
  let agent: Agent;

  beforeAll(async () => {
    tool = (await must(join(import.meta.dirname, "../cnitool.sh"), [])).trim();
    if (!hasAllVerbs(tool)) note(ONLY_THREE_VERBS);
    machine = await hostSnapshot();
    one = await openOneNode(`tw${process.pid}c`);
    nodeBefore = await one.snapshot();
    options = one.agent("agent");
    await prepareAgent(options);
    agent = await startAgent(options);
  });

  afterAll(async () => {
    await agent.kill();
    await one[Symbol.asyncDispose]();
    expect(machineChanges(machine, await hostSnapshot(), `tw${process.pid}c`)).toEqual([]);
  });

  it("adds and deletes pods with 10-terway.conf and with a list, twice without complaint", async () => {
    const { simulator, node, directory } = one;
    const plugin = { type: "terway", agent_socket: socketOf(options) };
    const network = { cniVersion: "0.3.0", name: "terway", ...plugin };
    const list = { cniVersion: "1.0.0", name: "terway", plugins: [plugin] };
    const clients = [
      { client: await openClient(directory, tool, "10-terway.conf", network), version: "0.3.0" },
      { client: await openClient(directory, tool, "10-terway.conflist", list), version: "1.0.0" },
    ];
    const made: { readonly client: Client; readonly pod: Pod; readonly host: string }[] = [];
    for (const { client, version } of clients) {
      const pod = await one.pod(`cni${version.replaceAll(".", "")}`, options);
      const result = resultOf(await cnitool(client, "add", pod));
      const address = result.ips[0]?.address.replace("/32", "") ?? "";
      const host = result.interfaces[0]?.name ?? "";
      expect(result).toEqual({
        cniVersion: version,
        interfaces: [
          { name: expect.stringMatching(/^tw[0-9a-z]{13}$/), mac: await macOf(node.namespace, host) },
          {
            name: "eth0",
            mac: await macOf(pod.namespace, "eth0"),
            sandbox: `/run/netns/${pod.namespace}`,
          },
        ],
        ips: [
          {
            ...(version === "0.3.0" && { version: "4" }),
            interface: 1,
            address: `${address}/32`,
            gateway: "169.254.1.1",
          },
        ],
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
        dns: {},
      });
      const given = (await simulator.enis()).find((eni) => !eni.isPrimary && eni.addresses.includes(address));
      expect(given).toMatchObject({ instance: node.instance, vSwitch: "vsw-pods-h2" });
      expect(await ping(pod.namespace, simulator.gateways["vsw-pods-h2"] ?? "")).toMatchObject({
        received: 3,
      });
      expect(await ping(node.namespace, address)).toMatchObject({ received: 3 });
      made.push({ client, pod, host });
    }
    for (const { client, pod, host } of made) {
      for (const time of ["first", "second"]) {
        const { status, stdout, stderr } = await cnitool(client, "del", pod);
        expect({ time, status, stdout, stderr }).toEqual({ time, status: 0, stdout: "", stderr: "" });
      }
      await gone(node.namespace, host);
      await gone(pod.namespace, "eth0");
    }
  });

  it("checks a pod: sound, damaged, sound again", async () => {
    const client = await newestClient("check");
    const pod = await one.pod("check", options);
    const result = resultOf(await cnitool(client, "add", pod));
    const checked = async (): Promise<object> => {
      const { status, stdout } = await cnitool(client, "check", pod);
      return { status, stdout };
    };
    expect(await checked()).toEqual({ status: 0, stdout: "" });
    const address = result.ips[0]?.address ?? "";
    await must("ip", ["-n", pod.namespace, "address", "del", address, "dev", "eth0"]);
    const damaged = await cnitool(client, "check", pod);
    expect(damaged).toMatchObject({ status: 1 });
    expect(damaged.stdout + damaged.stderr).toContain(address.replace("/32", ""));
    expect(await cnitool(client, "del", pod)).toMatchObject({ status: 0, stderr: "" });
    resultOf(await cnitool(client, "add", pod));
    expect(await checked()).toEqual({ status: 0, stdout: "" });
    expect(await cnitool(client, "del", pod)).toMatchObject({ status: 0, stderr: "" });
  });

  it("collects what nobody deleted, and leaves what lives", async ({ skip }) => {
    if (!hasAllVerbs(tool)) skip(ONLY_THREE_VERBS);
    const client = await newestClient("gc");
    const stale = await one.pod("stale", options);
    const { interfaces, ips } = resultOf(await cnitool(client, "add", stale));
    const other = await newestClient("others-gc");
    const living = await one.pod("living", options);
    resultOf(await cnitool(other, "add", living));
    // The client forgets the pod, and its namespace goes: only the agent knows of it still.
    await rm(join(client.libDirectory, "cni"), { recursive: true });
    await deletePodNamespace(stale);
    expect(await cnitool(client, "gc", living)).toMatchObject({ status: 0, stdout: "" });
    const address = ips[0]?.address.replace("/32", "") ?? "";
    const collected = agent.process
      .output()
      .split("\n")
      .filter((line) => line.includes("GC removes a pod"));
    expect(collected).toEqual([expect.stringContaining(`"address":"${address}"`)]);
    await gone(one.node.namespace, interfaces[0]?.name ?? "");
    expect(await cnitool(other, "check", living)).toMatchObject({ status: 0 });
    // `cnitool gc` deletes every pod that the client knows of.
    expect(await cnitool(other, "gc", living)).toMatchObject({ status: 0, stdout: "" });
    await gone(living.namespace, "eth0");
  });

  it("asks for the status: ready, and code 50 when the agent is away", async ({ skip }) => {
    if (!hasAllVerbs(tool)) skip(ONLY_THREE_VERBS);
    const client = await newestClient("status");
    const pod = await one.pod("status", options);
    expect(await cnitool(client, "status", pod)).toMatchObject({ status: 0, stdout: "" });
    expect(await agent.stop()).toBe(0);
    const away = await cnitool(client, "status", pod);
    expect(away.status).toBe(1);
    expect(away.stdout + away.stderr).toContain("does not answer");
    agent = await startAgent(options);
    expect(await cnitool(client, "status", pod)).toMatchObject({ status: 0, stdout: "" });
  });

  it("leaves nothing", async () => {
    expect(await agent.stop()).toBe(0);
    const drained = await runAgent(options, ["--drain"]);
    expect(drained, drained.stderr).toMatchObject({ status: 0 });
    expect(differences(nodeBefore, await one.snapshot())).toEqual([]);
  });

  /** With a list of the newest version that the client knows. */
  async function newestClient(name: string): Promise<Client> {
    const plugin = { type: "terway", agent_socket: socketOf(options) };
    const list = { cniVersion: hasAllVerbs(tool) ? "1.1.0" : "1.0.0", name: "terway", plugins: [plugin] };
    return openClient(one.directory, tool, `${name}.conflist`, list);
  }
});
