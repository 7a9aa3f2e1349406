/**
 * The command as people use it, on a machine of its own: a mount and a network namespace in which /run is empty, so
 * that what is left afterwards can be compared to the last mount point.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { type Ran, runProgram } from "../fabric/run.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../model/topology-default.ts";

const MAIN = join(import.meta.dirname, "../main.ts");
const POP_CORE = createRequire(import.meta.url).resolve("@alicloud/pop-core");
const NAME = `tw${process.pid}`;

let machine: ChildProcess;
let directory: string;
let before: unknown;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "terway-sim-test-"));
  // The machine's own namespaces come and go meanwhile: out of sight with them.
  const hide = "! mountpoint -q /run/netns || umount -n -R -l /run/netns; mount -n -t tmpfs none /run";
  const script = `${hide} && ip link set lo up && echo made && exec sleep infinity`;
  machine = spawn("unshare", ["--mount", "--net", "--propagation", "private", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (machine.stdout === null) throw new Error("no pipe");
  await once(machine.stdout, "data");
  before = await snapshot();
});

afterAll(async () => {
  try {
    await sim("down", "--name", NAME);
    expect(await snapshot()).toEqual(before);
  } finally {
    machine.kill();
    await rm(directory, { recursive: true });
  }
});

/** `--root`: where the tests themselves run in a changed root, entering the mount namespace alone would leave it. */
function onMachine(...command: readonly string[]): Promise<Ran> {
  return runProgram(
    ["nsenter", `--target=${machine.pid}`, "--mount", "--net", "--root", "--wd", "--", ...command],
    "",
  );
}

function sim(...args: readonly string[]): Promise<Ran> {
  return onMachine(process.execPath, MAIN, ...args);
}

async function simJson(...args: readonly string[]): Promise<unknown> {
  const ran = await sim(...args, "--name", NAME, "-o", "json");
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

async function snapshot(): Promise<unknown> {
  const listing =
    "ip netns; ip -o link; ip rule; nft list ruleset; ls -a /run; cut -d' ' -f5 /proc/self/mountinfo";
  return (await onMachine("sh", "-c", listing)).stdout;
}

async function servingPid(): Promise<number> {
  const status = await simJson("status");
  if (typeof status !== "object" || status === null || !("pid" in status)) throw new Error("no pid");
  return Number(status.pid);
}

describe("terway-sim", () => {
  it("refuses wrong command lines with status 2, and says what was meant", async () => {
    const cases: readonly (readonly [readonly string[], string])[] = [
      [["statsu"], 'unknown verb "statsu"; did you mean status?'],
      [["up", "--sed", "1"], 'unknown option "--sed"; did you mean --seed?'],
      [["up", "--seed", "one"], "--seed one: give a whole number of 0 to 4294967295"],
      [["up", "--name", "../x"], "--name ../x: give up to 32 lower-case letters"],
      [["exec", "node-1", "ls"], "put -- before the command: terway-sim exec node-1 -- ls"],
      [["state", "-o", "yaml"], 'unknown output "yaml"; known: json, table'],
    ];
    for (const [args, message] of cases) {
      const ran = await sim(...args);
      expect([ran.status, ran.stdout], args.join(" ")).toEqual([2, ""]);
      expect(ran.stderr).toContain(message);
    }
    expect(await snapshot()).toEqual(before);
  });

  it("asks for root", async () => {
    const ran = await runProgram(
      ["setpriv", "--reuid=65534", "--clear-groups", process.execPath, MAIN, "up"],
      "",
    );
    expect([ran.status, ran.stderr]).toEqual([1, expect.stringContaining("only root may; run it with sudo")]);
  });

  it("refuses a topology with its place, and changes nothing", async () => {
    const file = join(directory, "overlap.json");
    const [first, ...rest] = DEFAULT_TOPOLOGY_FILE.vSwitches;
    const vSwitches = [first, { ...first, id: "vsw-twice" }, ...rest];
    await writeFile(file, JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, vSwitches }, undefined, 2));
    const ran = await sim("up", file, "--name", NAME);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(/overlap\.json:\d+:\d+: vSwitches\[1\]\.cidr: .*overlaps with/);
    expect((await sim("up", "/no/such/file")).stderr).toContain("cannot read the topology");
    expect(await snapshot()).toEqual(before);
  });

  it("is content with down where nothing is up, and not with the other verbs", async () => {
    expect(await sim("down")).toMatchObject({ status: 0, stdout: "no simulator named sim is up\n" });
    for (const verb of ["status", "state", "calls"]) {
      const ran = await sim(verb);
      expect([ran.status, ran.stderr]).toEqual([1, expect.stringContaining("start one with: terway-sim up")]);
    }
  });

  it("undoes everything where it cannot come up", async () => {
    await onMachine("ip", "netns", "add", `${NAME}-node-2`);
    const ran = await sim("up", "--name", NAME);
    expect([ran.status, ran.stderr]).toEqual([1, expect.stringContaining(`exist: ${NAME}-node-2;`)]);
    expect((await onMachine("ip", "netns")).stdout).toBe(`${NAME}-node-2\n`);
    await onMachine("sh", "-c", `ip netns del ${NAME}-node-2 && umount -n /run/netns && rmdir /run/netns`);
    expect(await snapshot()).toEqual(before);
  });

  it("undoes everything where a program is missing, or the serving process cannot start", async () => {
    const withPath = (path: string): Promise<Ran> =>
      onMachine("env", `PATH=${path}`, process.execPath, MAIN, "up", "--name", NAME);
    expect((await withPath(directory)).stderr).toContain("apt-get install iproute2 nftables util-linux");
    const fake =
      '#!/bin/sh\ncase "$*" in *counters*) echo no counters >&2; exit 1;; esac\nPATH=${PATH#*:}; exec nft "$@"\n';
    await writeFile(join(directory, "nft"), fake, { mode: 0o755 });
    const ran = await withPath(`${directory}:${process.env["PATH"]}`);
    expect(ran).toMatchObject({ status: 1, stdout: "" });
    expect(ran.stderr).toBe(
      `terway-sim up: the simulated cloud does not start: counters of ${NAME}-vpc: no counters\neverything was undone\n`,
    );
    expect(await snapshot()).toEqual(before);
  });

  it("comes up, shows itself, runs programs in nodes, and goes without a trace", async () => {
    const up = await sim("up", "--name", NAME, "--time-scale", "20", "--seed", "7");
    expect(up).toMatchObject({ status: 0, stderr: "" });
    expect(up.stdout).toContain(`terway-sim exec --name ${NAME} node-1 -- ip address`);
    expect(await simJson("status")).toMatchObject({
      name: NAME,
      running: true,
      timeScale: 20,
      seed: 7,
      routerNamespace: `${NAME}-vpc`,
      nodes: [
        { node: "node-1", instance: "i-node-1", namespace: `${NAME}-node-1` },
        { node: "node-2", instance: "i-node-2", namespace: `${NAME}-node-2` },
      ],
    });
    const exec = (...command: readonly string[]): Promise<Ran> =>
      sim("exec", "--name", NAME, "node-1", "--", ...command);
    expect((await exec("ping", "-n", "-c", "1", "-W", "2", "10.10.1.12")).status).toBe(0);
    expect((await exec("sh", "-c", "exit 7")).status).toBe(7);
    expect((await exec("ip", "route")).stdout).toContain("default via 10.10.0.253 dev eth0");
    expect((await sim("exec", "--name", NAME, "node-3", "--", "ls")).stderr).toContain(
      "did you mean node-1?",
    );
    const again = await sim("up", "--name", NAME);
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining("is up already")]);
    expect(await sim("down", "--name", NAME)).toMatchObject({ status: 0, stdout: `${NAME} is down\n` });
    expect(await snapshot()).toEqual(before);
  });

  it("serves API and metadata in the nodes, counts calls, and does wrong when told to", async () => {
    expect((await sim("up", "--name", NAME, "--time-scale", "20")).status).toBe(0);
    const inNode = (script: string): Promise<Ran> =>
      sim("exec", "--name", NAME, "node-2", "--", process.execPath, "-e", script);
    const instance = await inNode(fetchScript("http://100.100.100.200/latest/meta-data/instance-id"));
    expect(instance.stdout).toBe("200 i-node-2");

    expect(
      await sim("fault", "--name", NAME, "add", "html502", "action=CreateNetworkInterface"),
    ).toMatchObject({
      status: 0,
      stdout: "fault-1\n",
    });
    expect((await sim("fault", "--name", NAME, "list")).stdout).toContain("action=CreateNetworkInterface");
    const create = callScript("CreateNetworkInterface", {
      VSwitchId: "vsw-pods-i1",
      SecurityGroupId: "sg-pods",
    });
    expect((await inNode(create)).stdout).toBe("");
    expect((await sim("fault", "--name", NAME, "list")).stdout).toBe("no faults\n");
    const created = z
      .object({ NetworkInterfaceId: z.string() })
      .parse(JSON.parse((await inNode(create)).stdout));
    const eni = created.NetworkInterfaceId;
    const attach = { NetworkInterfaceId: eni, InstanceId: "i-node-2" };
    expect((await inNode(callScript("AttachNetworkInterface", attach))).stdout).toContain("RequestId");
    const links = async (): Promise<string> =>
      (await onMachine("ip", "-n", `${NAME}-node-2`, "-o", "link")).stdout;
    await expect.poll(links, { timeout: 5_000 }).toContain("eth1");
    await expect
      .poll(() => simJson("state"), { timeout: 5_000 })
      .toMatchObject({
        broken: [],
        enis: expect.arrayContaining([
          expect.objectContaining({ id: eni, owner: "i-node-2", status: "InUse" }),
        ]),
      });
    expect(await simJson("calls")).toMatchObject({
      totals: { AttachNetworkInterface: { calls: 1, refused: 0 }, Metadata: { calls: 1 } },
    });

    expect(await sim("fault", "--name", NAME, "add", "deleteEni", `eni=${eni}`)).toMatchObject({ status: 0 });
    await expect.poll(links, { timeout: 5_000 }).not.toContain("eth1");
    expect((await sim("fault", "--name", NAME, "drain", "vsw-pods-i1")).stdout).toBe(
      "vsw-pods-i1: 0 addresses can be had\n",
    );
    expect((await inNode(create)).stdout).toBe("");
    expect((await sim("fault", "--name", NAME, "refill", "vsw-pods-i1")).status).toBe(0);
    expect((await sim("fault", "--name", NAME, "latency", "create", "1", "2")).stdout).toMatch(
      /create +1 +2\n/,
    );
    expect((await sim("fault", "--name", NAME, "clear", "fault-9")).stderr).toContain(
      "there is no fault fault-9",
    );
    expect(await sim("down", "--name", NAME)).toMatchObject({ status: 0 });
    expect(await snapshot()).toEqual(before);
  });

  it("cleans up after its process was killed, by down and by up", async () => {
    expect((await sim("up", "--name", NAME)).status).toBe(0);
    process.kill(await servingPid(), "SIGKILL");
    await expect
      .poll(async () => (await sim("status", "--name", NAME)).stderr)
      .toContain(`down --name ${NAME}`);
    expect((await sim("state", "--name", NAME)).stderr).toContain(`the process of ${NAME} is gone`);
    const up = await sim("up", "--name", NAME);
    expect([up.status, up.stdout]).toEqual([
      0,
      expect.stringContaining(`an earlier ${NAME} that was killed`),
    ]);
    process.kill(await servingPid(), "SIGKILL");
    expect(await sim("down", "--name", NAME)).toMatchObject({ status: 0 });
    expect(await snapshot()).toEqual(before);
  });

  it("joins nodes by IPv6 where the topology has it", async () => {
    const example = join(import.meta.dirname, "../examples/dual-stack.jsonc");
    expect(await sim("up", example, "--name", NAME)).toMatchObject({ status: 0 });
    const ping = ["ping", "-n", "-c", "1", "-W", "2", "fd00:10:0:5::12"];
    expect(await sim("exec", "--name", NAME, "node-1", "--", ...ping)).toMatchObject({ status: 0 });
    const state = await sim("state", "--name", NAME);
    expect(state.stdout).toMatch(/node-1 .* 10\.10\.0\.11 +fd00:10:0:4::11\n/);
    expect(state.stdout).toMatch(/0 spoofed IPv6 packets, .*\nnothing is broken\n/);
    expect(await sim("down", "--name", NAME)).toMatchObject({ status: 0 });
    expect(await snapshot()).toEqual(before);
  });

  it("leaves /run/netns to those who use it by then, and others that are up alone", async () => {
    expect((await sim("up", "--name", NAME)).status).toBe(0);
    expect((await sim("up", "--name", `${NAME}b`)).status).toBe(0);
    expect((await sim("down", "--name", NAME)).status).toBe(0);
    expect(
      (await sim("exec", "--name", `${NAME}b`, "node-1", "--", "ping", "-n", "-c", "1", "10.10.1.12")).status,
    ).toBe(0);
    await onMachine("ip", "netns", "add", "foreign");
    expect((await sim("down", "--name", `${NAME}b`)).status).toBe(0);
    expect((await onMachine("sh", "-c", "ls /run; ip netns")).stdout).toBe("netns\nforeign\n");
    await onMachine("sh", "-c", "ip netns del foreign && umount -n /run/netns && rmdir /run/netns");
  });
});

function fetchScript(url: string): string {
  return `const answer = await fetch(${JSON.stringify(url)}); process.stdout.write(answer.status + " " + await answer.text())`;
}

/** A call of the cloud's own client; prints the answer, or nothing where it was refused. */
function callScript(action: string, parameters: Readonly<Record<string, string>>): string {
  const [credential] = DEFAULT_TOPOLOGY_FILE.credentials;
  const options = { ...credential, endpoint: "http://100.100.0.10", apiVersion: "2014-05-26" };
  const call = [action, { ...parameters, RegionId: DEFAULT_TOPOLOGY_FILE.region }, { method: "POST" }];
  return [
    `const Client = require(${JSON.stringify(POP_CORE)});`,
    `new Client(${JSON.stringify(options)}).request(...${JSON.stringify(call)})`,
    ".then((answer) => process.stdout.write(JSON.stringify(answer)), (cause) => process.stderr.write(String(cause)))",
  ].join("\n");
}
