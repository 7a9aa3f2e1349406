/** The promises of the pool, over random sequences of pods, time, restarts and everything that goes wrong in the cloud. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eniId, vSwitchId } from "../../../proto/ids.ts";
import { type FailureClass } from "../cloud.ts";
import { type IpStack } from "../ip-stack.ts";
import { type CloudCall, fakeCloud, type FakeCloud, type Trouble } from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";
import { idleOffences, tokenOffences } from "./fake-verdict.ts";
import { occupy } from "./fake-vpc.ts";
import { type PoolSettings } from "./model.ts";
import { limitOf } from "./pairs.ts";

const A = vSwitchId("vsw-a");
const B = vSwitchId("vsw-b");

type Move =
  | { readonly kind: "add"; readonly pod: number; readonly waitMs: number }
  | { readonly kind: "del"; readonly pod: number }
  | { readonly kind: "wait"; readonly forMs: number }
  | { readonly kind: "others"; readonly count: number }
  | { readonly kind: "restart"; readonly loses: boolean; readonly ipStack?: IpStack };

const pod = fc.nat(29);
const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      pod,
      waitMs: fc.constantFrom(500, 5_000, 40_000, 120_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("del" as const), pod }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      forMs: fc.constantFrom(1, 60, 700, 2_300, 9_000, 40_000, 130_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("others" as const), count: fc.constantFrom(5, 20, -5, -20) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), loses: fc.boolean() }) },
);

const STACKS: readonly IpStack[] = ["ipv4", "dual", "dual", "ipv6"];
const stacks = fc.constantFrom(...STACKS);
const movesOfPairs: fc.Arbitrary<Move> = fc.oneof(
  { weight: 12, arbitrary: moves },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("restart" as const), loses: fc.boolean(), ipStack: stacks }),
  },
);

const CLASSES: readonly FailureClass[] = [
  "again",
  "vswitch-full",
  "eni-quota",
  "address-quota",
  "account-quota",
  "gone",
  "state",
  "configuration",
];

/** The class of a refusal, if the call can be refused so. */
function refusal(call: CloudCall, failure: FailureClass): Trouble | undefined {
  const isGrowth = call.kind === "create-eni" || call.kind === "assign";
  const isQuota = failure === "vswitch-full" || failure === "address-quota" || failure === "eni-quota";
  if (failure === "vswitch-full" && !isGrowth) return undefined;
  // Quotas that are not the true ones would be learnt, and then rightly kept.
  if (isQuota && failure !== "vswitch-full") return undefined;
  if (call.kind === "describe" && (failure === "gone" || failure === "state")) return undefined;
  return { kind: "refuse", class: failure };
}

const troubles: fc.Arbitrary<readonly (number | undefined)[]> = fc.array(
  fc.option(fc.nat(13), { nil: undefined, freq: 3 }),
  { maxLength: 60, size: "max" },
);

/** A trouble for a call, from a number: a refusal by class, a lost reply, an attachment that is undone. */
function troubleOf(call: CloudCall, number: number): Trouble | undefined {
  const failure = CLASSES[number];
  if (failure !== undefined) return refusal(call, failure);
  if (number === 8) return call.kind === "attach-eni" ? { kind: "undo" } : undefined;
  return { kind: "lose", applied: number % 2 === 0 };
}

const settings: fc.Arbitrary<Partial<PoolSettings>> = fc
  .record({
    idleMin: fc.nat(4),
    more: fc.nat(4),
    cooldownMs: fc.constantFrom(0, 20_000),
    vSwitchPolicy: fc.constantFrom("ordered" as const, "random" as const, "most" as const),
    eniPolicy: fc.constantFrom("most_ips" as const, "least_ips" as const),
  })
  .map(({ more, ...rest }) => ({ ...rest, idleMax: rest.idleMin + more }));

const worlds = fc.record({
  settings,
  addressesPerEni: fc.constantFrom(3, 6, 10),
  configured: fc.constantFrom(3, 10),
  configuredEnis: fc.constantFrom(3, 3, 5),
  broken: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }),
  sizes: fc.tuple(fc.constantFrom(4, 12, 200), fc.constantFrom(0, 7, 200)),
  troubles,
  lags: fc.array(fc.constantFrom(0, 0, 300, 1_500), { minLength: 1, maxLength: 5 }),
});

/** `addresses6PerEni` and `configured6` count where pods get pairs. */
type World = (typeof worlds extends fc.Arbitrary<infer Value> ? Value : never) & {
  readonly addresses6PerEni?: number;
  readonly configured6?: number;
};

const worldsOfPairs: fc.Arbitrary<World> = fc
  .tuple(worlds, stacks, fc.constantFrom(2, 6, 10), fc.constantFrom(3, 10))
  .map(([world, ipStack, addresses6PerEni, configured6]) => ({
    ...world,
    settings: { ...world.settings, ipStack },
    addresses6PerEni,
    configured6,
  }));

function build(world: World): {
  readonly cloud: FakeCloud;
  readonly node: FakeNode;
  readonly calm: () => void;
} {
  let calls = 0;
  let isCalm = false;
  let views = 0;
  const cloud = fakeCloud({
    enisMax: 3,
    addressesPerEni: world.addressesPerEni,
    ...(world.addresses6PerEni === undefined ? {} : { addresses6PerEni: world.addresses6PerEni }),
    vSwitches: [
      { id: A, size: world.sizes[0] },
      { id: B, size: world.sizes[1] },
    ],
    trouble(call) {
      const number = world.troubles[calls];
      calls += 1;
      return isCalm || number === undefined ? undefined : troubleOf(call, number);
    },
    viewLagMs() {
      views += 1;
      return isCalm ? 0 : (world.lags[views % world.lags.length] ?? 0);
    },
  });
  const node = fakeNode({
    cloud,
    settings: world.settings,
    limits: {
      enisMax: world.configuredEnis,
      addressesPerEni: world.configured,
      ...(world.configured6 === undefined ? {} : { addresses6PerEni: world.configured6 }),
    },
    brokenLinks: (eni) => world.broken.some((serial) => eni === eniId(`eni-${serial}`)),
  });
  return {
    cloud,
    node,
    calm: () => {
      isCalm = true;
    },
  };
}

function play(node: FakeNode, cloud: FakeCloud, move: Move): void {
  switch (move.kind) {
    case "add":
      node.add(`pod-${move.pod}`, move.waitMs);
      return;
    case "del":
      node.del(`pod-${move.pod}`);
      return;
    case "wait":
      node.run(move.forMs);
      return;
    case "others":
      occupy(cloud.vpc, A, move.count);
      return;
    case "restart":
      node.restart(move.loses, move.ipStack);
      return;
    default:
      move satisfies never;
  }
}

const CALM_WORLD: World = {
  settings: { idleMin: 1, idleMax: 1, cooldownMs: 0, vSwitchPolicy: "ordered", eniPolicy: "most_ips" },
  addressesPerEni: 3,
  configured: 3,
  configuredEnis: 3,
  broken: [],
  sizes: [4, 0],
  troubles: [],
  lags: [0],
};

/** Sequences that broke a promise once. */
const FOUND: [World, Move[]][] = [
  // Unassign without reply, then a restart: the address must not be idle again.
  [
    { ...CALM_WORLD, troubles: [undefined, 9, 7, undefined, undefined, undefined, 10, 7] },
    movesOf("add 0 500, wait 130000, restart, add 0 500, add 1 500"),
  ],
  // An Assign under way at a restart, and a view that is late: the limit must not be learnt too low.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 3, idleMax: 4 },
      addressesPerEni: 6,
      configured: 10,
      sizes: [4, 200],
      lags: [0, 0, 1500, 0, 0],
    },
    movesOf(
      "restart, restart, add 0 500, add 3 120000, wait 40000, restart, add 0 500, add 1 500, add 2 500, wait 700, " +
        "add 4 500, add 5 500, restart, add 6 500",
    ),
  ],
  // One more ENI is refused while another one is leaving: so many are allowed all the same.
  [
    { ...CALM_WORLD, configuredEnis: 5, broken: [1], sizes: [4, 7], lags: [300] },
    movesOf("wait 2300, restart, add 0 500, add 5 500, add 1 500, add 2 500, add 3 500, add 4 500"),
  ],
  // Delete says "gone" because the ENI is not visible yet: it is there all the same.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 2, idleMax: 2 },
      troubles: [undefined, 9, undefined, 0, undefined, 0, 0, undefined, 4, 5],
      lags: [0, 0, 1500, 0],
    },
    movesOf("add 0 500, add 1 500"),
  ],
  // A pod whose ENI the store lost, and the view does not show yet: it has an address already.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 0, idleMax: 0 },
      sizes: [4, 200],
      troubles: [undefined, 4],
      lags: [0, 0, 0, 1500, 0],
    },
    movesOf(
      "add 0 500, add 2 500, add 4 500, add 3 120000, add 1 120000, wait 130000, add 0 5000, wait 700, lose, add 0 5000",
    ),
  ],
  // The survey at the start fails, a look at one ENI does not: nothing is given back all the same.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 0, idleMax: 0 },
      troubles: [undefined, undefined, undefined, undefined, 4, 9, 7, undefined, 0],
    },
    movesOf("add 0 500, add 1 40000, wait 130000, restart, restart"),
  ],
  // One more ENI is refused while a late view shows one as not attached that the former run has attached.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 3, idleMax: 3 },
      configuredEnis: 5,
      broken: [3],
      sizes: [4, 7],
      lags: [1500],
    },
    movesOf("add 0 5000, wait 9000, add 1 500, wait 700, restart, add 2 500"),
  ],
  // A late view, after a restart, lists an address that the former run has given back: nobody must get it.
  [
    { ...CALM_WORLD, settings: { ...CALM_WORLD.settings, cooldownMs: 20_000 }, lags: [1500] },
    movesOf("wait 9000, add 7 500, del 7, wait 80700, restart, add 0 500, add 1 500"),
  ],
];

const PAIRS_FOUND: [World, Move[]][] = [
  // Unassign without reply, a late view, then a refusal: the address may be gone all the same.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, ipStack: "ipv6" },
      sizes: [4, 0],
      troubles: [undefined, undefined, undefined, 7, 12, undefined, 12, undefined, 4],
      lags: [1500, 0],
      addresses6PerEni: 2,
      configured6: 3,
    },
    movesOf("wait 700, restart ipv4, wait 130000, restart dual, add 0 500"),
  ],
  // One more ENI is refused while another one was attached by the former run: so many are allowed all the same.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 3, idleMax: 3, ipStack: "dual" },
      configuredEnis: 5,
      broken: [1, 2, 5],
      sizes: [4, 200],
      lags: [1500],
      addresses6PerEni: 2,
      configured6: 3,
    },
    movesOf("wait 130000, add 2 500, add 0 500, restart, add 1 500, add 3 500, wait 700, restart ipv4"),
  ],
  // The same with two of them.
  [
    {
      ...CALM_WORLD,
      settings: { ...CALM_WORLD.settings, idleMin: 3, idleMax: 3, ipStack: "ipv6" },
      configuredEnis: 5,
      broken: [1],
      sizes: [4, 200],
      troubles: [0],
      lags: [1500],
      addresses6PerEni: 2,
      configured6: 3,
    },
    movesOf("wait 2300, restart ipv4, add 0 500, add 1 500"),
  ],
];

/** "add POD WAIT_MS", "del POD", "wait MS", "restart", "lose" (a restart without the records of attached ENIs), "restart IP_STACK". */
function movesOf(text: string): Move[] {
  return text.split(", ").map((word): Move => {
    const [kind = "", first = 0, second = 0] = word.split(" ");
    if (kind === "add") return { kind, pod: Number(first), waitMs: Number(second) };
    if (kind === "del") return { kind, pod: Number(first) };
    if (kind === "wait") return { kind, forMs: Number(first) };
    const ipStack = STACKS.find((stack) => stack === first);
    return { kind: "restart", loses: kind === "lose", ...(ipStack === undefined ? {} : { ipStack }) };
  });
}

function check(world: World, sequence: readonly Move[]): void {
  const { cloud, node, calm } = build(world);
  for (const move of sequence) play(node, cloud, move);
  // Every pod is answered, also while the trouble lasts.
  node.run(121_000);
  expect([...node.waiting.keys()]).toEqual([]);
  calm();
  node.run(3_000_000);
  expect([...node.offences, ...cloud.offences, ...tokenOffences(node)]).toEqual([]);
  // Nothing leaked, nothing is stuck.
  const known = new Map([...node.pool.enis.values()].map(({ facts, state }) => [facts?.id, state.kind]));
  expect(known).toEqual(new Map([...cloud.vpc.enis.keys()].map((id) => [id, "ready"])));
  // What was learnt is never less than the truth.
  const { enisMax, addressesPerEni } = node.pool.limits;
  expect(enisMax).toBeGreaterThanOrEqual(3);
  expect(addressesPerEni).toBeGreaterThanOrEqual(Math.min(world.configured, world.addressesPerEni));
  if (world.addresses6PerEni !== undefined && world.configured6 !== undefined)
    expect(limitOf(node.pool.limits, "ipv6")).toBeGreaterThanOrEqual(
      Math.min(world.configured6, world.addresses6PerEni),
    );
  for (const { facts, addresses } of node.pool.enis.values()) {
    const view = facts === undefined ? undefined : cloud.vpc.enis.get(facts.id)?.view;
    expect(new Set(addresses.keys())).toEqual(
      new Set([...(view?.addresses ?? []), ...(view?.addresses6 ?? [])]),
    );
  }
  expect(idleOffences(node, cloud)).toEqual([]);
}

describe("step()", () => {
  it("keeps its promises whatever happens", () => {
    fc.assert(fc.property(worlds, fc.array(moves, { maxLength: 60, size: "max" }), check), {
      numRuns: 400,
      examples: FOUND,
    });
  }, 120_000);

  it("keeps them for pairs, and when ip_stack changes", () => {
    fc.assert(fc.property(worldsOfPairs, fc.array(movesOfPairs, { maxLength: 60, size: "max" }), check), {
      numRuns: 400,
      examples: PAIRS_FOUND,
    });
  }, 120_000);
});
