/**
 * Host ports: the agent publishes the operator's list with `portmap` behind `terway`, cnitool carries it out as a runtime does,
 * and packets to a port of the node reach the pod: from another node, from the node, from a pod of the node, from the pod itself.
 *
 * @module
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { type CniResult, type Pod } from "../harness/pod.ts";
import { must, type Ran, run, until } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, hostSnapshot, machineChanges, type Snapshot } from "../harness/snapshot.ts";
import { openStation, type Station } from "../matrix/station.ts";
import { type Outcome } from "../matrix/station/words.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

/** Where Debian's containernetworking-plugins are. */
const PEERS = "/usr/lib/cni";
const PORT = 7000;
const HOST_PORTS = { tcp: 8080, udp: 8081 } as const;
const MAPPINGS = (["tcp", "udp"] as const).map((protocol) => ({
  hostPort: HOST_PORTS[protocol],
  containerPort: PORT,
  protocol,
}));
/** What portmap 1.1 says of every pod that has no IPv6 address; terway, which stands before it, found nothing then. */
const PORTMAP_WANTS_IPV6 = "could not check ipv6 dnat";
const LIST = {
  cniVersion: "1.0.0",
  name: "terway",
  plugins: [{ type: "terway" }, { type: "portmap", capabilities: { portMappings: true }, snat: true }],
};

async function ask(station: Station, to: string, protocol: "tcp" | "udp"): Promise<Outcome> {
  const port = HOST_PORTS[protocol];
  return station.exchange(protocol, { to, port, bytes: 600, replyBytes: 3000, tries: 5, everyMs: 100 });
}

describe("host ports by portmap", () => {
  let machine: Snapshot;
  let before: Snapshot;
  let tool = "";
  let one: OneNode;
  let agent: Agent;
  let confDir = "";
  const stations: Station[] = [];

  beforeAll(async () => {
    tool = (await must(join(import.meta.dirname, "../cnitool.sh"), [])).trim();
    machine = await hostSnapshot();
    one = await openOneNode(`tw${process.pid}hp`);
    // As Kubernetes asks of every node.
    await must("ip", ["netns", "exec", one.node.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    before = await one.snapshot();
    confDir = join(one.directory, "net.d");
    await mkdir(join(one.directory, "lib"));
    const options = { ...one.agent("agent"), flags: ["--cni-conf-dir", confDir] };
    await prepareAgent(options);
    await writeFile(join(options.directory, "eni-config/10-terway.conflist"), JSON.stringify(LIST));
    agent = await startAgent(options);
  });

  afterAll(async () => {
    for (const station of stations) await station.close();
    await agent.kill();
    await one[Symbol.asyncDispose]();
    expect(machineChanges(machine, await hostSnapshot(), `tw${process.pid}hp`)).toEqual([]);
  });

  function cnitool(verb: "add" | "check" | "del", pod: Pod, mappings: readonly object[] = []): Promise<Ran> {
    const script = 'mount -n --bind "$0" /var/lib && exec "$@"';
    const command = [tool, verb, "terway", `/run/netns/${pod.namespace}`];
    const enter = [`--net=/run/netns/${one.node.namespace}`, "unshare", "-m", "sh", "-c", script];
    return run("nsenter", [...enter, join(one.directory, "lib"), ...command], {
      env: {
        PATH: process.env["PATH"] ?? "",
        CNI_PATH: `${dirname(program("terway"))}:${PEERS}`,
        NETCONFPATH: confDir,
        CAP_ARGS: JSON.stringify({ portMappings: mappings }),
      },
    });
  }

  async function added(name: string, mappings: readonly object[] = []): Promise<Pod & { ip: string }> {
    const pod = await one.pod(name, one.agent("agent"));
    const ran = await cnitool("add", pod, mappings);
    expect(ran, ran.stdout + ran.stderr).toMatchObject({ status: 0 });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- test/e2e/cnitool.root.test.ts compares all of it
    const result = JSON.parse(ran.stdout) as CniResult;
    return { ...pod, ip: result.ips[0]?.address.replace("/32", "") ?? "" };
  }

  function stationIn(namespace: string): Station {
    const station = openStation(namespace);
    stations.push(station);
    return station;
  }

  async function primaryOf(instance: string): Promise<string> {
    const enis = await one.simulator.enis();
    return enis.find((eni) => eni.isPrimary && eni.instance === instance)?.addresses[0] ?? "";
  }

  it("is published as the operator wrote it, and reaches the pod from everywhere", async () => {
    const published: unknown = await until(
      "the list is published",
      async () =>
        readFile(join(confDir, "10-terway.conflist"), "utf8")
          .then(JSON.parse)
          .catch(() => false),
      5000,
    );
    expect(published).toMatchObject({ plugins: [{ type: "terway" }, LIST.plugins[1]] });
    const [here, there] = one.simulator.nodes;
    if (here === undefined || there === undefined) throw new Error("two nodes");
    const server = await added("server", MAPPINGS);
    const client = await added("client");
    const inServer = stationIn(server.namespace);
    await inServer.listen(server.ip, PORT);
    const [nodeIp, otherIp] = [await primaryOf(here.instance), await primaryOf(there.instance)];
    const clients: readonly (readonly [string, Station, string, string])[] = [
      ["another node", stationIn(there.namespace), nodeIp, otherIp],
      ["the node", stationIn(here.namespace), nodeIp, nodeIp],
      ["the node's localhost", stationIn(here.namespace), "127.0.0.1", nodeIp],
      ["a pod of the node", stationIn(client.namespace), nodeIp, client.ip],
      ["the pod itself", inServer, nodeIp, nodeIp],
    ];
    const [first] = clients;
    if (first === undefined) throw new Error("no client");
    // The agent notices within 5 s that somebody translates.
    await until(
      "an answer finds its way to another node",
      async () => (await ask(first[1], nodeIp, "tcp")).kind === "answered",
      15_000,
    );
    for (const [who, station, to, seenAs] of clients)
      for (const protocol of ["tcp", "udp"] as const)
        expect({ who, protocol, ...(await ask(station, to, protocol)) }).toEqual({
          who,
          protocol,
          kind: "answered",
          seenAs,
          got: 600,
        });
    // The pod's own connections are not touched: to a pod of the node and to another node.
    await stationIn(there.namespace).listen(otherIp, PORT);
    const outward = { to: otherIp, port: PORT, bytes: 600, replyBytes: 600, tries: 5, everyMs: 100 };
    expect(await inServer.exchange("tcp", outward)).toMatchObject({ kind: "answered", seenAs: server.ip });

    const sound = await cnitool("check", server, MAPPINGS);
    expect(sound.status === 0 || sound.stderr.includes(PORTMAP_WANTS_IPV6), sound.stderr).toBe(true);
    await must("ip", ["-n", server.namespace, "address", "del", `${server.ip}/32`, "dev", "eth0"]);
    const damaged = await cnitool("check", server, MAPPINGS);
    expect(damaged.stdout + damaged.stderr).toContain(`address ${server.ip}/32`);

    for (const pod of [server, server, client])
      expect(await cnitool("del", pod, pod === server ? MAPPINGS : [])).toMatchObject({
        status: 0,
        stderr: "",
      });
    const rules = await must("ip", ["netns", "exec", here.namespace, "iptables", "-t", "nat", "-S"]);
    expect(rules).not.toContain(server.ip);
    expect((await ask(first[1], nodeIp, "tcp")).kind).toBe("refused");
  });

  it("leaves nothing of ours", async () => {
    expect(await agent.stop()).toBe(0);
    const drained = await runAgent(one.agent("agent"), ["--drain"]);
    expect(drained, drained.stderr).toMatchObject({ status: 0 });
    // portmap leaves its tables behind: they are not ours.
    const { namespace } = one.node;
    for (const family of ["ip", "ip6"])
      await must("ip", ["netns", "exec", namespace, "nft", "delete", "table", family, "nat"]);
    expect(differences(before, await one.snapshot())).toEqual([]);
  });
});
