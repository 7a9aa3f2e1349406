/**
 * Who is measured: our plugin, and the reference plugins of the CNI project (Debian's containernetworking-plugins) as
 * peers. All are executed in the same way: `nsenter` into a node's network namespace, the configuration on stdin, the
 * environment that a runtime gives.
 *
 * @module
 */
import { join } from "node:path";
import { type Ran, run } from "../test/harness/process.ts";
import { program } from "../test/harness/programs.ts";

const CNI_PATH = "/usr/lib/cni";

/** One container: its id and the name of its network namespace. */
export type Container = { readonly id: string; readonly netns: string };

export type Contender = {
  readonly name: string;
  /** ADD or DEL; `tookMs` is that of the whole exec. Throws with what was printed where the status is not 0. */
  readonly exec: (verb: "ADD" | "DEL", container: Container) => Promise<Ran>;
};

/** `terway`. `node`: namespace in which the plugin runs; `conf`: its configuration, with the agent's socket. */
export function openOurs(node: string, conf: string): Contender {
  return open("ours", [program("terway")], node, conf);
}

/** A peer with host-local addresses, whose leases are kept below `directory`. */
export function openPeer(name: "ptp" | "bridge", directory: string, node: string): Contender {
  const subnet = name === "ptp" ? "10.77.0.0/16" : "10.78.0.0/16";
  const conf = {
    cniVersion: "1.0.0",
    name: `bench-${name}`,
    type: name,
    ...(name === "bridge" && { bridge: "bench0", isGateway: true }),
    ipam: {
      type: "host-local",
      dataDir: join(directory, name),
      ranges: [[{ subnet }]],
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
  return open(name, [join(CNI_PATH, name)], node, JSON.stringify(conf));
}

/** Programs that do nothing: what executing any costs here, and what executing Node costs, whatever it does. */
export function openFloors(node: string): Contender[] {
  return [
    open("floor: true", ["/bin/true"], node, "{}"),
    open("floor: node, empty program", [process.execPath, "--eval", ""], node, "{}"),
  ];
}

function open(name: string, command: readonly string[], node: string, conf: string): Contender {
  return {
    name,
    async exec(verb, { id, netns }) {
      const env = {
        PATH: process.env["PATH"] ?? "",
        CNI_COMMAND: verb,
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${netns}`,
        CNI_IFNAME: "eth0",
        CNI_PATH,
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id};K8S_POD_INFRA_CONTAINER_ID=${id}`,
      };
      const ran = await run("nsenter", [`--net=/run/netns/${node}`, ...command], { env, stdin: conf });
      if (ran.status !== 0) throw new Error(`${name} ${verb} of ${id}: ${ran.stdout}${ran.stderr}`);
      return ran;
    },
  };
}
