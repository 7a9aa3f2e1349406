/**
 * The peers on the same machine: reference plugins of the CNI project (Debian's containernetworking-plugins), executed
 * with the same environment as ours.
 *
 * @module
 */
import { join } from "node:path";
import { type Ran, run } from "../test/harness/process.ts";

const CNI_PATH = "/usr/lib/cni";

export type Peer = {
  readonly name: string;
  /** ADD or DEL of one container in a namespace; the time is that of the whole exec. */
  readonly exec: (command: "ADD" | "DEL", containerId: string, netns: string) => Promise<Ran>;
};

/** `directory`: where host-local keeps its leases. `node`: the namespace in which the plugin runs, as on a node. */
export function openPeer(name: "ptp" | "bridge", directory: string, node: string): Peer {
  const subnet = name === "ptp" ? "10.77.0.0/16" : "10.78.0.0/16";
  const conf = JSON.stringify({
    cniVersion: "1.0.0",
    name: `bench-${name}`,
    type: name,
    ...(name === "bridge" && { bridge: "bench0", isGateway: true }),
    ipam: { type: "host-local", dataDir: join(directory, name), ranges: [[{ subnet }]], routes: [{ dst: "0.0.0.0/0" }] },
  });
  return {
    name,
    async exec(command, containerId, netns) {
      const env = {
        PATH: process.env["PATH"] ?? "",
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: `/run/netns/${netns}`,
        CNI_IFNAME: "eth0",
        CNI_PATH,
      };
      const ran = await run("nsenter", [`--net=/run/netns/${node}`, join(CNI_PATH, name)], { env, stdin: conf });
      if (ran.status !== 0) throw new Error(`${name} ${command}: ${ran.stdout}${ran.stderr}`);
      return ran;
    },
  };
}
