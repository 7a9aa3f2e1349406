/** Damage to our tables of nftables by others, and how soon all is as it was. */
import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HybridLab, labDesired, openHybridLab, sh } from "./lab.ts";
import { type LabNetworks, must, openLabNetworks } from "./lab-networks.ts";

/** What a node may take to put damage right. */
const REPAIR_MS = 2_000;
const OTHER = [
  "add table ip other",
  "add chain ip other input { type filter hook input priority 0; }",
  "add rule ip other input udp dport 8472 accept",
].join("\n");

let lab: HybridLab;
let networks: LabNetworks;
let node: string;

beforeAll(async () => {
  lab = openHybridLab();
  node = lab.node(1);
  networks = await openLabNetworks(lab);
  nft(OTHER);
});

afterAll(async () => {
  await networks[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

/** One transaction. */
function nft(text: string): void {
  execFileSync("ip", ["netns", "exec", node, "nft", text], { stdio: ["ignore", "ignore", "pipe"] });
}

/** All of ours but what changes by itself: counts, the order of elements, and which device was switched on by us. */
function tables(): string {
  return (["ip", "ip6", "netdev"] as const)
    .map((family) => attempted(`ip netns exec ${node} nft -n list table ${family} terway_hybrid`))
    .join("")
    .replaceAll(/packets \d+ bytes \d+/g, "")
    .replaceAll(/set forwarding \{[^}]*(\}\s*)?\}/g, "")
    .replaceAll(/elements = \{[^}]*\}/g, (set) => (set.match(/[0-9a-fx.:/]{4,}/g) ?? []).sort().join(" "));
}

function others(): string {
  return sh(`ip netns exec ${node} nft -a list table ip other`);
}

function attempted(command: string): string {
  try {
    return sh(command);
  } catch {
    return "";
  }
}

/** The handle of the first rule of a chain. */
function handle(chain: string): string {
  const text = sh(`ip netns exec ${node} nft -a list chain ${chain}`);
  return / (?:drop|return|"terway\.1") # (handle \d+)/.exec(text)?.[1] ?? "none";
}

async function looks(): Promise<number> {
  return (await networks.of(1).state()).counters.looks;
}

/** Until no look follows any more: those follow each other within 250 ms of what was heard, which is 250 ms late at most. */
async function settled(): Promise<void> {
  for (let [last, tries] = [-1, 0]; tries < 50; tries++) {
    const now = await looks();
    if (now === last) return;
    last = now;
    await delay(700);
  }
  throw new Error("it looks for ever");
}

async function repairs(whole: string): Promise<number> {
  const sinceMs = performance.now();
  while (tables() !== whole) {
    if (performance.now() - sinceMs > 5 * REPAIR_MS) expect(tables()).toBe(whole);
    await delay(5);
  }
  return performance.now() - sinceMs;
}

type Damage = readonly (readonly [what: string, command: () => string])[];

async function damaged(damage: Damage, isWhole: () => void): Promise<void> {
  const whole = tables();
  const before = others();
  for (const [what, command] of damage) {
    nft(command());
    expect(tables(), what).not.toBe(whole);
    expect(await repairs(whole), what).toBeLessThan(REPAIR_MS);
    isWhole();
    await settled();
    expect(tables(), what).toBe(whole);
  }
  expect(others()).toBe(before);
}

const TABLES: Damage = [
  ["table deleted", () => "delete table ip terway_hybrid"],
  ["table of IPv6 deleted", () => "delete table ip6 terway_hybrid"],
  ["table asleep", () => "add table ip terway_hybrid { flags dormant; }"],
  ["chain flushed", () => "flush chain ip terway_hybrid input"],
  ["chain deleted", () => "flush chain ip terway_hybrid input; delete chain ip terway_hybrid input"],
  [
    "rule deleted",
    () => `delete rule ip terway_hybrid postrouting ${handle("ip terway_hybrid postrouting")}`,
  ],
  [
    "rule replaced",
    () => `replace rule ip terway_hybrid input ${handle("ip terway_hybrid input")} udp dport 8472 accept`,
  ],
  ["rule put before", () => "insert rule ip terway_hybrid postrouting accept"],
  ["element deleted", () => "delete element ip terway_hybrid vteps { 10.10.0.2 }"],
  ["element added", () => "add element ip terway_hybrid vteps { 10.10.0.99 }"],
  ["set flushed", () => "flush set ip terway_hybrid vteps"],
  ["exempted destination deleted", () => "delete element ip terway_hybrid exempt { 10.245.0.0/16 }"],
  ["version deleted", () => "flush set ip6 terway_hybrid version"],
];

const REDIRECTION: Damage = [
  ["table deleted", () => "delete table netdev terway_hybrid"],
  [
    "chain deleted",
    () => "flush chain netdev terway_hybrid egress; delete chain netdev terway_hybrid egress",
  ],
  ["rule deleted", () => `delete rule netdev terway_hybrid egress ${handle("netdev terway_hybrid egress")}`],
  ["element deleted", () => "delete element netdev terway_hybrid macs_ip { 10.10.0.2 }"],
  [
    "element led elsewhere",
    () =>
      "delete element netdev terway_hybrid macs_ip { 10.10.0.2 }; add element netdev terway_hybrid macs_ip { 10.10.0.2 : 0a:00:00:00:00:99 }",
  ],
];

describe("openHybridNetwork()", () => {
  it("puts its tables right within 2 s, and touches no others", async () => {
    for (const number of [1, 2, 3] as const) await networks.apply(number, { ipv6: true });
    await settled();
    await damaged(TABLES, () => expect(lab.pings(lab.pod(1), "10.245.2.9")).toBe(true));
    const { repaired } = (await networks.of(1).state()).counters;
    expect(repaired["table"]).toBeGreaterThan(0);
    expect(repaired["node-element"]).toBeGreaterThan(0);
  });

  it("puts the redirection right, also where a device of it was made anew", async () => {
    for (const number of [1, 2, 3] as const) await networks.apply(number, { sourceNat: false, ipv6: true });
    await settled();
    const reaches = (): void => expect(lab.pings(lab.pod(1), "10.10.0.2")).toBe(true);
    reaches();
    await damaged(REDIRECTION, reaches);
    sh(`ip -n ${node} link delete terway.1`);
    const sinceMs = performance.now();
    while (!lab.pings(lab.pod(1), "10.10.0.2") && performance.now() - sinceMs < 5 * REPAIR_MS) await delay(5);
    expect(performance.now() - sinceMs).toBeLessThan(REPAIR_MS);
    await settled();
  });

  it("does not look because of others' tables", async () => {
    await settled();
    const before = await looks();
    for (let at = 0; at < 10; at++) {
      nft("add rule ip other input tcp dport 1 drop");
      nft("flush chain ip other input");
    }
    await delay(1_000);
    expect(await looks()).toBe(before);
  });

  it("looks when more was said about tables than it could hear", async () => {
    await settled();
    const whole = tables();
    const before = (await networks.of(1).state()).counters.overflows;
    // The event loop stands still meanwhile, so nobody reads.
    nft("add set ip other many { type ipv4_addr; }");
    const list = Array.from({ length: 8_000 }, (_, at) => `10.77.${at >> 8}.${at & 255}`);
    for (let at = 0; at < 4; at++) {
      nft(`add element ip other many { ${list.join(", ")} }`);
      nft("flush set ip other many");
    }
    nft("delete element netdev terway_hybrid macs_ip { 10.10.0.2 }");
    expect(await repairs(whole)).toBeLessThan(REPAIR_MS);
    expect((await networks.of(1).state()).counters.overflows).toBeGreaterThan(before);
    must(await networks.of(1).apply(labDesired(lab, 1, { sourceNat: false, ipv6: true })));
  });
});
