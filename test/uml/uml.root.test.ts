import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { differences, networkSnapshot } from "../harness/snapshot.ts";
import { background, run, until } from "../harness/process.ts";
import { cannotRun } from "../runtime/notes.ts";
import { runInUml, type UmlRan, umlObstacle } from "./run-in-uml.ts";
import { compile, umlShim } from "./shim.ts";

const why = await umlObstacle();
beforeAll(() => {
  if (why !== undefined) cannotRun("uml", why);
});

/** The script in the guest. */
async function inGuest(script: string, timeoutMs?: number): Promise<UmlRan> {
  return runInUml({ command: ["sh", "-c", script], ...(timeoutMs === undefined ? {} : { timeoutMs }) });
}

describe.runIf(why === undefined)("runInUml()", () => {
  it("gives what the job wrote, and its status, of several at once", async () => {
    const [fine, fails, killed] = await Promise.all([
      inGuest("echo out; echo err >&2"),
      inGuest("exit 3"),
      inGuest("kill -9 $$"),
    ]);
    expect(fine).toMatchObject({ end: { kind: "exited", status: 0 }, stdout: "out\n", stderr: "err\n" });
    expect(fails.end).toEqual({ kind: "exited", status: 3 });
    expect(killed.end).toEqual({ kind: "exited", status: 137 });
  });

  it("is Linux as root, in the checkout, with arguments and variables as given", async () => {
    const words = ["it's", "a  b", '"$HOME"'];
    const ran = await runInUml({
      command: ["sh", "-c", 'id -u; ls package.json; uname -s; printf "%s|" "$X" "$@"', "sh", ...words],
      env: { X: "1 '2' $3" },
    });
    expect(ran.stdout).toBe(`0\npackage.json\nLinux\n1 '2' $3|${words.join("|")}|`);
  });

  it("runs a TypeScript program of the checkout", async () => {
    const program = 'console.log((await import("./proto/addr.ts")).parseIpv4("10.0.0.1"))';
    const ran = await runInUml({ command: ["node", "--input-type=module", "-e", program] });
    expect([ran.stderr, ran.stdout]).toEqual(["", "10.0.0.1\n"]);
  });

  it("has ipvlan and passes packets between two pods of one device", async () => {
    const ran = await inGuest(`set -e
      ip link add uplink type dummy && ip link set uplink up
      for n in 1 2; do
        ip netns add p$n
        ip link add link uplink name eth0 netns p$n type ipvlan mode l2 bridge
        ip -n p$n link set eth0 up
        ip -n p$n address add 10.0.0.$n/24 dev eth0
        ip -n p$n address add fd00::$n/64 dev eth0 nodad
      done
      ip netns exec p1 ping -q -c 2 -i 0.1 10.0.0.2
      ip netns exec p1 ping -q -c 2 -i 0.1 fd00::2
      iptables-legacy -t nat -S >/dev/null`);
    expect([ran.end, ran.stderr, ran.stdout.match(/2 received/g)?.length]).toEqual([
      { kind: "exited", status: 0 },
      "",
      2,
    ]);
  });

  it("changes neither files nor the network of this machine, and leaves nothing", async () => {
    const before = await networkSnapshot([]);
    const directory = await mkdtemp(join(tmpdir(), "tw-uml-test-"));
    const netns = `tw${process.pid}made`;
    const ran = await inGuest(
      `touch ${directory}/made && ls ${directory} && ip netns add ${netns} && ls /run/netns && ip link add ${netns} type dummy`,
    );
    expect(ran.stdout).toBe(`made\n${netns}\n`);
    expect(await readdir(directory)).toEqual([]);
    await rm(directory, { recursive: true });
    expect((await run("ip", ["netns"])).stdout).not.toContain(netns);
    expect(differences(before, await networkSnapshot([]))).toEqual([]);
    expect(await left(process.pid)).toEqual([]);
  });

  it("ends a job that takes too long, and shows what it had written", async () => {
    const ran = await inGuest("echo begun; sleep 60", 1000);
    expect(ran.tookMs).toBeLessThan(60_000);
    expect(ran).toMatchObject({ end: { kind: "timed-out" }, stdout: "begun\n" });
    expect(await left(process.pid)).toEqual([]);
  });

  it("passes on what the job writes while it runs, and ends where that is asked for", async () => {
    const [stop, words] = [new AbortController(), [] as string[]];
    const reason = new Error("seen enough");
    const running = runInUml({
      command: ["sh", "-c", "echo gr\u00fc\u00dfe; sleep 60"],
      signal: stop.signal,
      // Without help the guest would keep it for itself for half a minute.
      timeoutMs: 15_000,
      onStdout: (text) => {
        words.push(text);
        stop.abort(reason);
      },
    });
    await expect(running).rejects.toBe(reason);
    expect(words).toEqual(["gr\u00fc\u00dfe\n"]);
    expect(await left(process.pid)).toEqual([]);
  });

  it("has no process left where the caller is killed", async () => {
    const caller = background("node", [
      "--input-type=module",
      "-e",
      `import { runInUml } from "${join(import.meta.dirname, "run-in-uml.ts")}";
       await runInUml({ command: ["sleep", "60"] });`,
    ]);
    const running = async (): Promise<boolean> =>
      (await left(caller.pid)).some((line) => line.includes("umid=guest"));
    await until("the guest runs", running, 10_000);
    caller.kill("SIGKILL");
    await caller.ended;
    await until("the guest is gone", async () => !(await running()), 5000);
    for (const path of await left(caller.pid)) await rm(path, { recursive: true });
  });

  it("says what the kernel said where it ends without the job's end", async () => {
    const ran = await inGuest("kill -9 -1; busybox poweroff -f");
    expect(ran.end).toMatchObject({ kind: "crashed" });
  });
});

/** Why there is no shim: it is for x86-64, and compiled here. */
const noShim =
  process.arch === "x64"
    ? await umlShim().then(
        () => undefined,
        (error: unknown) => String(error),
      )
    : "x86-64 alone";

describe.runIf(noShim === undefined)("xstate-shim.c", () => {
  it("makes the kernel accept registers in a buffer that is too short", async () => {
    const directory = await mkdtemp(join(tmpdir(), "tw-uml-test-"));
    const probe = join(directory, "probe");
    await compile(["-o", probe, join(import.meta.dirname, "xstate-probe.c")]);
    const alone = await run(probe, []);
    const withShim = await run(probe, [], { env: { LD_PRELOAD: await umlShim() } });
    await rm(directory, { recursive: true });
    expect([alone.stdout, withShim.stdout]).toEqual([
      "refused\nregister not set\n",
      "accepted\nregister set\n",
    ]);
  });
});

/** What there is of the jobs of a process: command lines and directories. */
async function left(pid: number): Promise<string[]> {
  const prefix = join(tmpdir(), `terway-uml-${pid}-`);
  const { stdout } = await run("ps", ["-eo", "args"]);
  const directories = (await readdir(tmpdir())).map((name) => join(tmpdir(), name));
  return [
    ...stdout.split("\n").filter((line) => line.includes(`=${prefix}`)),
    ...directories.filter((path) => path.startsWith(prefix)),
  ];
}
