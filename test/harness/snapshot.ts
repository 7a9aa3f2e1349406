/**
 * What a machine's network and directories look like, to prove that nothing was left or changed.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import { run } from "./process.ts";

/** Title -> text. */
export type Snapshot = Readonly<Record<string, string>>;

/** In /var/run: whoever is the first makes them, and the last one removes them. */
const SHARED: readonly string[] = ["netns", "terway-sim"];

/** Of the machine itself. */
export async function hostSnapshot(): Promise<Snapshot> {
  const [netns, rest, runDirectory, etc, temporary] = await Promise.all([
    run("ip", ["netns"]),
    networkSnapshot([]),
    readdir("/var/run"),
    readdir("/etc"),
    readdir("/tmp"),
  ]);
  return {
    "ip netns": netns.stdout,
    ...rest,
    "/var/run": runDirectory.sort().join("\n"),
    "/etc": etc.sort().join("\n"),
    "/tmp/terway-*": temporary
      .filter((name) => name.startsWith("terway-"))
      .sort()
      .join("\n"),
  };
}

/** Of one namespace; `prefix` is the command that enters it: ["ip", "netns", "exec", NAME]. */
export async function networkSnapshot(prefix: readonly string[]): Promise<Snapshot> {
  const ask = async (...command: string[]): Promise<string> => {
    const [file = "", ...args] = [...prefix, ...command];
    return (await run(file, args)).stdout;
  };
  const [link, address, rule, route, ruleset, ipv4] = await Promise.all([
    ask("ip", "-o", "link"),
    ask("ip", "-o", "address"),
    ask("ip", "rule"),
    ask("ip", "route", "show", "table", "all"),
    ask("nft", "list", "ruleset"),
    ask(
      "sh",
      "-c",
      "grep -H . /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/ip_forward",
    ),
  ]);
  return {
    "ip link": link,
    "ip address": withoutLinkLocal(address.replaceAll(/valid_lft \S+ preferred_lft \S+/g, "")),
    "ip rule": rule,
    "ip route": withoutLinkLocal(route),
    "nft list ruleset": ruleset,
    "sysctl net.ipv4": ipv4,
  };
}

/** The kernel makes fe80:: addresses on its own, some seconds after a link came up (duplicate address detection). */
function withoutLinkLocal(text: string): string {
  return text
    .split("\n")
    .filter((line) => !line.includes("fe80::"))
    .join("\n");
}

/** One line for each title that differs, with the lines that came (+) and went (-). Empty: the same. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  return Object.keys(before).flatMap((title) => {
    const was = new Set((before[title] ?? "").split("\n"));
    const is = new Set((after[title] ?? "").split("\n"));
    const came = [...is].filter((line) => !was.has(line)).map((line) => `+ ${line}`);
    const went = [...was].filter((line) => !is.has(line)).map((line) => `- ${line}`);
    return came.length + went.length === 0 ? [] : [`${title}: ${[...came, ...went].join(" | ")}`];
  });
}

/**
 * What changed on the machine itself. Of namespaces only those that begin with `name` count: those of programs that run
 * beside this one are theirs, and so are their temporary directories, and the directories that hold namespaces and
 * simulators.
 */
export function machineChanges(before: Snapshot, after: Snapshot, name: string): string[] {
  const isAlone = [before, after].every(
    (snapshot) => linesWhere(snapshot["ip netns"], (line) => line !== "" && !line.startsWith(name)) === "",
  );
  const own = (snapshot: Snapshot): Snapshot => ({
    ...snapshot,
    "ip netns": linesWhere(snapshot["ip netns"], (line) => line.startsWith(name)),
    "/var/run": linesWhere(snapshot["/var/run"], (line) => isAlone || !SHARED.includes(line)),
    "/tmp/terway-*": "",
  });
  return differences(own(before), own(after));
}

function linesWhere(text: string | undefined, isOne: (line: string) => boolean): string {
  return (text ?? "").split("\n").filter(isOne).join("\n");
}
