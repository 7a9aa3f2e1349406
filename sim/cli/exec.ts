/**
 * `terway-sim exec`: a program of any kind in the network namespace of a node.
 *
 * @module
 */
import { ok } from "../../proto/result.ts";
import { simulatorOf, NAME_OPTION } from "./name.ts";
import { unknownWord } from "./options.ts";
import { findProgram } from "./programs.ts";
import { usageFailure, type Verb, verbFailure } from "./verb.ts";

/**
 * `exec NODE -- COMMAND…`. The process becomes `ip netns exec`, which becomes the command: terminal, signals and exit
 * status are the command's own.
 */
export const exec: Verb = {
  name: "exec",
  usage: "[--name N] NODE -- COMMAND…",
  summary: "run a program in a node, given by its name, instance id or namespace",
  options: NAME_OPTION,
  run: async (line) => {
    const [wanted, ...more] = line.positionals;
    if (wanted === undefined) return usageFailure("exec needs a node: terway-sim exec NODE -- COMMAND…");
    if (more.length > 0 || line.rest === undefined) {
      return usageFailure(
        `put -- before the command: terway-sim exec ${wanted} -- ${more.join(" ") || "COMMAND…"}`,
      );
    }
    if (line.rest.length === 0) return usageFailure("exec needs a command after --");
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    const { nodes } = record.value;
    const node = nodes.find(({ node, instance, namespace }) => [node, instance, namespace].includes(wanted));
    const names = nodes.map(({ node }) => node);
    if (node === undefined) return usageFailure(unknownWord("node", wanted, names));
    const ip = await findProgram("ip");
    if (ip === undefined)
      return verbFailure("not found in PATH: ip; on Debian and Ubuntu: apt-get install iproute2");
    process.execve?.(ip, ["ip", "netns", "exec", node.namespace, ...line.rest], process.env);
    return ok("");
  },
};
