/**
 * The data plane of the simulated VPC on real kernel links: a router namespace and one namespace for each node, joined
 * by a veth pair for each plugged ENI. Made with `ip` and `nft`, and with no code of the agent, so that a mistake of the
 * agent's netlink code cannot hide in both.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import * as z from "zod";
import { type Ipv4 } from "../../proto/addr.ts";
import { type Ipv6 } from "../../proto/addr6.ts";
import { type InstanceId } from "../../proto/ids.ts";
import { type FabricChange, type FabricCounters } from "../model/fabric.ts";
import { type IpLine, planChanges, type Wiring, withoutPlugs } from "./plan.ts";
import {
  planNamespaces,
  planPrimary,
  planRouter,
  ROUTER_SYSCTLS,
  routerNft,
  sysctlScript,
} from "./router.ts";
import { batchFailures, type Ran, type Run } from "./run.ts";
import { type FabricShape, namespacesOf, NETNS_DIRECTORY, nodeNamespace, routerNamespace } from "./shape.ts";

/** A data plane that stands. */
export type Fabric = {
  /**
   * Carries out `changes` in order; calls are carried out one after the other; asking twice changes nothing.
   * Rejects with an Error that names each change that the kernel refused; the other changes are in effect then.
   */
  readonly apply: (changes: readonly FabricChange[]) => Promise<void>;
  /** Configures `eth0` of the node as the DHCP client of a cloud image does. Its ENI is plugged and allowed before. */
  readonly configurePrimary: (instance: InstanceId, address: Ipv4, ipv6?: Ipv6) => Promise<void>;
  /** Refused packets since the router was made. */
  readonly counters: () => Promise<FabricCounters>;
  /** The network namespace of each node: names for `ip netns`. */
  readonly nodes: ReadonlyMap<InstanceId, string>;
};

/**
 * Makes the namespaces and the router. Needs root.
 *
 * @throws Error with the words of the program that failed. What was made by then stays: `removeNamespaces`.
 */
export async function createNamespaces(shape: FabricShape, run: Run): Promise<void> {
  const router = routerNamespace(shape.name);
  await must(run(["ip", "-batch", "-"], text(planNamespaces(shape))), "making network namespaces");
  await must(run(inside(router, "sh", "-s"), sysctlScript(ROUTER_SYSCTLS)), `sysctls of ${router}`);
  await Promise.all([
    must(
      run(["ip", "-n", router, "-batch", "-"], text(planRouter(shape))),
      `addresses and routes of ${router}`,
    ),
    must(run(inside(router, "nft", "-f", "-"), routerNft(shape)), `nftables of ${router}`),
  ]);
}

/** Those of `namespaces` that are there already. */
export async function namespacesTaken(namespaces: readonly string[]): Promise<readonly string[]> {
  const there = await readdir(NETNS_DIRECTORY).catch((): readonly string[] => []);
  return namespaces.filter((namespace) => there.includes(namespace));
}

/** Removes the namespaces, and with them all links. One that is missing is no failure. */
export async function removeNamespaces(namespaces: readonly string[], run: Run): Promise<void> {
  const lines = namespaces.map((namespace) => `netns del ${namespace}`);
  const ran = await run(["ip", "-force", "-batch", "-"], text(lines));
  const failures = batchFailures(ran.stderr).filter(
    ({ message }) => !message.includes("No such file or directory"),
  );
  if (failures.length > 0) {
    throw new Error(`removing network namespaces: ${failures.map(({ message }) => message).join("; ")}`);
  }
}

/** Drives namespaces that `createNamespaces` made, and nothing was plugged in yet. */
export function driveFabric(shape: FabricShape, run: Run): Fabric {
  const router = routerNamespace(shape.name);
  const nodes = new Map(shape.nodes.map(({ instance, node }) => [instance, nodeNamespace(shape.name, node)]));
  let wiring: Wiring = new Map();
  let last: Promise<unknown> = Promise.resolve();

  async function applyNow(changes: readonly FabricChange[]): Promise<void> {
    const plan = planChanges(shape, wiring, changes);
    const { lines, lost } = await withoutLostNamespaces(plan.ip);
    const [ip, nft] = await Promise.all([
      lines.length === 0 ? undefined : run(["ip", "-n", router, "-force", "-batch", "-"], ipText(lines)),
      plan.nft.length === 0 ? undefined : run(inside(router, "nft", "-f", "-"), text(plan.nft)),
    ]);
    const refused = [...lost, ...(ip === undefined ? [] : refusedLines(lines, ip))];
    wiring = withoutPlugs(
      plan.wiring,
      refused.flatMap(({ plugs }) => plugs?.eni ?? []),
    );
    const problems = refused.map(({ what, message }) => `ip ${what}: ${message}`);
    if (nft !== undefined && nft.status !== 0) problems.push(`nft: ${nft.stderr.trim()}`);
    if (problems.length > 0) throw new Error(`the data plane refused: ${problems.join("; ")}`);
  }

  return {
    nodes,
    apply: (changes) => {
      const done = last.then(() => applyNow(changes));
      last = done.catch(() => undefined);
      return done;
    },
    configurePrimary: async (instance, address, ipv6) => {
      const namespace = nodes.get(instance);
      if (namespace === undefined) throw new Error(`no node stands for ${instance}`);
      const lines = planPrimary(shape, address, ipv6);
      await must(run(["ip", "-n", namespace, "-batch", "-"], text(lines)), `eth0 of ${namespace}`);
    },
    counters: async () => {
      const ran = await must(
        run(inside(router, "nft", "-j", "list", "counters"), ""),
        `counters of ${router}`,
      );
      return countersFrom(ran.stdout);
    },
  };
}

/**
 * Makes a data plane and drives it; removes it when it is disposed of, or when making it failed.
 *
 * @throws Error where a namespace of one of its names is there already: that one stays untouched.
 */
export async function openFabric(shape: FabricShape, run: Run): Promise<Fabric & AsyncDisposable> {
  const remove = (): Promise<void> => removeNamespaces(namespacesOf(shape), run);
  const taken = await namespacesTaken(namespacesOf(shape));
  if (taken.length > 0) throw new Error(`network namespaces of these names exist: ${taken.join(", ")}`);
  try {
    await createNamespaces(shape, run);
  } catch (cause) {
    await remove();
    throw cause;
  }
  return { ...driveFabric(shape, run), [Symbol.asyncDispose]: remove };
}

const nftCounters = z.object({
  nftables: z.array(
    z.object({
      counter: z.object({ family: z.string(), name: z.string(), packets: z.number() }).optional(),
    }),
  ),
});

/**
 * Reads the output of `nft -j list counters`.
 *
 * @throws Error where it is not that, or a counter of `routerNft` is missing.
 */
export function countersFrom(json: string): FabricCounters {
  const { nftables } = nftCounters.parse(JSON.parse(json));
  const packets = (family: string, name: string): number => {
    const found = nftables.find(({ counter }) => counter?.family === family && counter.name === name);
    if (found?.counter === undefined)
      throw new Error(`nftables counter ${name} of family ${family} is missing`);
    return found.counter.packets;
  };
  return {
    spoofedPackets: packets("ip", "spoofed"),
    spoofedArp: packets("arp", "spoofed"),
    spoofedIpv6: packets("ip6", "spoofed"),
    ipv6Packets: packets("ip6", "noise"),
  };
}

type Refused = { readonly what: string; readonly message: string; readonly plugs?: IpLine["plugs"] };

/** A namespace that somebody deleted would end the whole batch of `ip`, for the other nodes too. */
async function withoutLostNamespaces(
  planned: readonly IpLine[],
): Promise<{ readonly lines: readonly IpLine[]; readonly lost: readonly Refused[] }> {
  const wanted = planned.flatMap(({ plugs }) => plugs?.namespace ?? []);
  if (wanted.length === 0) return { lines: planned, lost: [] };
  const there = await namespacesTaken(wanted);
  const isLost = ({ plugs }: IpLine): boolean => plugs !== undefined && !there.includes(plugs.namespace);
  return {
    lines: planned.filter((line) => !isLost(line)),
    lost: planned.filter(isLost).map((line) => ({
      what: line.text,
      message: `the network namespace ${line.plugs?.namespace} is gone`,
      plugs: line.plugs,
    })),
  };
}

function refusedLines(lines: readonly IpLine[], ran: Ran): readonly Refused[] {
  if (ran.status === 0) return [];
  const failures = batchFailures(ran.stderr);
  if (failures.length === 0) return [{ what: "-batch", message: `exit status ${ran.status}` }];
  return failures.flatMap(({ line, message }): readonly Refused[] => {
    const planned = lines[line];
    if (planned === undefined) return [{ what: "-batch", message }];
    if (planned.tolerates.some((part) => message.includes(part))) return [];
    return [{ what: planned.text, message, plugs: planned.plugs }];
  });
}

/** `nsenter`, not `ip netns exec`, which costs 5 ms more for a mount namespace that nobody here needs. */
function inside(namespace: string, ...command: readonly string[]): [string, ...string[]] {
  return ["nsenter", `--net=${NETNS_DIRECTORY}/${namespace}`, ...command];
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function ipText(lines: readonly IpLine[]): string {
  return text(lines.map((line) => line.text));
}

async function must(running: Promise<Ran>, what: string): Promise<Ran> {
  const ran = await running;
  if (ran.status === 0) return ran;
  throw new Error(`${what}: ${ran.stderr.trim().replaceAll("\n", "; ") || `exit status ${ran.status}`}`);
}
