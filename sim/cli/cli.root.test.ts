/**
 * The command as people use it, on a machine of its own: a mount and a network namespace in which /run is empty, so
 * that what is left afterwards can be compared to the last mount point.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ran, runProgram } from "../fabric/run.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../model/topology-default.ts";

const MAIN = join(import.meta.dirname, "../main.ts");
const NAME = `tw${process.pid}`;

let machine: ChildProcess;
let directory: string;
let before: unknown;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "terway-sim-test-"));
  const script = "mount -t tmpfs none /run && ip link set lo up && echo made && exec sleep infinity";
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

function onMachine(...command: readonly string[]): Promise<Ran> {
  return runProgram(["nsenter", `--target=${machine.pid}`, "--mount", "--net", "--", ...command], "");
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
    expect((await sim("up", "--name", NAME)).status).toBe(0);
    const get = (url: string): Promise<Ran> =>
      sim("exec", "--name", NAME, "node-2", "--", process.execPath, "-e", fetchScript(url));
    expect((await get("http://100.100.100.200/latest/meta-data/instance-id")).stdout).toBe("200 i-node-2");
    expect((await get("http://100.100.0.10/?Action=DescribeVSwitches")).stdout).toMatch(/^4\d\d /);
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
