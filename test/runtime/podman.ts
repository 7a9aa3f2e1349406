/**
 * podman with a CNI network on a node of its own (isolation.ts): a runtime that calls plugins by libcni of its own.
 *
 * @module
 */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { must, type Ran, run } from "../harness/process.ts";
import { pauseImage } from "./image.ts";
import { type Isolation } from "./isolation.ts";

export type Podman = {
  /** `podman ARGUMENTS…`. */
  readonly call: (...args: readonly string[]) => Promise<Ran>;
  /** The same, has to succeed; what it printed. */
  readonly must: (...args: readonly string[]) => Promise<string>;
};

/** Limits below the machine's, which a process without CAP_SYS_RESOURCE cannot raise; no log of systemd. */
const CONTAINERS_CONF = `
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="runc"
[containers]
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
apparmor_profile="unconfined"
`;

const STORAGE_CONF = `[storage]
driver="vfs"
runroot="/run/containers/storage"
graphroot="/var/lib/containers/storage"
`;

/** Why podman cannot be used here; undefined where it can. */
export async function missingPodman(): Promise<string | undefined> {
  const version = await run("podman", ["--version"]);
  if (version.status !== 0) return "there is no podman: pkg-config/setup.sh podman installs it";
  const major = Number(/(\d+)\./.exec(version.stdout)?.[1] ?? 0);
  return major < 5 ? undefined : `${version.stdout.trim()} has no CNI networks, only versions before 5 have`;
}

/** `plugin` is what it finds as `terway`, `conf` the list of its network; imports the image. Throws with what podman said. */
export async function openPodman(
  isolation: Isolation,
  directory: string,
  plugin: string,
  conf: object,
): Promise<Podman> {
  const networks = join(directory, "net.d");
  const plugins = join(directory, "plugins");
  await mkdir(networks, { recursive: true });
  await mkdir(plugins);
  await symlink(plugin, join(plugins, "terway"));
  await writeFile(join(networks, "10-terway.conflist"), JSON.stringify(conf));
  const file = (name: string): string => join(directory, name);
  const network = `[network]
network_backend="cni"
cni_plugin_dirs=["${plugins}"]
network_config_dir="${networks}"
`;
  await writeFile(file("containers.conf"), network + CONTAINERS_CONF);
  await writeFile(file("storage.conf"), STORAGE_CONF);
  await writeFile(file("pause.tar"), pauseImage(process.arch));
  const env = {
    PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`,
    TMPDIR: directory,
    CONTAINERS_CONF: file("containers.conf"),
    CONTAINERS_STORAGE_CONF: file("storage.conf"),
  };
  const [enter = "", ...inside] = isolation.enterRuntime;
  const podman: Podman = {
    call: async (...args) => run(enter, [...inside, "podman", ...args], { env }),
    must: async (...args) => must(enter, [...inside, "podman", ...args], { env }),
  };
  await podman.must("load", "--input", file("pause.tar"));
  return podman;
}
