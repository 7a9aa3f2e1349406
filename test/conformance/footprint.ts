/**
 * What is in a network namespace and in a plugin's own directories, in words that two looks can be compared by. Left out
 * is what the kernel changes on its own.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import { run } from "../harness/process.ts";
import { type JsonObject, objectOf, objectsOf, parseJson } from "./target.ts";

/** Sorted lines, each with the kind of thing as its first word. */
export type Footprint = readonly string[];

const QUERIES = ["link show", "addr show", "route show table all", "rule show", "neigh show nud permanent"];

/** Of one network namespace. */
export async function footprintOf(namespace: string): Promise<Footprint> {
  const inside = ["-n", namespace];
  const [four, six, ruleset] = await Promise.all([
    run("ip", [...inside, "-j", "-d", "-batch", "-"], { stdin: `${QUERIES.join("\n")}\n` }),
    run("ip", [...inside, "-6", "-j", "rule", "show"]),
    run("nsenter", [`--net=/run/netns/${namespace}`, "--", "nft", "list", "ruleset"]),
  ]);
  const [links, addresses, routes, rules, neighbours] = four.stdout
    .split("\n")
    .map((text) => objectsOf(parseJson(text)));
  return [
    ...(links ?? []).map((link) => line("link", linkWords(link))),
    ...(addresses ?? []).flatMap((link) =>
      objectsOf(link["addr_info"]).map((address) =>
        line("address", { dev: link["ifname"], ...addressWords(address) }),
      ),
    ),
    ...(routes ?? []).map((route) => line("route", pick(route, ROUTE_WORDS))),
    ...(rules ?? []).map((rule) => line("rule", rule)),
    ...objectsOf(parseJson(six.stdout)).map((rule) => line("rule6", rule)),
    ...(neighbours ?? []).map((neighbour) => line("neighbour", pick(neighbour, ["dst", "dev", "lladdr"]))),
    ...nftWords(ruleset.stdout),
  ]
    .filter((text) => !text.includes("fe80:") && !text.includes("ff00::/8"))
    .sort();
}

/** The names of files in `directories`, whole trees, but for locks and the note of the address that was given last. */
export async function filesIn(directories: readonly string[]): Promise<Footprint> {
  const found: string[] = [];
  for (const directory of directories) {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (!entry.isFile() || entry.name === "lock" || entry.name.startsWith("last_reserved_ip")) continue;
      found.push(`file ${entry.parentPath}/${entry.name}`);
    }
  }
  return found.sort();
}

/** A line for each thing that came (+) or went (-). */
export function differences(before: Footprint, after: Footprint): string[] {
  const [was, is] = [new Set(before), new Set(after)];
  return [
    ...after.filter((text) => !was.has(text)).map((text) => `+ ${text}`),
    ...before.filter((text) => !is.has(text)).map((text) => `- ${text}`),
  ];
}

const LINK_WORDS = ["ifname", "ifindex", "mtu", "master", "link", "qdisc", "group", "ifalias"];
const ROUTE_WORDS = ["type", "dst", "gateway", "dev", "table", "scope", "prefsrc", "metric", "protocol"];

function linkWords(link: JsonObject): JsonObject {
  const kind = objectOf(link["linkinfo"])["info_kind"];
  const isUp = Array.isArray(link["flags"]) && link["flags"].includes("UP");
  // A bridge takes the address of one of its ports.
  return { ...pick(link, LINK_WORDS), kind, isUp, ...(kind !== "bridge" && { mac: link["address"] }) };
}

function addressWords(address: JsonObject): JsonObject {
  return pick(address, ["local", "address", "prefixlen", "scope"]);
}

/** Each rule with its table and chain; counters are left out. */
function nftWords(ruleset: string): string[] {
  const path: string[] = [];
  const words: string[] = [];
  for (const raw of ruleset.split("\n")) {
    const text = raw.trim().replaceAll(/ ?packets \d+ bytes \d+/g, "");
    if (text === "" || text.startsWith("#")) continue;
    if (text === "}") path.pop();
    else if (text.endsWith(" {")) {
      path.push(text.slice(0, -2));
      words.push(`nft ${path.join(" / ")}`);
    } else {
      const elements = text.replace(/^elements = \{ /, "").replace(/[ ,}]+$/, "");
      words.push(...elements.split(", ").map((element) => `nft ${[...path, element].join(" / ")}`));
    }
  }
  return words;
}

function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(keys.flatMap((key) => (object[key] === undefined ? [] : [[key, object[key]]])));
}

function line(kind: string, words: JsonObject): string {
  return `${kind} ${JSON.stringify(words)}`;
}
