/**
 * cnitool, the CNI project's own client, drives the plugin as a user does who tries it: once with `10-terway.conf`, once
 * with a list of plugins.
 *
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { type CniResult, type Pod } from "../harness/pod.ts";
import { must, type Ran, run } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, hostSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode, socketOf } from "./one-node.ts";

/** `netconf`: where cnitool looks for networks; `libDirectory` stands for /var/lib. */
type Client = { readonly cnitool: string; readonly netconf: string; readonly libDirectory: string };

/**
 * libcni keeps results below /var/lib/cni; in a mount namespace of its own that is a directory of the test.
 * `-n`: mount(8) makes /run/mount otherwise.
 */
async function cnitool(client: Client, verb: "add" | "del", pod: Pod): Promise<Ran> {
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

/** Newer versions of the client leave an empty "dns" out. */
function resultOf(ran: Ran): CniResult & { readonly dns?: object } {
  expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the whole of it is compared below
  return { dns: {}, ...(JSON.parse(ran.stdout) as CniResult) };
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
    expect(differences(machine, await hostSnapshot())).toEqual([]);
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
      expect(await macOf(node.namespace, host)).toBe("");
      expect(await macOf(pod.namespace, "eth0")).toBe("");
    }
    expect(await agent.stop()).toBe(0);
    const drained = await runAgent(options, ["--drain"]);
    expect(drained, drained.stderr).toMatchObject({ status: 0 });
    expect(differences(nodeBefore, await one.snapshot())).toEqual([]);
    expect(await simulator.brokenInvariants()).toEqual([]);
  });
});
