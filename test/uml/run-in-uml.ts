/**
 * Runs a command as root on a Linux kernel that has what the machine's own may lack (ipvlan, dummy, vrf): User Mode Linux, a
 * kernel that is a process. The command sees this machine's files under their own paths, the checkout included; what it writes is
 * gone afterwards. It starts with a network of its own: `lo` and nothing else. The machine is not changed.
 *
 *     const ran = await runInUml({ command: ["ip", "link", "add", "link", "eth0", "type", "ipvlan"] });
 *
 * The kernel of the package `user-mode-linux` (`pkg-config/setup.sh uml`) has all network modules but no nftables of the
 * families ip, ip6, inet, arp and netdev: `iptables-legacy` and `arptables-legacy` work. One that has them is built by
 * `pkg-config/setup.sh uml-kernel` and then taken for all jobs. It has one processor, so it tells
 * nothing about speed. Boot, an empty job and the end take about two seconds, a system call 20 us, the start of vitest five
 * seconds.
 *
 * Tests that need that kernel are `*.uml.test.ts`: the vitest project "uml", of which one process runs all of them in one
 * guest (`guest-tests.root.test.ts`). One file by hand: `node test/uml/main.ts vitest run --project uml FILE`.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants, existsSync } from "node:fs";
import { access, mkdtemp, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { followFile } from "./follow.ts";
import { umlShim } from "./shim.ts";

export type UmlJob = {
  /** Found on the PATH of this process, relative to the checkout; needs no shell. */
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** From the moment that it starts; 120 s where absent. */
  readonly timeoutMs?: number;
  /** Of the guest, of which a half may hold files that the job writes; 1024 where absent. */
  readonly memoryMib?: number;
  /** Gets what the job writes to standard output some tenths of a second later. */
  readonly onStdout?: (text: string) => void;
  /** Aborted: the guest is ended at once, and its reason is thrown. */
  readonly signal?: AbortSignal;
};

export type UmlRan = {
  readonly end:
    | { readonly kind: "exited"; /** 128 + N where signal N ended it. */ readonly status: number }
    | { readonly kind: "timed-out" }
    /** The guest ended without an end of the job; `why` is what its kernel said last. */
    | { readonly kind: "crashed"; readonly why: string };
  /** What the job wrote until then. */
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
};

const CHECKOUT = join(import.meta.dirname, "../..");
const PACKAGED = "/usr/bin/linux.uml";
/** What `build-kernel.sh` made. */
const BUILT = join(CHECKOUT, ".cache/uml/linux");
const CONSOLE_LINES = 5;
const CONSOLE_BYTES = 4096;
/** What `guest-init.sh` prints when the job starts. */
const STARTS = "guest: job";
/** A machine with other work may take ten times longer than an idle one. */
const BOOT_TIMEOUT_MS = 60_000;
const JOB_TIMEOUT_MS = 120_000;

/**
 * Runs one job; any number of them may run at the same time. Ends with the guest and with every process of it gone, also
 * where this process is killed.
 *
 * @throws Error where the guest cannot be started at all; `umlObstacle` says so in a sentence.
 */
export async function runInUml(job: UmlJob): Promise<UmlRan> {
  const startedMs = performance.now();
  const shim = await umlShim();
  const memoryMib = job.memoryMib ?? 1024;
  const io = await mkdtemp(join(tmpdir(), `terway-uml-${process.pid}-`));
  try {
    await writeFile(join(io, "job"), scriptOf(job), { mode: 0o700 });
    const cpu = await nextCpu();
    const child = spawn("setpriv", kernelCommand(io, cpu, memoryMib), {
      env: { LD_PRELOAD: shim, PATH: process.env["PATH"], TMPDIR: await memoryDirectory(memoryMib) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const { timedOut, console } = await followedEnd(child, job, join(io, "stdout"));
    job.signal?.throwIfAborted();
    const [stdout, stderr, status] = await Promise.all(
      ["stdout", "stderr", "status"].map((name) => readFile(join(io, name), "utf8").catch(() => "")),
    );
    const end: UmlRan["end"] =
      status !== undefined && /^\d+\n$/.test(status)
        ? { kind: "exited", status: Number(status) }
        : timedOut
          ? { kind: "timed-out" }
          : { kind: "crashed", why: console.trim().split("\n").slice(-CONSOLE_LINES).join("\n") };
    return { end, stdout: stdout ?? "", stderr: stderr ?? "", tookMs: performance.now() - startedMs };
  } finally {
    await rm(io, { recursive: true, force: true });
  }
}

/** The built kernel where it is there: it has what the packaged one has, and nftables of all families. */
function kernelPath(): string {
  return existsSync(BUILT) ? BUILT : PACKAGED;
}

/** Why no job can run that needs nftables of the families ip and ip6, as `umlObstacle`. */
export async function umlNftObstacle(): Promise<string | undefined> {
  if (existsSync(BUILT)) return umlObstacle();
  return `the packaged kernel of User Mode Linux has no nftables of the family ip: pkg-config/setup.sh uml-kernel builds one`;
}

let obstacle: Promise<string | undefined> | undefined;

/** Why no job can run on this machine, in one sentence; undefined where a first one ran. Tried once. */
export async function umlObstacle(): Promise<string | undefined> {
  obstacle ??= findObstacle();
  return obstacle;
}

async function findObstacle(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64")
    return `User Mode Linux needs an x86-64 Linux, and this is ${process.arch} ${process.platform}`;
  if (process.getuid?.() !== 0) return "the guest sees files as its user does, and needs root";
  try {
    await access(kernelPath(), constants.X_OK);
  } catch {
    return `${PACKAGED} is missing: pkg-config/setup.sh uml installs it where the package user-mode-linux is to be had`;
  }
  try {
    const { end } = await runInUml({ command: ["true"], timeoutMs: 30_000 });
    if (end.kind === "exited" && end.status === 0) return undefined;
    return `User Mode Linux does not start; is ptrace(2) allowed? ${end.kind === "crashed" ? end.why : end.kind}`.replaceAll(
      "\n",
      "; ",
    );
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll("\n", "; ") : String(error);
  }
}

/**
 * Everything dies with this process, and with `setpriv`: the guest is process 1 of its own process namespace. One processor:
 * with tracer and traced process on two, each system call of the guest takes ten times longer.
 */
function kernelCommand(io: string, cpu: number, memoryMib: number): string[] {
  const start = `--pdeathsig KILL unshare --pid --fork --kill-child=KILL taskset -c ${cpu} ${kernelPath()}`;
  const machine = `mem=${memoryMib}M umid=guest uml_dir=${io}/ con=null con0=null,fd:1 con1=null ssl=null quiet`;
  const root = `rootfstype=hostfs rootflags=/ ro init=${join(import.meta.dirname, "guest-init.sh")}`;
  return `${start} ${machine} ${root} uml_io=${io} uml_files=${memoryMib >> 1}`.split(" ");
}

function scriptOf(job: UmlJob): string {
  const variables = {
    PATH: process.env["PATH"] ?? "",
    HOME: "/root",
    // Of the guest's own: a program of the checkout starts in half the time once another one has been started.
    NODE_COMPILE_CACHE: "/tmp/node-compile-cache",
    ...job.env,
  };
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`);
  return [
    "#!/bin/sh",
    `cd ${quoted(CHECKOUT)}`,
    ...exports,
    `exec ${job.command.map(quoted).join(" ")}`,
    "",
  ].join("\n");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

async function followedEnd(child: ChildProcess, job: UmlJob, path: string): ReturnType<typeof endOf> {
  const following = job.onStdout && followFile(path, job.onStdout);
  try {
    return await endOf(child, job);
  } finally {
    await following?.stop();
  }
}

async function endOf(
  child: ChildProcess,
  { timeoutMs = JOB_TIMEOUT_MS, signal }: UmlJob,
): Promise<{ readonly timedOut: boolean; readonly console: string }> {
  return new Promise((resolve, reject) => {
    let [timedOut, started, console] = [false, false, ""];
    const kill = (): void => {
      timedOut = true;
      child.kill("SIGKILL");
    };
    let timer = setTimeout(kill, BOOT_TIMEOUT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        console = (console + text).slice(-CONSOLE_BYTES);
        if (started || !console.includes(STARTS)) return;
        started = true;
        clearTimeout(timer);
        timer = setTimeout(kill, timeoutMs);
      });
    }
    const stop = (): void => void child.kill("SIGKILL");
    signal?.addEventListener("abort", stop);
    if (signal?.aborted === true) stop();
    const forget = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
    child.once("error", (error) => {
      forget();
      reject(error);
    });
    child.once("close", () => {
      forget();
      resolve({ timedOut, console });
    });
  });
}

/** Where the kernel keeps the guest's memory as an unlinked file: in memory where there is room. */
async function memoryDirectory(memoryMib: number): Promise<string> {
  const shared = await statfs("/dev/shm").catch(() => undefined);
  const hasRoom = shared !== undefined && shared.bavail * shared.bsize > memoryMib * 1024 * 1024;
  return hasRoom ? "/dev/shm" : tmpdir();
}

let jobs = 0;

/** The processors that this process may use, in turn; runs of several test processes begin at different ones. */
async function nextCpu(): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8");
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "0";
  const cpus = list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  jobs += 1;
  return cpus[(process.pid + jobs) % cpus.length] ?? 0;
}
