/**
 * Who is measured: our plugin, and the reference plugins of the CNI project (Debian's containernetworking-plugins) as
 * peers. All are executed in the same way: in a node's network namespace, the configuration on stdin, the environment
 * that a runtime gives.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Ran, run } from "../test/harness/process.ts";
import { program } from "../test/harness/programs.ts";
import { type Program } from "./spawn-lines.ts";

const CNI_PATH = "/usr/lib/cni";

/** One container: its id and the name of its network namespace. */
export type Container = { readonly id: string; readonly netns: string };

export type Verb = "ADD" | "DEL";

export type Contender = {
  readonly name: string;
  /** What a runtime executes. */
  readonly program: (verb: Verb, container: Container) => Program;
  /** Executes it from here, some milliseconds slower than a spawner. Throws with what was printed where the status is not 0. */
  readonly exec: (verb: Verb, container: Container) => Promise<Ran>;
};

export type ContenderOptions = {
  readonly name: string;
  readonly argv: readonly string[];
  /** Name of the network namespace in which the program runs. */
  readonly node: string;
  /** Text of the configuration. */
  readonly conf: string;
  /** The configuration is written below it. */
  readonly directory: string;
};

/** `terway`. `conf`: with the agent's socket. */
export function openOurs(node: string, conf: string, directory: string): Contender {
  return openContender({ name: "ours", argv: [program("terway")], node, conf, directory });
}

/** A peer with host-local addresses, whose leases are kept below `directory`; each node has its own. */
export function openPeer(type: "ptp" | "bridge", directory: string, node: string): Contender {
  const subnet = type === "ptp" ? "10.77.0.0/16" : "10.78.0.0/16";
  const conf = {
    cniVersion: "1.0.0",
    name: `bench-${type}`,
    type,
    ...(type === "bridge" && { bridge: "bench0", isGateway: true }),
    ipam: {
      type: "host-local",
      dataDir: join(directory, `${type}-${node}`),
      ranges: [[{ subnet }]],
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
  const argv = [join(CNI_PATH, type)];
  return openContender({ name: type, argv, node, conf: JSON.stringify(conf), directory });
}

/** A program that does nothing: what executing any costs here. */
export function openFloor(node: string, directory: string): Contender {
  return openContender({ name: "floor: true", argv: ["/bin/true"], node, conf: "{}", directory });
}

/** Any program with the environment of a CNI plugin. */
export function openContender({ name, argv, node, conf, directory }: ContenderOptions): Contender {
  const stdinPath = join(directory, `${name.replaceAll(/\W+/g, "-")}-${node}.conf`);
  writeFileSync(stdinPath, conf);
  return {
    name,
    program: (verb, container) => ({
      netns: `/run/netns/${node}`,
      stdinPath,
      argv,
      env: envOf(verb, container),
    }),
    async exec(verb, container) {
      const env = envOf(verb, container);
      const ran = await run("nsenter", [`--net=/run/netns/${node}`, ...argv], { env, stdin: conf });
      if (ran.status !== 0) throw new Error(`${name} ${verb} of ${container.id}: ${ran.stdout}${ran.stderr}`);
      return ran;
    },
  };
}

function envOf(verb: Verb, { id, netns }: Container): Readonly<Record<string, string>> {
  return {
    PATH: process.env["PATH"] ?? "",
    CNI_COMMAND: verb,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${netns}`,
    CNI_IFNAME: "eth0",
    CNI_PATH,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id};K8S_POD_INFRA_CONTAINER_ID=${id}`,
  };
}
