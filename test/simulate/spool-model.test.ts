/** The spool model against the real spool: the same operations on both. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Attachment } from "../../proto/attachment.ts";
import { failed, ok } from "../../proto/result.ts";
import { encodeSpooled, spoolName } from "../../proto/spool.ts";
import { openSpool, type Spool, type SpoolOptions } from "../../daemon/spool/spool.ts";
import { beginLife } from "./life.ts";
import { openScheduler } from "./scheduler.ts";
import { openSpoolModel } from "./spool-model.ts";

type Step =
  | { readonly kind: "keep" | "forget" | "mend" | "break"; readonly pod: number }
  | { readonly kind: "wait"; readonly seconds: number };

const PODS = 3;
const pod = fc.nat(PODS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  ...(["keep", "keep", "forget", "mend", "break"] as const).map((kind) =>
    pod.map((of): Step => ({ kind, pod: of })),
  ),
  fc.integer({ min: 1, max: 9 }).map((seconds): Step => ({ kind: "wait", seconds })),
);

function attachment(of: number): Attachment {
  return { network: "terway", containerId: `c${of}`, ifName: "eth0" };
}

/** What both are asked, and what they did: whose DEL was carried out, whose failed. */
type Player = {
  readonly spool: Spool;
  readonly keep: (of: number) => void;
  readonly waitSecond: () => Promise<void>;
  readonly done: string[];
};

/** DELs of broken pods fail. */
function carrier(broken: ReadonlySet<number>, done: string[]): SpoolOptions["carryOut"] {
  return async ({ attachment: { containerId } }, { isPending, finish }) => {
    const fails = broken.has(Number(containerId.slice(1)));
    done.push(`${containerId} ${fails ? "failed" : "carried out"} ${isPending() ? "pending" : "gone"}`);
    if (fails) return failed({ kind: "not-ready", reason: "broken" });
    finish();
    return ok(undefined);
  };
}

function openReal(directory: string, broken: ReadonlySet<number>): Player {
  const done: string[] = [];
  let nowMs = 0;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const spool = openSpool({
    directory,
    carryOut: carrier(broken, done),
    report: () => undefined,
    nowMs: () => nowMs,
  });
  if (!spool.ok) throw new Error(spool.fault);
  return {
    spool: spool.value,
    done,
    keep(of) {
      const name = spoolName(attachment(of)) ?? "";
      const temporary = join(directory, `.${name}.99`);
      writeFileSync(temporary, encodeSpooled({ attachment: attachment(of), netns: "" }));
      renameSync(temporary, join(directory, name));
    },
    async waitSecond() {
      nowMs += 1000;
      await spool.value.replay();
    },
  };
}

function openModelled(broken: ReadonlySet<number>): Player {
  const done: string[] = [];
  const scheduler = openScheduler(1);
  const model = openSpoolModel(() => undefined);
  const life = beginLife(1, scheduler, () => undefined);
  return {
    spool: model.portFor(life, carrier(broken, done)),
    done,
    keep: (of) => model.keep(attachment(of)),
    waitSecond: () => scheduler.run(1000, () => undefined),
  };
}

async function playOnBoth(
  steps: readonly Step[],
  change: (player: Player) => Player = (player) => player,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "tw-spool-model-"));
  const broken = new Set<number>();
  const players = [change(openModelled(broken)), openReal(join(root, "spool"), broken)] as const;
  try {
    for (const one of steps) {
      if (one.kind === "mend") broken.delete(one.pod);
      if (one.kind === "break") broken.add(one.pod);
      for (const { spool, keep, waitSecond } of players) {
        if (one.kind === "keep") keep(one.pod);
        if (one.kind === "forget") expect(spool.forget(attachment(one.pod))).toEqual(ok(undefined));
        await spool.replay();
        for (let second = 0; one.kind === "wait" && second < one.seconds; second += 1) await waitSecond();
      }
      const [modelled, real] = players.map(({ spool, done }) => ({
        kept: Array.from({ length: PODS }, (_, of) => spool.has(attachment(of))),
        done: done.toSorted(),
      }));
      expect(modelled).toEqual(real);
    }
  } finally {
    for (const { spool } of players) await spool[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  }
}

describe("openSpoolModel()", () => {
  it("keeps, carries out and tries again what the real spool does, as often", async () => {
    const steps = fc.array(step, { minLength: 10, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(steps, (each) => playOnBoth(each)),
      { numRuns: 100 },
    );
  }, 60_000);

  it.each<readonly [string, (player: Player) => Player]>([
    ["forgets nothing", (player) => ({ ...player, spool: { ...player.spool, forget: () => ok(undefined) } })],
    ["never tries again", (player) => ({ ...player, waitSecond: () => Promise.resolve() })],
  ])(
    "would be found wrong where it %s",
    async (_, change) => {
      const steps = fc.array(step, { minLength: 10, maxLength: 30 });
      const found = await fc.check(
        fc.asyncProperty(steps, (each) => playOnBoth(each, change)),
        { numRuns: 100, seed: 1 },
      );
      expect(found.failed).toBe(true);
    },
    60_000,
  );
});
