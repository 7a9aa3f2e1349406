/**
 * What can happen to a node, as data: a history is a list of operations with all their parameters, so it can be shortened
 * by leaving some out, and played again.
 *
 * @module
 */
import { type Random, seededRandom } from "../../sim/model/random.ts";
import { type Config, type Setting } from "./setting.ts";

/** Actions that faults are ordered for. */
const ACTIONS = [
  "CreateNetworkInterface",
  "AttachNetworkInterface",
  "DescribeNetworkInterfaces",
  "AssignPrivateIpAddresses",
  "UnassignPrivateIpAddresses",
  "DetachNetworkInterface",
  "DeleteNetworkInterface",
  "DescribeVSwitches",
] as const;
type Action = (typeof ACTIONS)[number];

export type Happening =
  /** ADD of a pod; a pod that is there gets the same call again. `retries`: the same call again after a failure. */
  | { readonly kind: "add"; readonly pod: number; readonly deadlineMs: number; readonly retries: number }
  /** `netns`: CNI_NETNS is still there, gone, or empty. `twice`: two calls at once. */
  | {
      readonly kind: "del";
      readonly pod: number;
      readonly netns: "there" | "gone" | "empty";
      readonly twice: boolean;
    }
  /** The caller of an ADD goes away. */
  | { readonly kind: "cancel"; readonly pod: number }
  /** The namespace goes, and nobody tells the agent but a later GC. */
  | { readonly kind: "vanish"; readonly pod: number }
  | { readonly kind: "check"; readonly pod: number }
  | { readonly kind: "gc"; readonly list: boolean }
  | { readonly kind: "status" }
  | { readonly kind: "del-unknown" }
  /** The next calls of an action (of any: "*") go wrong. */
  | {
      readonly kind: "cloud";
      readonly fault: CloudFault;
      readonly action: Action | "*";
      readonly times: number;
    }
  /** The next attachments, devices, detachments or deletions go wrong. */
  | {
      readonly kind: "stuck";
      readonly what: "attachFails" | "linkNeverAppears" | "stuckDetach" | "stuckDelete";
    }
  /** Describe shows the past for so long; 0: the present again. */
  | { readonly kind: "stale"; readonly lagMs: number }
  /** The metadata service shows changes so much later from now on (0: as usual again), or does not answer so many requests. */
  | { readonly kind: "metadata"; readonly lagMs: number; readonly errors: number }
  /** Others take all but so many addresses of a vSwitch; -1: they give them back. */
  | { readonly kind: "exhaust"; readonly vSwitch: 0 | 1; readonly leave: number }
  | { readonly kind: "foreign-eni"; readonly attached: boolean }
  /** An operator takes away or sets down what is ours: in the cloud, or on the node. */
  | { readonly kind: "tamper"; readonly what: Tampering; readonly which: number }
  /** The agent's listener overflows at the next changes. */
  | { readonly kind: "deaf"; readonly changes: number }
  /** The agent is killed, and starts without the lease of a pod: a damaged row. Histories by chance have none of it. */
  | { readonly kind: "lose-lease"; readonly pod: number }
  /** The agent ends, its database is deleted. `results`: the runtime's cache is there, so pods are known by name. */
  | { readonly kind: "lose-store"; readonly results: boolean; readonly downMs: number }
  | { readonly kind: "disk"; readonly forMs: number }
  | { readonly kind: "kernel-fails"; readonly calls: number }
  /** Killed before the `effects`th effect from now, and started again `downMs` later. */
  | { readonly kind: "kill"; readonly effects: number; readonly downMs: number; readonly change?: Change }
  | { readonly kind: "stop"; readonly downMs: number; readonly change?: Change }
  /** `powerLoss`: un-synced writes are lost. */
  | { readonly kind: "reboot"; readonly powerLoss: boolean; readonly downMs: number };

/** What is other than before when the agent starts again. */
export type Change = { readonly clockMs?: number; readonly config?: Config };

export type CloudFault =
  | { readonly kind: "error"; readonly code: string }
  | { readonly kind: "html502" | "reset" | "hang" | "lostReply" | "emptyNetworkInterfaceId" }
  | { readonly kind: "delay" | "holdReply"; readonly delayMs: number };

/** `down`: a pod's link; `rule`: an ENI's; `table`: ours of nftables. */
export type Tampering = "eni" | "address" | "link" | "down" | "route" | "rule" | "pods-rule" | "table";

/** It happens `afterMs` after the one before. `salt`: what chance does until the next one depends on it. */
export type Operation = { readonly afterMs: number; readonly salt: number; readonly happening: Happening };

export type History = {
  readonly seed: number;
  readonly setting: Setting;
  readonly operations: readonly Operation[];
};

export const PODS = 10;
const AFTER_MS = [0, 0, 0, 1, 1, 5, 5, 30, 200, 1_000, 1_000, 4_000, 15_000, 50_000] as const;
/** What clouds say when they are busy, in conflict, or out of something. */
const CODES = [
  "Throttling.User",
  "Throttling",
  "ServiceUnavailable",
  "InternalError",
  "Operation.Conflict",
  "InvalidOperation.Conflict",
  "InvalidVSwitchId.IpNotEnough",
  "InvalidEniId.NotFound",
  "InvalidEniState",
  "IncorrectInstanceStatus",
] as const;

/** What does not happen, although it could be drawn. */
/** `late`: a view of the cloud may be older than what we, or an operator, did last. `mayStick`: a detachment may get stuck. */
export type Now = { readonly late: boolean; readonly mayStick: boolean };

export type Excluded = { readonly meets: (happening: Happening, now: Now) => boolean };

/** A history of so many operations. What is excluded is replaced by a look at STATUS. */
export function drawHistory(seed: number, count: number, excluded: readonly Excluded[]): History {
  const random = seededRandom(seed);
  const total = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  const setting: Setting = {
    enis: random.pick([1, 2, 2, 3]),
    perEni: random.pick([2, 3, 6]),
    sizes: random.pick([
      [60, 60],
      [60, 60],
      [4, 60],
      [5, 8],
    ] as const),
    config: drawConfig(random),
    ipStack: random.pick(["ipv4", "ipv4", "dual", "ipv6"]),
  };
  const operations = Array.from({ length: count }, (): Operation => {
    let at = random.unit() * total;
    const [, , draw] = WEIGHTS.find(([, weight]) => (at -= weight) < 0) ?? WEIGHTS[0];
    const drawn = draw(random);
    const isOff = excluded.some(({ meets }) => meets(drawn, { late: false, mayStick: false }));
    const happening: Happening = isOff ? { kind: "status" } : drawn;
    return { afterMs: random.pick(AFTER_MS), salt: random.between(0, 0x7fff_ffff), happening };
  });
  return { seed, setting, operations };
}

function drawConfig(random: Random): Config {
  const idleMin = random.pick([0, 0, 1, 3]);
  return {
    idleMin,
    idleMax: idleMin + random.pick([0, 1, 3, 5]),
    cooldownS: random.pick([0, 10, 30]),
    policy: random.pick(["ordered", "random", "most"]),
    eniPolicy: random.pick(["most_ips", "least_ips"]),
    knowsType: random.unit() < 0.7,
  };
}

const pod = (random: Random): number => random.between(0, PODS - 1);
const downMs = (random: Random): number => random.pick([10, 300, 2_000, 20_000, 200_000]);

function drawChange(random: Random): { readonly change?: Change } {
  const unit = random.unit();
  if (unit < 0.1) return { change: { clockMs: random.pick([-600_000, -5_000, 5_000, 600_000]) } };
  return unit < 0.2 ? { change: { config: drawConfig(random) } } : {};
}

type Draw = (random: Random) => Happening;

const WEIGHTS: readonly [
  readonly [kind: string, weight: number, draw: Draw],
  ...(readonly [kind: string, weight: number, draw: Draw])[],
] = [
  [
    "add",
    40,
    (random) => ({
      kind: "add",
      pod: pod(random),
      deadlineMs: random.pick([5_000, 30_000, 90_000, 90_000]),
      retries: random.pick([0, 0, 1, 2]),
    }),
  ],
  [
    "del",
    26,
    (random) => ({
      kind: "del",
      pod: pod(random),
      netns: random.pick(["there", "there", "gone", "empty"]),
      twice: random.unit() < 0.1,
    }),
  ],
  ["cancel", 3, (random) => ({ kind: "cancel", pod: pod(random) })],
  ["vanish", 2, (random) => ({ kind: "vanish", pod: pod(random) })],
  ["check", 4, (random) => ({ kind: "check", pod: pod(random) })],
  ["gc", 2, (random) => ({ kind: "gc", list: random.unit() < 0.8 })],
  ["status", 1, () => ({ kind: "status" })],
  ["del-unknown", 1, () => ({ kind: "del-unknown" })],
  [
    "cloud",
    6,
    (random) => ({
      kind: "cloud",
      fault: drawFault(random),
      action: random.unit() < 0.3 ? "*" : random.pick(ACTIONS),
      times: random.pick([1, 1, 1, 2, 5]),
    }),
  ],
  [
    "stuck",
    1,
    (random) => ({
      kind: "stuck",
      what: random.pick(["attachFails", "linkNeverAppears", "stuckDetach", "stuckDelete"]),
    }),
  ],
  ["stale", 2, (random) => ({ kind: "stale", lagMs: random.pick([0, 0, 1_500, 20_000, 150_000, 600_000]) })],
  [
    "metadata",
    2,
    (random) => ({
      kind: "metadata",
      lagMs: random.pick([0, 0, 20_000, 150_000, 600_000]),
      errors: random.pick([0, 0, 1, 20]),
    }),
  ],
  [
    "exhaust",
    1,
    (random) => ({
      kind: "exhaust",
      vSwitch: random.pick([0, 1]),
      leave: random.pick([-1, -1, 0, 2]),
    }),
  ],
  ["foreign-eni", 0.3, (random) => ({ kind: "foreign-eni", attached: random.unit() < 0.7 })],
  [
    "tamper",
    1.5,
    (random) => ({
      kind: "tamper",
      what: random.pick(["eni", "address", "link", "down", "route", "route", "rule", "pods-rule", "table"]),
      which: random.between(0, 99),
    }),
  ],
  ["deaf", 0.3, (random) => ({ kind: "deaf", changes: random.between(1, 3) })],
  [
    "lose-store",
    0.3,
    (random) => ({ kind: "lose-store", results: random.unit() < 0.6, downMs: downMs(random) }),
  ],
  ["disk", 0.7, (random) => ({ kind: "disk", forMs: random.pick([1, 500, 5_000, 60_000]) })],
  ["kernel-fails", 1, (random) => ({ kind: "kernel-fails", calls: random.pick([1, 1, 2, 5]) })],
  [
    "kill",
    3,
    (random) => ({
      kind: "kill",
      effects: random.between(1, 12),
      downMs: downMs(random),
      ...drawChange(random),
    }),
  ],
  ["stop", 0.5, (random) => ({ kind: "stop", downMs: downMs(random), ...drawChange(random) })],
  ["reboot", 0.3, (random) => ({ kind: "reboot", powerLoss: random.unit() < 0.5, downMs: downMs(random) })],
];

function drawFault(random: Random): CloudFault {
  const unit = random.unit();
  if (unit < 0.4) return { kind: "error", code: random.pick(CODES) };
  if (unit < 0.6) return { kind: random.pick(["delay", "holdReply"]), delayMs: random.between(100, 25_000) };
  return {
    kind: random.pick(["lostReply", "lostReply", "reset", "hang", "html502", "emptyNetworkInterfaceId"]),
  };
}

/** One line: "+1000 ms add pod=3 deadlineMs=30000". */
export function formatOperation({ afterMs, happening }: Operation): string {
  const { kind, ...rest } = happening;
  const facts = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
  );
  return `+${afterMs} ms ${[kind, ...facts].join(" ")}`;
}
