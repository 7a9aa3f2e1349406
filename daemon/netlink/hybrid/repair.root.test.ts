/** Damage by others, and how soon all is as it was. */
import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HybridLab, labDesired, labPeer, openHybridLab, sh } from "./lab.ts";
import { type LabNetworks, must, openLabNetworks } from "./lab-networks.ts";

/** What a node may take to put damage right. */
const REPAIR_MS = 2_000;

let lab: HybridLab;
let networks: LabNetworks;
let node: string;
let whole: string;

beforeAll(async () => {
  lab = openHybridLab();
  node = lab.node(1);
  networks = await openLabNetworks(lab);
  for (const number of [2, 3] as const) await networks.apply(number, { ipv6: true });
  await applyWhole();
  // The look that follows the first one.
  await settled();
  whole = network();
});

afterAll(async () => {
  await networks[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

/** The network that is damaged. */
async function applyWhole(): Promise<void> {
  const desired = labDesired(lab, 1, { ipv6: true });
  must(await networks.of(1).apply({ ...desired, unroutable: [labPeer(4, "vxlan", true)] }));
}

/** All that the network is, but for indexes. */
function network(): string {
  return [
    sh(`ip -n ${node} route show proto 84`),
    sh(`ip -n ${node} -6 route show proto 84`),
    sh(`ip -n ${node} neighbour show nud permanent`),
    sh(`ip netns exec ${node} bridge fdb show`),
    attempted(`ip -n ${node} -d address show dev terway.1`),
  ]
    .flatMap((text) => text.replaceAll(/^\d+: /gm, "").split("\n"))
    .sort()
    .join("\n");
}

function attempted(command: string): string {
  try {
    return sh(command);
  } catch {
    return "";
  }
}

/** Milliseconds until `isSo`. */
async function took(what: string, isSo: () => boolean): Promise<number> {
  const sinceMs = performance.now();
  while (!isSo()) {
    const tookMs = performance.now() - sinceMs;
    // Longer than what is promised, to tell late from never.
    if (tookMs > 5 * REPAIR_MS)
      throw new Error(`${what}: not put right after ${Math.round(tookMs)} ms\n${network()}`);
    await delay(5);
  }
  return performance.now() - sinceMs;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await isSo()) return;
    await delay(10);
  }
  throw new Error("it never was so");
}

/** Until no look is made any more because of what was heard: those follow each other within 250 ms. */
async function settled(): Promise<void> {
  for (let [last, tries] = [-1, 0]; tries < 50; tries++) {
    const { looks } = (await networks.of(1).state()).counters;
    if (looks === last) return;
    last = looks;
    await delay(300);
  }
  throw new Error("it looks for ever");
}

async function repaired(): Promise<number> {
  const { counters } = await networks.of(1).state();
  return Object.values(counters.repaired).reduce((sum, count) => sum + count, 0);
}

const DAMAGE: readonly (readonly [what: string, ...commands: string[]])[] = [
  ["route deleted", "route delete 10.245.2.0/24"],
  ["route of IPv6 deleted", "-6 route delete fd00:245:2::/64"],
  ["end of the own block deleted", "route delete unreachable 10.245.1.0/24 metric 4278198272"],
  ["end of an unroutable block deleted", "route delete unreachable 10.245.4.0/24 metric 4278198272"],
  [
    "end of an unroutable block of IPv6 deleted",
    "-6 route delete unreachable fd00:245:4::/64 metric 4278198272",
  ],
  ["route led elsewhere", "route replace 10.245.2.0/24 via 10.245.3.0 dev terway.1 onlink proto 84"],
  ["forwarding entry deleted", "fdb delete 0a:58:00:00:00:02 dev terway.1 dst 10.10.0.2"],
  [
    "forwarding entry led elsewhere",
    "fdb replace 0a:58:00:00:00:02 dev terway.1 dst 10.10.0.9 self permanent",
  ],
  ["neighbour deleted", "neighbour delete 10.245.2.0 dev terway.1"],
  ["neighbour changed", "neighbour replace 10.245.2.0 lladdr 0a:00:00:00:00:99 dev terway.1 nud permanent"],
  ["neighbour made to age", "neighbour replace 10.245.2.0 lladdr 0a:58:00:00:00:02 dev terway.1 nud stale"],
  ["device deleted", "link delete terway.1"],
  ["MAC changed", "link set terway.1 address 0a:00:00:00:00:99"],
  ["MTU changed", "link set terway.1 mtu 1300"],
  ["address flushed", "address flush dev terway.1"],
  ["device down", "link set terway.1 down"],
  ["device down and up", "link set terway.1 down", "link set terway.1 up"],
  ["uplink down and up", "link set eth0 down", "link set eth0 up"],
  [
    "another VXLAN device in its place",
    "link delete terway.1",
    "link add terway.1 group 21507 type vxlan id 1 dstport 8472 local 10.10.0.9 dev eth0",
  ],
];

describe("openHybridNetwork()", () => {
  it.each(DAMAGE)("puts right within 2 s: %s", async (what, ...commands) => {
    expect(network()).toBe(whole);
    const before = await repaired();
    for (const command of commands) {
      const [first = ""] = command.split(" ");
      sh(first === "fdb" ? `ip netns exec ${node} bridge ${command}` : `ip -n ${node} ${command}`);
    }
    // The way out of the node is the host's own, not ours: its address is what brings it back.
    if (what === "uplink down and up") restoreUplink();
    expect(await took(what, () => network() === whole)).toBeLessThan(REPAIR_MS);
    expect(lab.pings(lab.pod(1), "10.245.2.9")).toBe(true);
    expect(lab.pings(lab.pod(2), "10.245.1.9")).toBe(true);
    await settled();
    if (!what.startsWith("uplink")) expect(await repaired()).toBeGreaterThan(before);
  });

  it("puts a direct route right when the uplink was down", async () => {
    await networks.apply(1, { path: "direct", peers: [2] });
    await settled();
    const route = `ip -n ${node} route show 10.245.2.0/24`;
    const there = sh(route);
    expect(there).toContain("via 10.10.0.2 dev eth0 proto 84");
    sh(`ip -n ${node} link set eth0 down`);
    expect(sh(route)).toBe("");
    sh(`ip -n ${node} link set eth0 up`);
    restoreUplink();
    expect(await took("direct route", () => sh(route) === there)).toBeLessThan(REPAIR_MS);
    await applyWhole();
    await settled();
  });

  it("comes back with an uplink that was gone, whatever index it has then", async () => {
    expect(network()).toBe(whole);
    sh(`ip -n ${lab.fabric} link delete n1`);
    await took("noticed", () => network() !== whole);
    await until(async () => (await networks.of(1).state()).fault !== undefined);
    sh(`ip -n ${lab.fabric} link add n1 type veth peer name eth0 netns ${node}`);
    sh(`ip -n ${lab.fabric} link set n1 master br10 up`);
    sh(`ip -n ${node} address add 10.10.0.1/24 dev eth0`);
    sh(`ip -n ${node} link set eth0 up`);
    restoreUplink();
    expect(await took("uplink", () => network() === whole)).toBeLessThan(REPAIR_MS);
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(true);
    expect(await networks.of(1).state()).toMatchObject({ ready: true, failures: [] });
    await settled();
  });

  it("makes its tables anew when a change finds them gone, and all else at once", async () => {
    // That forwarding was switched on by us is forgotten with the table.
    const tables = (): string =>
      ["chain ip terway_hybrid postrouting", "chain ip terway_hybrid input", "set ip terway_hybrid vteps"]
        .map((what) => attempted(`ip netns exec ${node} nft list ${what}`))
        .join("")
        .replace(/elements = .*/, (set) => (set.match(/[\d.]+/g) ?? []).sort().join(" "));
    const there = tables();
    lab.run(node, "nft delete table ip terway_hybrid");
    must(await networks.of(1).apply(labDesired(lab, 1, { ipv6: true, peers: [2] })));
    expect(sh(`ip -n ${node} route show 10.245.3.0/24`)).toBe("");
    await applyWhole();
    expect(network()).toBe(whole);
    expect(await took("tables", () => tables() === there)).toBeLessThan(2 * REPAIR_MS);
    await until(async () => (await networks.of(1).state()).failures.length === 0);
    await settled();
  });

  it("looks at everything when more was said than it could hear", async () => {
    expect(network()).toBe(whole);
    const before = (await networks.of(1).state()).counters;
    const noise = Array.from({ length: 12_000 }, (_, at) => `link set pod alias ${at}`);
    // The event loop stands still meanwhile, so nobody reads.
    execFileSync("ip", ["-n", node, "-batch", "-"], {
      input: `${noise.join("\n")}\nroute delete 10.245.3.0/24\n`,
    });
    expect(await took("overflow", () => network() === whole)).toBeLessThan(REPAIR_MS);
    const { counters } = await networks.of(1).state();
    expect(counters.overflows).toBeGreaterThan(before.overflows);
    expect(counters.repaired["route"]).toBe((before.repaired["route"] ?? 0) + 1);
  });

  it("costs nothing where only pods come and go", async () => {
    await settled();
    const before = (await networks.of(1).state()).counters.looks;
    for (let at = 0; at < 20; at++) {
      sh(`ip -n ${node} link add other type veth`);
      sh(`ip -n ${node} link set other up`);
      sh(`ip -n ${node} route add 10.245.1.77/32 dev other`);
      sh(`ip -n ${node} neighbour add 10.99.0.1 lladdr 0a:00:00:00:00:01 dev other`);
      sh(`ip -n ${node} link delete other`);
    }
    await delay(400);
    expect((await networks.of(1).state()).counters.looks).toBe(before);
  });

  it("tries again what somebody else's route keeps out, and has it when that is gone", async () => {
    const route = `ip -n ${node} route show 10.245.2.0/24`;
    const there = sh(route);
    sh(`ip -n ${node} route replace 10.245.2.0/24 via 10.10.0.254 proto static`);
    await settled();
    expect(sh(route)).toContain("proto static");
    expect(await networks.of(1).state()).toMatchObject({ ready: true, failures: [{ peer: "node2" }] });
    sh(`ip -n ${node} route delete 10.245.2.0/24`);
    expect(await took("route", () => sh(route) === there)).toBeLessThan(5 * REPAIR_MS);
  });
});

function restoreUplink(): void {
  for (const command of [
    "-6 address replace fd00:10::1/64 dev eth0 nodad",
    "route replace default via 10.10.0.254",
  ])
    sh(`ip -n ${node} ${command}`);
}
