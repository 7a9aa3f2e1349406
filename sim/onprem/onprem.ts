/**
 * A simulated on-premises network on real kernel links, for hybrid nodes:
 *
 *     node-1 eth0 ----- port0 \
 *     node-2 eth0 ----- port1 - br0 rack-1 \
 *                                           router ----- eth0 outside (no route but to the racks)
 *     node-3 ens192 --- port2 - br1 rack-2 /
 *
 * Nodes, router and outside are network namespaces. The router knows its subnets and nothing of pods. Made with `ip` and
 * with no code of the agent.
 *
 * @module
 */
import * as z from "zod";
import { namespacesTaken, removeNamespaces } from "../fabric/fabric.ts";
import { sysctlScript } from "../fabric/router.ts";
import { type Ran, runProgram } from "../fabric/run.ts";
import { NETNS_DIRECTORY } from "../fabric/shape.ts";
import { type Capture, openCapture } from "./capture.ts";
import {
  planSiteNamespaces,
  planSiteNode,
  planSiteOutside,
  planSiteRouter,
  SITE_ROUTER_SYSCTLS,
  siteNodeSysctls,
} from "./plan.ts";
import { namespacesOfSite, type OnPremNode, type OnPremSpec, type Site, siteOf } from "./site.ts";

/** A network that stands. `dispose` removes all of it. */
export type OnPrem = AsyncDisposable & {
  readonly site: Site;
  /** @throws Error where there is none of this name. */
  node(name: string): OnPremNode;
  /**
   * Runs a command on a node, on `router` or on `outside`, with `/sys` of the machine. Never rejects; it is killed after
   * 10 seconds. For what takes longer, enter the node's namespace.
   */
  run(host: string, ...command: readonly [string, ...string[]]): Promise<Ran>;
  /** As `run`, and gives its output. Rejects with its words where it fails. */
  must(host: string, ...command: readonly [string, ...string[]]): Promise<string>;
  /** Pulls the node's cable out at the router's end: its uplink loses the carrier. */
  unplug(node: string): Promise<void>;
  plug(node: string): Promise<void>;
  /**
   * Captures at the cable of a node (lines begin with its name and `>` where it sends, `<` where it receives), or all that
   * enters a subnet (lines begin with who sent, a node or `router`). Ends with the network at the latest.
   */
  capture(where: string, filter?: { readonly udpPort?: number }): Promise<Capture>;
};

const linkSchema = z.array(z.object({ ifname: z.string(), ifindex: z.number() }));

/**
 * Makes the network. Needs root.
 *
 * @throws Error where the specification is wrong, a namespace of one of its names exists (it stays untouched), or a
 * program fails (what was made is removed).
 */
export async function openOnPrem(spec: OnPremSpec): Promise<OnPrem> {
  const site = siteOf(spec);
  const taken = await namespacesTaken(namespacesOfSite(site));
  if (taken.length > 0) throw new Error(`network namespaces of these names exist: ${taken.join(", ")}`);
  try {
    await build(site);
    return driven(site, await indexes(site));
  } catch (cause) {
    await removeNamespaces(namespacesOfSite(site), runProgram);
    throw cause;
  }
}

async function build(site: Site): Promise<void> {
  await batch(undefined, planSiteNamespaces(site));
  await sysctls(site.routerNamespace, SITE_ROUTER_SYSCTLS);
  for (const { namespace } of [site.outside, ...site.nodes]) {
    await sysctls(namespace, siteNodeSysctls(site.rpFilter));
  }
  await batch(site.routerNamespace, planSiteRouter(site));
  await batch(site.outside.namespace, planSiteOutside(site));
  for (const node of site.nodes) await batch(node.namespace, planSiteNode(node));
}

function driven(site: Site, indexOf: ReadonlyMap<string, number>): OnPrem {
  const captures = new Set<Capture>();
  const node = (name: string): OnPremNode => {
    const found = site.nodes.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}`);
    return found;
  };
  const run: OnPrem["run"] = (host, ...command) =>
    runProgram(inside(hostNamespace(site, host), ...command), "");
  const must: OnPrem["must"] = async (host, ...command) => {
    const ran = await run(host, ...command);
    if (ran.status === 0) return ran.stdout;
    throw new Error(`${command.join(" ")} on ${host}: ${ran.stderr.trim() || `exit status ${ran.status}`}`);
  };
  const cable = async (name: string, state: "up" | "down"): Promise<void> => {
    await must("router", "ip", "link", "set", node(name).port, state);
  };
  return {
    site,
    node,
    run,
    must,
    unplug: (name) => cable(name, "down"),
    plug: (name) => cable(name, "up"),
    capture: async (where, filter = {}) => {
      const taps = tapsOf(site, where).map(({ device, direction, label }) => ({
        ifIndex: indexOf.get(device) ?? 0,
        direction,
        label,
      }));
      const capture = await openCapture(site.routerNamespace, { taps, ...filter });
      captures.add(capture);
      return capture;
    },
    [Symbol.asyncDispose]: async () => {
      for (const capture of captures) await capture[Symbol.asyncDispose]();
      await removeNamespaces(namespacesOfSite(site), runProgram);
    },
  };
}

type Tap = { readonly device: string; readonly direction: "in" | "out"; readonly label: string };

/** A packet of a subnet comes in by the port of the node that sent it, or goes out by the bridge, if the router did. */
function tapsOf(site: Site, where: string): readonly Tap[] {
  const node = site.nodes.find(({ name }) => name === where);
  if (node !== undefined) {
    return [
      { device: node.port, direction: "in", label: `${node.name} >` },
      { device: node.port, direction: "out", label: `${node.name} <` },
    ];
  }
  const subnet = site.subnets.find(({ name }) => name === where);
  if (subnet === undefined) throw new Error(`there is no node and no subnet ${where}`);
  return [
    { device: subnet.bridge, direction: "out", label: "router" },
    ...site.nodes
      .filter((candidate) => candidate.subnet.name === where)
      .map(({ name, port }) => ({ device: port, direction: "in" as const, label: name })),
  ];
}

async function indexes(site: Site): Promise<ReadonlyMap<string, number>> {
  const ran = await succeed(["ip", "-n", site.routerNamespace, "-j", "link", "show"], "");
  return new Map(linkSchema.parse(JSON.parse(ran.stdout)).map(({ ifname, ifindex }) => [ifname, ifindex]));
}

function hostNamespace(site: Site, host: string): string {
  if (host === "router") return site.routerNamespace;
  if (host === "outside") return site.outside.namespace;
  const found = site.nodes.find(({ name }) => name === host);
  if (found === undefined) throw new Error(`there is no host ${host}`);
  return found.namespace;
}

async function batch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ["-n", namespace];
  await succeed(["ip", ...where, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
}

async function sysctls(namespace: string, settings: Readonly<Record<string, number>>): Promise<void> {
  await succeed(inside(namespace, "sh", "-s"), sysctlScript(settings));
}

function inside(namespace: string, ...command: readonly string[]): [string, ...string[]] {
  return ["nsenter", `--net=${NETNS_DIRECTORY}/${namespace}`, ...command];
}

async function succeed(command: readonly [string, ...string[]], input: string): Promise<Ran> {
  const ran = await runProgram(command, input);
  if (ran.status === 0) return ran;
  throw new Error(`${command.join(" ")}: ${ran.stderr.trim() || `exit status ${ran.status}`}`);
}
