/** That the simulation bites: bugs put in on purpose are found within a small part of what a CI run plays. */
import { describe, expect, it } from "vitest";
import { BUGS, releaseOnOneSource } from "./bugs.ts";
import { campaign } from "./campaign.ts";
import { type Variant } from "./node.ts";
import { type Happening, type History } from "./operations.ts";
import { play } from "./simulation.ts";

/** Of 100,000 and more in a CI run. */
const OPERATIONS = 20_000;

describe("campaign()", () => {
  for (const [name, { variant, said }] of Object.entries(BUGS))
    it(`finds: ${name}`, async () => {
      const finding = await campaign({ seed: 1, operations: OPERATIONS, variant, shortenTries: 0 });
      expect(finding?.offence.text).toMatch(said);
    }, 120_000);
});

function add(pod: number): Happening {
  return { kind: "add", pod, deadlineMs: 90_000, retries: 2 };
}

/** Some pods start, the lease of one is lost, and the pool gives back what it takes for a surplus. */
function lossOf(pod: number): History {
  const happenings: readonly (readonly [afterMs: number, happening: Happening])[] = [
    ...[0, 1, 2, 3].map((of) => [1_000, add(of)] as const),
    [60_000, { kind: "lose-lease", pod }],
    [600_000, { kind: "status" }],
    [600_000, { kind: "status" }],
  ];
  const operations = happenings.map(([afterMs, happening], salt) => ({ afterMs, salt, happening }));
  const config = { idleMin: 0, idleMax: 0, cooldownS: 10, knowsType: true } as const;
  return {
    seed: pod,
    setting: {
      enis: 2,
      perEni: 3,
      sizes: [60, 60],
      config: { ...config, policy: "ordered", eniPolicy: "most_ips" },
      ipStack: pod % 2 === 0 ? "ipv4" : "dual",
    },
    operations,
  };
}

async function saidOf(variant?: Variant): Promise<readonly string[]> {
  const outcomes = await Promise.all([0, 1, 2, 3].map((pod) => play(lossOf(pod), variant, false)));
  return outcomes.flatMap(({ offences }) => offences.map(({ text }) => text.replace(/:.*/, "")));
}

describe("play(), where the lease of a pod is lost", () => {
  it("finds a release on one source", async () => {
    expect(new Set(await saidOf(releaseOnOneSource))).toEqual(new Set(["promise 5"]));
  });

  it("sees the kernel keep what the pool would give back", async () => {
    expect(await saidOf()).toEqual([]);
  });
});
