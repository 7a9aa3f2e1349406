/**
 * containerd and runc on a node of their own (isolation.ts), with an image that was made here, as kubelet would find them.
 *
 * @module
 */
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Background, background, must, run, until } from "../harness/process.ts";
import { type Cri, openCri } from "./cri.ts";
import { PAUSE_IMAGE, pauseImage } from "./image.ts";
import { type Isolation } from "./isolation.ts";

/** Directory with the `loopback` plugin of the CNI project, which containerd executes for every pod. */
const REFERENCE_PLUGINS = "/usr/lib/cni";

const SOCKET = "/run/containerd/containerd.sock";
const START_TIMEOUT_MS = 20_000;

export type Containerd = {
  readonly cri: Cri;
  /** Where it finds plugins. */
  readonly pluginDir: string;
  /** Where it finds the network's configuration. */
  readonly confDir: string;
  /** "1.6.20~ds1". */
  readonly version: string;
  /** Its process, as the machine counts. */
  readonly pid: () => number;
  readonly output: () => string;
  /** SIGKILL; the shims and their pods go on. */
  readonly kill: () => Promise<void>;
  /** Starts it again and waits until it answers. */
  readonly start: () => Promise<void>;
  readonly close: () => void;
};

export type ContainerdOptions = {
  readonly isolation: Isolation;
  /** For its configuration, log and plugins. */
  readonly directory: string;
  /** Searched before PATH for containerd, its shim, ctr and runc. */
  readonly programs?: string;
};

/** Starts it and imports the image. Throws with its log where it cannot run here. */
export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  const { isolation, directory } = options;
  const pluginDir = join(directory, "plugins");
  const confDir = join(directory, "net.d");
  const configPath = join(directory, "containerd.toml");
  const imagePath = join(directory, "pause.tar");
  await mkdir(pluginDir, { recursive: true });
  await mkdir(confDir, { recursive: true, mode: 0o700 });
  await symlink(join(REFERENCE_PLUGINS, "loopback"), join(pluginDir, "loopback"));
  await writeFile(configPath, configOf(pluginDir, confDir));
  await writeFile(imagePath, pauseImage(process.arch));
  const env = { ...process.env, PATH: searchPath(options.programs) };
  const cri = openCri(isolation.outside(SOCKET));
  const daemon = await start(isolation, join(directory, "containerd.log"), env, configPath, cri);
  const version = await cri.version();
  const importing = ["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "import"];
  // From version 2 on another service unpacks, which has not heard of this snapshotter; --local goes around it.
  const how = [...(/^v?1\./.test(version) ? [] : ["--local"]), "--snapshotter", "native"];
  const [enter = "", ...inside] = isolation.enterRuntime;
  await must(enter, [...inside, ...importing, ...how, imagePath], { env });
  let current = daemon;
  return {
    cri,
    pluginDir,
    confDir,
    version,
    pid: () => daemonPid(isolation),
    output: () => current.output(),
    async kill() {
      process.kill(daemonPid(isolation), "SIGKILL");
      await current.ended;
    },
    async start() {
      current = await start(isolation, join(directory, "containerd.log"), env, configPath, cri);
    },
    close: () => cri.close(),
  };
}

/** Puts a program where containerd looks for plugins, in place of the one of this name, in one step. */
export async function installPlugin(pluginDir: string, name: string, target: string): Promise<void> {
  const next = join(pluginDir, `.${name}.next`);
  await symlink(target, next);
  await rename(next, join(pluginDir, name));
}

/** Writes a network's configuration as a plugin's installer should: containerd sees the whole file or none. */
export async function writeConf(confDir: string, name: string, conf: object): Promise<void> {
  const next = join(confDir, `.${name}.tmp`);
  await writeFile(next, JSON.stringify(conf), { mode: 0o600 });
  await rename(next, join(confDir, name));
}

function searchPath(programs: string | undefined): string {
  const path = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  return programs === undefined ? path : `${programs}:${path}`;
}

function daemonPid(isolation: Isolation): number {
  const [pid] = isolation.processes("containerd");
  if (pid === undefined) throw new Error("containerd is not running");
  return pid;
}

async function start(
  isolation: Isolation,
  logPath: string,
  env: Readonly<Record<string, string | undefined>>,
  configPath: string,
  cri: Cri,
): Promise<Background> {
  const [enter = "", ...inside] = isolation.enterRuntime;
  const child = background(enter, [...inside, "containerd", "--config", configPath], { logPath, env });
  let ended: number | string | undefined;
  const watch = async (): Promise<void> => {
    ended = await child.ended;
  };
  void watch();
  await until(
    "containerd answers",
    async () => {
      if (ended !== undefined) throw new Error(`containerd ended with ${ended}:\n${child.output()}`);
      const conditions = await cri.conditions().catch(() => []);
      return conditions.some(({ type, status }) => type === "RuntimeReady" && status);
    },
    START_TIMEOUT_MS,
    20,
  ).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${String(error)}\n${child.output()}`);
  });
  return child;
}

/**
 * The snapshots are plain copies: that works on every file system, and the image has some hundred bytes. The rest is what a
 * process without the right to set resource limits or to change AppArmor needs.
 */
function configOf(pluginDir: string, confDir: string): string {
  return `version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${pluginDir}"
    conf_dir = "${confDir}"
`;
}

/** The first line of `containerd --version`; undefined where there is none. */
export async function containerdVersion(programs?: string): Promise<string | undefined> {
  const ran = await run("containerd", ["--version"], { env: { PATH: searchPath(programs) } });
  return ran.status === 0 ? ran.stdout.trim() : undefined;
}
