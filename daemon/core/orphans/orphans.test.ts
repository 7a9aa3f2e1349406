import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eniId, type InstanceId, instanceId } from "../../../proto/ids.ts";
import { type EniView } from "../cloud.ts";
import { CREATOR_TAGS, INSTANCE_TAG, INTENT_TAG, tagsOfInstance } from "../eni-tags.ts";
import { A, eniOf, IDLE, poolOf, viewOf } from "../pool/fake-pool.ts";
import { type Pool } from "../pool/model.ts";
import { OWNERS_PER_LOOK, ownersToAsk, type OrphanWatch, suspectsOf, watchOrphans } from "./orphans.ts";

const US = instanceId("i-us");
const OTHER = instanceId("i-other");
const QUARANTINE_MS = 1000;

function view(id: string, changes: Partial<EniView> = {}): EniView {
  const available = viewOf(eniOf(9, { "10.0.0.9": IDLE }), "Available");
  return { ...available, id: eniId(id), tags: tagsOfInstance(OTHER), ...changes };
}

/** ENI 0 is ready, number 1 is being made with the token "t". */
const POOL: Pool = poolOf([
  eniOf(0, { "10.0.0.1": IDLE }),
  eniOf(
    1,
    { "10.0.0.2": IDLE },
    {
      state: {
        kind: "creating",
        unsure: true,
        call: { tries: 0 },
        request: { token: "t", vSwitch: A, securityGroups: [], secondaryCount: 1, tags: {} },
      },
    },
  ),
]);

describe("suspectsOf()", () => {
  it("takes ENIs with our tags that are attached to nothing, whosever they were", () => {
    const views = [view("eni-lost"), view("eni-mine", { tags: tagsOfInstance(US) })];
    expect(suspectsOf(views, POOL)).toEqual([
      { eni: "eni-lost", owner: OTHER },
      { eni: "eni-mine", owner: US },
    ]);
  });

  it("takes one whose deletion does not come to its end", () => {
    const views = [view("eni-stuck", { status: "Deleting" })];
    expect(suspectsOf(views, POOL)).toEqual([{ eni: "eni-stuck", owner: OTHER }]);
  });

  it.each<[string, Partial<EniView>]>([
    ["is attached", { status: "InUse", instance: OTHER }],
    ["is on its way", { status: "Attaching" }],
    ["is leaving", { status: "Detaching", instance: OTHER }],
    ["belongs to another service", { serviceManaged: true }],
    ["is a primary one", { type: "Primary" }],
    ["was made by something else", { tags: { ...tagsOfInstance(OTHER), creator: "somebody" } }],
    ["does not say for which instance", { tags: CREATOR_TAGS }],
    ["has the intent of a creation under way", { tags: { ...tagsOfInstance(US), [INTENT_TAG]: "t" } }],
  ])("leaves one alone that %s", (_, changes) => {
    expect(suspectsOf([view("eni-x", changes)], POOL)).toEqual([]);
  });

  it("leaves one alone that the pool knows", () => {
    const known = view("eni-0", { tags: { ...CREATOR_TAGS, [INSTANCE_TAG]: US } });
    expect(suspectsOf([known], POOL)).toEqual([]);
  });
});

describe("ownersToAsk()", () => {
  it("asks once for each other instance, first for those that were watched longest, and not for too many", () => {
    const suspects = Array.from({ length: 50 }, (_, nth) => ({
      eni: eniId(`eni-${nth}`),
      owner: nth === 0 ? US : instanceId(`i-${nth >> 1}`),
    }));
    const watch: OrphanWatch = new Map([
      [eniId("eni-48"), 20],
      [eniId("eni-40"), 10],
    ]);
    const asked = ownersToAsk(suspects, US, watch);
    expect(asked.slice(0, 4)).toEqual(["i-20", "i-24", "i-0", "i-1"]);
    expect(asked).toHaveLength(OWNERS_PER_LOOK);
    expect(new Set(asked).size).toBe(OWNERS_PER_LOOK);
  });
});

describe("watchOrphans()", () => {
  const suspects = [
    { eni: eniId("eni-1"), owner: OTHER },
    { eni: eniId("eni-2"), owner: US },
  ];
  const look = { suspects, instance: US, quarantineMs: QUARANTINE_MS, gone: new Set([OTHER]) };

  it("lets a whole quarantine pass", () => {
    const first = watchOrphans(new Map(), { ...look, nowMs: 0 });
    expect(first).toMatchObject({ due: [], fresh: suspects });
    const second = watchOrphans(first.watch, { ...look, nowMs: QUARANTINE_MS - 1 });
    expect(second).toMatchObject({ due: [], fresh: [] });
    expect(watchOrphans(second.watch, { ...look, nowMs: QUARANTINE_MS })).toMatchObject({ due: suspects });
  });

  it("forgets what was not an orphan for one look", () => {
    const first = watchOrphans(new Map(), { ...look, nowMs: 0 });
    const back = watchOrphans(first.watch, { ...look, gone: new Set(), nowMs: 500 });
    expect([...back.watch.keys()]).toEqual(["eni-2"]);
    const again = watchOrphans(back.watch, { ...look, nowMs: 1500 });
    expect(again).toMatchObject({ due: [suspects[1]], fresh: [suspects[0]] });
  });

  it("deletes only what every look of a quarantine found without an owner", () => {
    const looks = fc.array(
      fc.record({
        afterMs: fc.integer({ min: 0, max: QUARANTINE_MS }),
        listed: fc.boolean(),
        ownerLives: fc.boolean(),
      }),
      { maxLength: 20 },
    );
    const only = { eni: eniId("eni-1"), owner: OTHER };
    fc.assert(
      fc.property(looks, (history) => {
        let watch: OrphanWatch = new Map();
        let [nowMs, sinceMs] = [0, Number.POSITIVE_INFINITY];
        for (const { afterMs, listed, ownerLives } of history) {
          nowMs += afterMs;
          const isOrphan = listed && !ownerLives;
          sinceMs = isOrphan ? Math.min(sinceMs, nowMs) : Number.POSITIVE_INFINITY;
          const decision = watchOrphans(watch, {
            suspects: listed ? [only] : [],
            gone: ownerLives ? new Set<InstanceId>() : new Set([OTHER]),
            instance: US,
            nowMs,
            quarantineMs: QUARANTINE_MS,
          });
          const isDue = nowMs > sinceMs - 1 && nowMs - sinceMs >= QUARANTINE_MS;
          expect(decision.due).toEqual(isDue ? [only] : []);
          watch = decision.watch;
        }
      }),
    );
  });
});
