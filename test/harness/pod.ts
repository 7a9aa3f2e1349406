/**
 * A pod as the runtime makes it: a network namespace, and the plugin executed in it.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { must, type Ran, run } from "./process.ts";
import { program } from "./programs.ts";

export type Pod = {
  readonly name: string;
  /** Name of its network namespace. */
  readonly namespace: string;
  readonly containerId: string;
  /** CNI configuration on stdin. */
  readonly conf: string;
};

export type Attached = {
  readonly address: string;
  readonly hostName: string;
  readonly result: CniResult;
  /** Of the whole exec. */
  readonly tookMs: number;
};

export type CniResult = {
  readonly cniVersion: string;
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
  readonly ips: readonly {
    readonly address: string;
    readonly gateway?: string;
    readonly interface: number;
  }[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
};

/** The CNI configuration as the runtime passes it on: the ConfigMap's 10-terway.conf plus where `startAgent` put the agent. */
export function confFor(cniConf: string, socketPath: string): string {
  const conf: unknown = JSON.parse(cniConf);
  const spool = join(dirname(dirname(socketPath)), "state/spool");
  return JSON.stringify({
    ...(typeof conf === "object" ? conf : {}),
    agent_socket: socketPath,
    spool_dir: spool,
  });
}

/** `ip netns add`. */
export async function createPod(pod: Pod): Promise<void> {
  await must("ip", ["netns", "add", pod.namespace]);
}

export async function deletePodNamespace(pod: Pod): Promise<void> {
  await run("ip", ["netns", "delete", pod.namespace]);
}

/** Executes the plugin with the environment that containerd gives it; `prefix` is a command that executes it. */
export async function plugin(
  command: string,
  pod: Pod,
  extra: Readonly<Record<string, string>> = {},
  prefix: readonly string[] = [],
): Promise<Ran> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: `/run/netns/${pod.namespace}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
    ...extra,
  };
  const [file, ...args] = [...prefix, program("terway")] as const;
  return run(file, args, { env, stdin: pod.conf });
}

/** ADD that has to succeed; the error shows what the plugin printed. */
export async function addPod(pod: Pod): Promise<Attached> {
  const ran = await plugin("ADD", pod);
  if (ran.status !== 0) throw new Error(`ADD of ${pod.name}: ${ran.stdout}${ran.stderr}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- test/cni.root.test.ts checks the shape
  const result = JSON.parse(ran.stdout) as CniResult;
  const address = result.ips[0]?.address.split("/")[0] ?? "";
  return { address, hostName: result.interfaces[0]?.name ?? "", result, tookMs: ran.tookMs };
}

/** CNI's "try again later" as `addPod` shows it. */
const AGAIN = '"code":11,';
const ADD_TRIES = 8;
/** As kubelet, roughly. */
const AGAIN_AFTER_MS = 2000;

/** As a runtime does on a busy machine: an ADD that says "try again later" is tried again later after a DEL, a few times. */
export async function addPodAtLast(pod: Pod): Promise<Attached> {
  for (let tries = 1; ; tries++) {
    try {
      return await addPod(pod);
    } catch (error) {
      if (tries === ADD_TRIES || !String(error).includes(AGAIN)) throw error;
      await delPod(pod);
      await sleep(AGAIN_AFTER_MS);
    }
  }
}

/** DEL that has to succeed. */
export async function delPod(pod: Pod): Promise<Ran> {
  const ran = await plugin("DEL", pod);
  if (ran.status !== 0) throw new Error(`DEL of ${pod.name}: ${ran.stdout}${ran.stderr}`);
  return ran;
}
