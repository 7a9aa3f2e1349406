/**
 * Kills the agents of some nodes at each effect of a scenario, one after the other, until a run comes to its end alive.
 *
 * @module
 */
import { allEnded } from "../harness/process.ts";
import { type Lab } from "./lab.ts";
import { type KillNode } from "./node.ts";
import { type Scenario } from "./scenarios.ts";

/** One life of an agent, and what came of it. */
export type Life = {
  /** Number of the effect behind which it was killed; 0: it was not. */
  readonly killAt: number;
  /** What it did, in order. */
  readonly effects: readonly string[];
  readonly findings: readonly string[];
};

export type Campaign = {
  readonly scenario: string;
  /** In the order of `killAt`, behind those that were not killed. */
  readonly lives: readonly Life[];
  /** What was wrong with a node as a whole. */
  readonly left: readonly string[];
};

/** More effects than any scenario has: what goes on for ever is a finding. */
const EFFECTS_MAX = 400;

export type CampaignOptions = {
  readonly scenario: Scenario;
  /** They take turns. */
  readonly nodes: readonly string[];
  /** Absent: at every effect. */
  readonly only?: RegExp;
  /** How long a node may take to come back. */
  readonly settleMs?: number;
  /** Told of each life when it is over. */
  readonly onLife?: (life: Life) => void;
};

export async function killEach(lab: Lab, options: CampaignOptions): Promise<Campaign> {
  const { scenario, nodes, only } = options;
  const lives: Life[] = [];
  const keep = (life: Life): void => {
    lives.push(life);
    options.onLife?.(life);
  };
  let next = 1;
  let alive = 0;
  const take = (): number | undefined => {
    const whole = lives.find(({ killAt }) => killAt === 0)?.effects;
    if (only !== undefined && whole !== undefined)
      while (next <= whole.length && !only.test(whole[next - 1] ?? "")) next += 1;
    const isOver = alive > 0 || next > EFFECTS_MAX || (only !== undefined && next > (whole?.length ?? 0));
    return isOver ? undefined : next++;
  };
  const lefts = await allEnded(
    nodes.map((name) =>
      lab.onNode(name, async (node) => {
        await node.remember();
        keep(await live(node, options, 0));
        for (let killAt = take(); killAt !== undefined; killAt = take()) {
          const life = await live(node, options, killAt);
          keep(life);
          if (life.killAt === 0) alive += 1;
          // What is left would be found again at each further kill.
          if (life.findings.length > 0) return [];
        }
        // What a kill has left may show in the next life.
        keep(await live(node, options, 0));
        return (await node.rested()).map((address) => `${address} rests for ever`);
      }),
    ),
  );
  return {
    scenario: scenario.name,
    lives: lives.toSorted((a, b) => a.killAt - b.killAt),
    left: lefts.flat(),
  };
}

async function live(node: KillNode, { scenario, settleMs }: CampaignOptions, killAt: number): Promise<Life> {
  const run = scenario.open(node);
  await run.begin?.();
  const startsItself = node.isDead();
  if (!startsItself) await node.arm(killAt);
  await run.act(killAt);
  const effects = node.effects();
  // It may be known that the effect is done before it is known that the process has ended.
  if (killAt > 0 && effects.length >= killAt) await node.await("the agent dies", () => false);
  const isKilled = node.isDead();
  // Whoever has no answer yet is undone or repeated by the next agent, and rests from then on.
  const lease = effects.findLast((effect) => effect.includes("-lease"));
  const isReleasedLater = lease === undefined ? run.begin !== undefined : lease.includes("pending");
  if (isKilled && isReleasedLater) node.rests();
  if (isKilled) await node.start(0);
  else await node.arm(0);
  const problems: string[] = [];
  await run.end(killAt % 2 === 1).catch((error: unknown) => problems.push(String(error)));
  problems.push(...(await node.settled(settleMs)), ...node.findings());
  return { killAt: isKilled ? killAt : 0, effects, findings: problems };
}

/** What a campaign killed and found: one line, then one for each finding. */
export function summaryOf({ scenario, lives, left }: Campaign): readonly string[] {
  const kills = lives.filter(({ killAt }) => killAt > 0);
  const whole = Math.max(...lives.filter(({ killAt }) => killAt === 0).map(({ effects }) => effects.length));
  const findings = lives.flatMap(({ killAt, effects, findings: found }) => {
    const when = killAt === 0 ? "not killed" : `killed at ${killAt} (${effects[killAt - 1]})`;
    return found.map((text) => `  ${when}: ${text}`);
  });
  const counts = `${whole} effects, ${kills.length} kills, ${findings.length + left.length} findings`;
  return [`${scenario}: ${counts}`, ...findings, ...left.map((text) => `  ${text}`)];
}
