/**
 * The agent is killed behind each of its effects, one life after the other: no kill leaves anything in cloud, kernel,
 * nftables or database, an address that was released rests, and a pod that runs loses no packet.
 *
 * @module
 */
import { afterAll, beforeAll, describe, it } from "vitest";
import { type Bug } from "./bugs.ts";
import { type Campaign, killEach, summaryOf } from "./campaign.ts";
import { type Lab, type NodeSize, openLab } from "./lab.ts";
import { ADD, CLOUD, DEL, type Scenario, START, START_ENI } from "./scenarios.ts";

/** On how many nodes each is tried: the longer ones on more. */
const TRIED: readonly (readonly [scenario: Scenario, nodes: readonly string[], effectsMin: number])[] = [
  [ADD, ["add"], 8],
  [DEL, ["del"], 7],
  [START, ["start"], 20],
  [START_ENI, ["enia", "enib"], 20],
  [CLOUD, ["clouda", "cloudb", "cloudc"], 50],
];

/** What is found of each bug, where the agent is killed at which effects. */
const BUGS: readonly (readonly [bug: Bug, node: string, scenario: Scenario, at: RegExp, found: RegExp])[] = [
  ["no-lease-before-the-kernel", "buga", ADD, /new-address/, /was given away \d+ ms after its release/],
  ["no-cooldown", "bugb", DEL, /answer: of DEL is known/, /was given away \d+ ms after its release/],
  ["no-intent", "bugc", CLOUD, /CreateNetworkInterface was answered/, /cloud: ENIs: \+ eni-/],
];
/** How long a leak of a bug is waited for to go. */
const LEAK_MS = 5000;
/** Longer than the start of an agent on a busy machine. */
const BUG_COOLDOWN_MS = 10_000;
const TIMEOUT_MS = 600_000;

/** A cloud of its own: what a bug leaves there is not to be found by the others. */
let bugs: Lab;
let lab: Lab;
const campaigns: Campaign[] = [];

beforeAll(async () => {
  const sizes = TRIED.flatMap(([{ size }, nodes]) => nodes.map((node): [string, NodeSize] => [node, size]));
  lab = await openLab({ name: `tw${process.pid}k`, nodes: Object.fromEntries(sizes) });
  const withBugs = BUGS.map(([bug, node, { size }]): [string, NodeSize] => [
    node,
    { ...size, bug, cooldownMs: BUG_COOLDOWN_MS },
  ]);
  bugs = await openLab({ name: `tw${process.pid}b`, nodes: Object.fromEntries(withBugs) });
});

afterAll(async () => {
  process.stdout.write(`${campaigns.flatMap(summaryOf).join("\n")}\n`);
  await bugs[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

describe.concurrent("an agent that is killed at every effect", () => {
  for (const [scenario, nodes, effectsMin] of TRIED)
    it(
      `leaves nothing: ${scenario.name}`,
      async ({ expect }) => {
        const campaign = await killEach(lab, { scenario, nodes });
        campaigns.push(campaign);
        const [summary = "", ...findings] = summaryOf(campaign);
        expect(findings, summary).toEqual([]);
        const killed = campaign.lives.flatMap(({ killAt }) => (killAt === 0 ? [] : [killAt]));
        // None was left out.
        expect(killed).toEqual(killed.map((_, at) => at + 1));
        expect(killed.length).toBeGreaterThanOrEqual(effectsMin);
      },
      TIMEOUT_MS,
    );
});

describe.concurrent("summaryOf()", () => {
  for (const [bug, node, scenario, at, found] of BUGS)
    it(
      `names what an agent with a bug leaves: ${bug}`,
      async ({ expect }) => {
        const campaign = await killEach(bugs, { scenario, nodes: [node], only: at, settleMs: LEAK_MS });
        expect(summaryOf(campaign).join("\n")).toMatch(found);
      },
      TIMEOUT_MS,
    );
});
