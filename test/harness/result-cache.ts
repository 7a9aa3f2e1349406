/**
 * The runtime's result cache, as libcni keeps it; the plugin is executed without libcni here.
 *
 * @module
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Attached, type Pod } from "./pod.ts";

/** Keeps what ADD has answered; `directory` is libcni's CacheDir. */
export async function keepResult(directory: string, pod: Pod, attached: Attached): Promise<void> {
  await mkdir(join(directory, "results"), { recursive: true });
  const { name: networkName } = nameOf(pod);
  const entry = {
    kind: "cniCacheV1",
    containerId: pod.containerId,
    config: Buffer.from(pod.conf).toString("base64"),
    ifName: "eth0",
    networkName,
    netns: `/run/netns/${pod.namespace}`,
    cniArgs: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", pod.name],
    ],
    result: attached.result,
  };
  await writeFile(fileOf(directory, pod), JSON.stringify(entry));
}

/** As after a DEL that has succeeded. */
export async function forgetResult(directory: string, pod: Pod): Promise<void> {
  await rm(fileOf(directory, pod), { force: true });
}

function fileOf(directory: string, pod: Pod): string {
  return join(directory, "results", `${nameOf(pod).name}-${pod.containerId}-eth0`);
}

function nameOf(pod: Pod): { readonly name: string } {
  const conf: unknown = JSON.parse(pod.conf);
  if (typeof conf !== "object" || conf === null || !("name" in conf) || typeof conf.name !== "string")
    throw new Error("the pod's configuration has no name");
  return { name: conf.name };
}
