/**
 * Network namespaces of the suite: the one that stands for the node's, and those of pods; and ip(8) in them.
 *
 * @module
 */
import { must, run } from "../harness/process.ts";
import { type JsonObject, objectsOf, parseJson, textOf } from "./target.ts";

/** A link for plugins that need one of the node's, such as macvlan's "master". */
export const UPLINK = "uplink0";

/** Makes a namespace as a node's: loopback and `UPLINK` are up. 192.0.2.0/24: RFC 5737. */
export async function makeNode(namespace: string): Promise<void> {
  await must("ip", ["netns", "add", namespace]);
  const inside = ["-n", namespace];
  await must("ip", [...inside, "link", "set", "lo", "up"]);
  await makeLink(namespace, UPLINK);
  await must("ip", [...inside, "address", "add", "192.0.2.1/24", "dev", UPLINK]);
  await must("ip", [...inside, "link", "set", UPLINK, "up"]);
  await must("ip", [...inside, "link", "set", `${UPLINK}-peer`, "up"]);
}

/** A link that every kernel has: one end of a veth pair, down, both ends in the namespace. */
export async function makeLink(namespace: string, name: string): Promise<void> {
  await must("ip", ["-n", namespace, "link", "add", name, "type", "veth", "peer", "name", `${name}-peer`]);
}

export async function makeNamespace(namespace: string): Promise<void> {
  await must("ip", ["netns", "add", namespace]);
}

/** No matter whether it is there. */
export async function removeNamespace(namespace: string): Promise<void> {
  await run("ip", ["netns", "delete", namespace]);
}

/** The namespaces whose names begin so. */
export async function namespacesOf(prefix: string): Promise<string[]> {
  const names = (await must("ip", ["netns"])).split("\n").map((text) => text.split(" ")[0] ?? "");
  return names.filter((name) => name.startsWith(prefix)).sort();
}

/** ip(8) in a namespace; throws where it fails. */
export async function ip(namespace: string, ...words: readonly string[]): Promise<string> {
  return must("ip", ["-n", namespace, ...words]);
}

/** `ip -j WORDS` in a namespace, as objects; empty where it fails. */
export async function ipJson(namespace: string, ...words: readonly string[]): Promise<readonly JsonObject[]> {
  return objectsOf(parseJson((await run("ip", ["-n", namespace, "-j", ...words])).stdout));
}

export async function hasLink(namespace: string, name: string): Promise<boolean> {
  return (await ipJson(namespace, "link", "show")).some((link) => link["ifname"] === name);
}

/** "ADDRESS/LENGTH" of a link, without the kernel's own of IPv6. */
export async function addressesOn(namespace: string, name: string): Promise<string[]> {
  const links = await ipJson(namespace, "address", "show");
  return links
    .filter((link) => link["ifname"] === name)
    .flatMap((link) => objectsOf(link["addr_info"]))
    .map((address) => `${textOf(address["local"])}/${String(address["prefixlen"])}`)
    .filter((address) => !address.startsWith("fe80:"));
}
