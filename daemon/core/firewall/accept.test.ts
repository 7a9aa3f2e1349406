import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AcceptChange,
  type Direction,
  DIRECTIONS,
  type ForwardChain,
  type ForwardRule,
  planAccept,
  planForget,
} from "./accept.ts";

const other = (handle: number): ForwardRule => ({ handle, refusesAll: false });
const refusal = (handle: number): ForwardRule => ({ handle, refusesAll: true });
const mine = (handle: number, ours: Direction): ForwardRule => ({ handle, ours, refusesAll: false });

function chain(rules: readonly ForwardRule[], changes: Partial<ForwardChain> = {}): ForwardChain {
  return { dropsRest: true, decidesAll: false, rules, ...changes };
}

function add(before?: number): AcceptChange[] {
  return DIRECTIONS.map((direction) => ({ kind: "add", direction, ...(before !== undefined && { before }) }));
}

function foreign({ rules }: ForwardChain): ForwardRule[] {
  return rules.filter(({ ours }) => ours === undefined);
}

/** The chain after the changes, as nft and iptables carry them out. */
function after(before: ForwardChain, changes: readonly AcceptChange[]): ForwardChain {
  let rules = [...before.rules];
  let next = 1000;
  for (const change of changes) {
    if (change.kind === "delete") rules = rules.filter(({ handle }) => handle !== change.handle);
    else {
      const at = rules.findIndex(({ handle }) => handle === change.before);
      expect(change.before === undefined || at >= 0).toBe(true);
      rules.splice(at < 0 ? rules.length : at, 0, mine(next++, change.direction));
    }
  }
  return { ...before, rules };
}

const RULE = fc.oneof(
  fc.constant({ refusesAll: false }),
  fc.constant({ refusesAll: true }),
  fc.record({ refusesAll: fc.constant(false), ours: fc.constantFrom(...DIRECTIONS) }),
);
const CHAIN: fc.Arbitrary<ForwardChain> = fc
  .tuple(fc.array(RULE, { maxLength: 8 }), fc.boolean(), fc.boolean())
  .map(([rules, dropsRest, decidesAll]) => ({
    dropsRest,
    decidesAll,
    rules: rules.map((rule, at) => ({ ...rule, handle: at + 1 })),
  }));

describe("planAccept()", () => {
  it("adds at the end of what others decide, and before what refuses the rest", () => {
    expect(planAccept(chain([other(1), other(2)]))).toEqual(add());
    expect(planAccept(chain([other(1), refusal(2), other(3)]))).toEqual(add(2));
    expect(planAccept(chain([refusal(7)], { dropsRest: false }))).toEqual(add(7));
  });

  it("puts them first where the chain decides about every packet", () => {
    expect(planAccept(chain([other(1), refusal(2)], { dropsRest: false, decidesAll: true }))).toEqual(add(1));
  });

  it("does nothing where nothing is dropped, and takes away what is not needed any more", () => {
    expect(planAccept(chain([other(1)], { dropsRest: false }))).toEqual([]);
    const left = chain([mine(1, "from pods"), other(2)], { dropsRest: false });
    expect(planAccept(left)).toEqual([{ kind: "delete", handle: 1 }]);
  });

  it("replaces a rule that somebody put a refusal before, and adds only what is missing", () => {
    expect(planAccept(chain([refusal(1), mine(2, "from pods"), mine(3, "to pods")]))).toEqual([
      { kind: "delete", handle: 2 },
      { kind: "delete", handle: 3 },
      ...add(1),
    ]);
    expect(planAccept(chain([mine(1, "from pods"), refusal(2)]))).toEqual([
      { kind: "add", direction: "to pods", before: 2 },
    ]);
  });

  it("ends with one rule for each direction where they work, others untouched, and nothing more to do", () => {
    fc.assert(
      fc.property(CHAIN, (before) => {
        const done = after(before, planAccept(before));
        expect(planAccept(done)).toEqual([]);
        expect(foreign(done)).toEqual(foreign(before));
        const needed =
          before.dropsRest || before.decidesAll || before.rules.some(({ refusesAll }) => refusesAll);
        const own = done.rules.flatMap(({ ours }) => ours ?? []);
        expect(own.toSorted()).toEqual(needed ? DIRECTIONS : []);
        const end = done.rules.findIndex((rule) =>
          done.decidesAll ? rule.ours === undefined : rule.refusesAll,
        );
        for (const [at, { ours }] of done.rules.entries())
          if (ours !== undefined && end >= 0) expect(at).toBeLessThan(end);
      }),
    );
  });
});

describe("planForget()", () => {
  it("takes all of ours and nothing else", () => {
    fc.assert(
      fc.property(CHAIN, (before) => {
        expect(after(before, planForget(before)).rules).toEqual(
          before.rules.filter(({ ours }) => ours === undefined),
        );
      }),
    );
  });
});
