/**
 * The part of a machine that one node's container runtime believes to have for itself: /run, /var/lib, its mounts and its
 * processes, inside the network namespace of a node. All of it dies with us, however we end: the first process reads from
 * a pipe of ours, and its processes end with it (pid_namespaces(7)).
 *
 * Two mount namespaces: the node's, where its agent runs, and the runtime's. /run is shared between them, so that the agent
 * sees the network namespaces of pods, as the agent's pod does (mountPropagation of its volume).
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { must, run, until } from "../harness/process.ts";

export type Isolation = {
  /** Command that enters the node: mounts and network, processes of the machine. For the agent. */
  readonly enterNode: readonly string[];
  /** Command that enters the runtime: also its processes. */
  readonly enterRuntime: readonly string[];
  /** Where a path of the node is for those outside. */
  readonly outside: (path: string) => string;
  /** Control group of this node's pods, from the root. */
  readonly cgroup: string;
  /** Ids, as the machine counts them, of the processes in the runtime's namespace; `name` is that of the program. */
  readonly processes: (name?: string) => readonly number[];
  /** Ends every process of it and waits for that. One line for each thing that is left. */
  readonly close: () => Promise<string[]>;
};

/**
 * `-n`: mount(8) makes /run/mount otherwise. A machine or a changed root without control groups gets those of the kernel,
 * in this mount namespace alone: each controller that is in no hierarchy of its own (column 2 is 0) is in the second
 * version's.
 */
const SCRIPT = `set -e
mount -n -t tmpfs run /run
mount -n --make-shared /run
mkdir /run/netns /run/lock
mount -n --bind "$1" /var/lib
if ! grep -q ' /sys/fs/cgroup' /proc/self/mountinfo; then
  if awk 'NR > 1 && $2 > 0 { found = 1 } END { exit !found }' /proc/cgroups; then
    mount -n -t tmpfs cgroup /sys/fs/cgroup
    for controller in $(awk 'NR > 1 && $2 > 0 { print $1 }' /proc/cgroups); do
      mkdir "/sys/fs/cgroup/$controller"
      mount -n -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
  else
    mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
  fi
fi
unshare --mount --propagation unchanged --pid --fork --kill-child --mount-proc cat
`;

const START_TIMEOUT_MS = 10_000;

/**
 * `directory` becomes /var/lib of the node with network namespace `netns` (a path). Throws with what the commands said where the
 * machine does not allow it.
 */
export async function openIsolation(name: string, netns: string, directory: string): Promise<Isolation> {
  await mkdir(directory, { recursive: true });
  const unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "node", directory];
  const child = spawn("nsenter", [`--net=${netns}`, ...unshare], { stdio: ["pipe", "ignore", "pipe"] });
  let printed = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    const end = (): void => {
      isOver = true;
      resolve();
    };
    child.once("error", end);
    child.once("close", end);
  });
  const node = child.pid ?? -1;
  const runtime = await until(
    "the namespaces of a container runtime",
    async () => {
      if (isOver)
        throw new Error(`namespaces for a container runtime cannot be made here: ${printed.trim()}`);
      const first = childrenOf(node).flatMap(childrenOf)[0];
      return first !== undefined && programOf(first) === "cat" ? first : undefined;
    },
    START_TIMEOUT_MS,
    5,
  );
  const pidNamespace = readlinkSync(`/proc/${runtime}/ns/pid`);
  const cgroup = `/${name}`;
  await cgroupEach(runtime, cgroup, "make");
  return {
    enterNode: nsenter(node, ["--mount", "--net"]),
    enterRuntime: nsenter(runtime, ["--mount", "--net", "--pid"]),
    // /var/run is an absolute link: it would lead to the /run of those outside.
    outside: (path) => `/proc/${node}/root${path.replace(/^\/var\/run\//, "/run/")}`,
    cgroup,
    processes: (program) => processesIn(pidNamespace, program),
    async close() {
      const cgroupLeft = await endAll(pidNamespace, runtime, cgroup);
      child.stdin.end();
      await over;
      return [...cgroupLeft, ...processesIn(pidNamespace).map((pid) => `process ${pid} ${programOf(pid)}`)];
    },
  };
}

/** `--root` and `--wd`: entering a mount namespace leaves a changed root, and these go back into it. */
function nsenter(pid: number, namespaces: readonly string[]): readonly string[] {
  return ["nsenter", "--target", `${pid}`, ...namespaces, "--root", "--wd", "--"];
}

/** Every process but the first, which keeps the namespaces; then the control groups, which must be empty by then. */
async function endAll(pidNamespace: string, first: number, cgroup: string): Promise<string[]> {
  await until(
    "the processes of a container runtime end",
    async () => {
      const others = processesIn(pidNamespace).filter((pid) => pid !== first && !isZombie(pid));
      for (const pid of [...others, ...others.flatMap(descendantsOf)]) kill(pid);
      return others.length === 0;
    },
    START_TIMEOUT_MS,
    20,
  );
  return cgroupEach(first, cgroup, "remove");
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended on its own in the meantime.
  }
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function childrenOf(pid: number): number[] {
  return textOf(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

function programOf(pid: number): string {
  return textOf(`/proc/${pid}/comm`).trim();
}

function isZombie(pid: number): boolean {
  return textOf(`/proc/${pid}/status`).includes("State:\tZ");
}

/** Empty where the process is gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function processesIn(pidNamespace: string, program?: string): number[] {
  return (
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return readlinkSync(`/proc/${pid}/ns/pid`) === pidNamespace;
        } catch {
          return false;
        }
      })
      // The kernel keeps 15 characters of a program's name.
      .filter((pid) => program === undefined || programOf(pid) === program.slice(0, 15))
  );
}

/**
 * The group in each hierarchy that the runtime sees. The first version's cpuset wants its processors and memory nodes set.
 * Returns one line for each that is left.
 */
async function cgroupEach(runtime: number, cgroup: string, what: "make" | "remove"): Promise<string[]> {
  const root = `/proc/${runtime}/root/sys/fs/cgroup`;
  const isSecond = existsSync(join(root, "cgroup.controllers"));
  const hierarchies = isSecond ? [root] : readdirSync(root).map((name) => join(root, name));
  const left: string[] = [];
  for (const hierarchy of hierarchies.filter((path) => existsSync(join(path, "cgroup.procs")))) {
    const path = join(hierarchy, cgroup);
    if (what === "make") {
      await mkdir(path, { recursive: true });
      for (const file of ["cpuset.cpus", "cpuset.mems"]) {
        if (!isSecond && existsSync(join(path, file))) {
          await must("sh", ["-c", 'cat "$0" > "$1"', join(hierarchy, file), join(path, file)]);
        }
      }
    } else if (existsSync(path)) {
      await removeCgroup(path);
      if (existsSync(path)) left.push(`control group ${path}`);
    }
  }
  return left;
}

/** The deepest first; a group of processes that just ended is busy for some milliseconds. */
async function removeCgroup(path: string): Promise<void> {
  const groups = (await run("find", [path, "-depth", "-type", "d"])).stdout.split("\n").filter(Boolean);
  for (const group of groups) {
    await until(
      `control group ${group} can be removed`,
      async () =>
        rmdir(group).then(
          () => true,
          (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT",
        ),
      2000,
      10,
    ).catch(() => undefined);
  }
}
