/**
 * Operations on a kernel, as data, and their answers in words that the real kernel and its model share: which kind of fault, which
 * traces, what is found. Sequences are random, and repeated by their seed.
 *
 * @module
 */
import { parseIpv4 } from "../../proto/addr.ts";
import { parseIpv6 } from "../../proto/addr6.ts";
import { type Fault } from "../../proto/fault.ts";
import { type Result } from "../../proto/result.ts";
import { type PodLink, type PodTrace, type Suspect } from "../../daemon/core/kernel.ts";
import { type KernelView } from "../../daemon/core/rebuild/rebuild.ts";
import { type Random, seededRandom } from "../../sim/model/random.ts";
import { type Damage } from "./kernel-model.ts";

/** A pod by number; some share an address, a link's name or a namespace, which they must not. */
export type PodShape = {
  readonly hostName: string;
  readonly netns: number;
  readonly slot: 0 | 1;
  /** Its addresses are those of this number. */
  readonly number: number;
  readonly stack: "ipv4" | "dual" | "ipv6";
};

export const NAMESPACES = 5;
export const SLOTS = [0, 1] as const;
export const POD_SHAPES: readonly PodShape[] = [
  { hostName: "twka", netns: 0, slot: 0, number: 20, stack: "ipv4" },
  { hostName: "twkb", netns: 1, slot: 0, number: 21, stack: "dual" },
  { hostName: "twkc", netns: 2, slot: 1, number: 22, stack: "ipv6" },
  // The address of the first.
  { hostName: "twkd", netns: 3, slot: 0, number: 20, stack: "ipv4" },
  // The link's name of the first.
  { hostName: "twka", netns: 4, slot: 1, number: 23, stack: "dual" },
  // The namespace and interface of the second.
  { hostName: "twke", netns: 1, slot: 0, number: 24, stack: "ipv4" },
  // The first one under another name.
  { hostName: "twkf", netns: 0, slot: 0, number: 20, stack: "ipv4" },
];

/** As the pod of this number is to be attached. `netns`: the path of its namespace. */
export function linkOf({ hostName, slot, number, stack }: PodShape, netns: string): PodLink {
  const v4 = parseIpv4(`10.0.${slot + 1}.${number}`);
  const v6 = parseIpv6(`fd00:0:0:${slot + 1}::${number}`);
  if (v4 === undefined || v6 === undefined) throw new Error(`no address has the number ${number}`);
  const addresses = { ...(stack !== "ipv6" && { v4 }), ...(stack !== "ipv4" && { v6 }) };
  return { hostName, netns, ifName: "eth0", addresses, slot, mtu: 1400, datapath: "veth" };
}

export function shapeOf(pod: number): PodShape {
  const shape = POD_SHAPES[pod];
  if (shape === undefined) throw new Error(`there is no pod ${pod}`);
  return shape;
}

export type KernelOperation =
  | { readonly kind: "attach" | "detach" | "check-pod"; readonly pod: number }
  | { readonly kind: "end-namespace" | "new-namespace"; readonly netns: number }
  | {
      readonly kind: "configure" | "forget" | "prepare-eni" | "mtu" | "await" | "plug" | "unplug";
      readonly slot: 0 | 1;
    }
  | { readonly kind: "traces" | "slots" | "survey" | "check-node" | "prepare-host" | "clean-host" | "tables" }
  | { readonly kind: "damage"; readonly damage: DrawnDamage };

/** `pod`: whose link, or whose route of the first address. */
export type DrawnDamage =
  | { readonly kind: "link" | "down" | "route"; readonly pod: number }
  | Extract<Damage, { readonly kind: "eni-rule" | "pods-rule" | "table" }>;

type Draw = (random: Random) => KernelOperation;

const pod = (random: Random): number => random.between(0, POD_SHAPES.length - 1);
const netns = (random: Random): number => random.between(0, NAMESPACES - 1);
const ofSlot =
  (kind: Extract<KernelOperation, { readonly slot: 0 | 1 }>["kind"]): Draw =>
  (random) => ({ kind, slot: random.pick(SLOTS) });

const WEIGHTS: readonly (readonly [weight: number, draw: Draw])[] = [
  [24, (random) => ({ kind: "attach", pod: pod(random) })],
  [12, (random) => ({ kind: "detach", pod: pod(random) })],
  [14, (random) => ({ kind: "check-pod", pod: pod(random) })],
  [4, (random) => ({ kind: "end-namespace", netns: netns(random) })],
  [5, (random) => ({ kind: "new-namespace", netns: netns(random) })],
  [7, ofSlot("configure")],
  [4, ofSlot("forget")],
  [1, ofSlot("prepare-eni")],
  [2, ofSlot("mtu")],
  [2, ofSlot("await")],
  [2, ofSlot("unplug")],
  [3, ofSlot("plug")],
  [8, () => ({ kind: "traces" })],
  [3, () => ({ kind: "slots" })],
  [5, () => ({ kind: "survey" })],
  [5, () => ({ kind: "check-node" })],
  [3, () => ({ kind: "prepare-host" })],
  [1, () => ({ kind: "clean-host" })],
  [4, () => ({ kind: "tables" })],
  [3, (random) => ({ kind: "damage", damage: { kind: "link", pod: pod(random) } })],
  [3, (random) => ({ kind: "damage", damage: { kind: "down", pod: pod(random) } })],
  [3, (random) => ({ kind: "damage", damage: { kind: "route", pod: pod(random) } })],
  [2, (random) => ({ kind: "damage", damage: { kind: "eni-rule", slot: random.pick(SLOTS) } })],
  [1, () => ({ kind: "damage", damage: { kind: "pods-rule" } })],
  [1, () => ({ kind: "damage", damage: { kind: "table" } })],
];

/** Begins as an agent does, and ends with a look at everything. */
export function drawOperations(seed: number, count: number): readonly KernelOperation[] {
  const random = seededRandom(seed);
  const total = WEIGHTS.reduce((sum, [weight]) => sum + weight, 0);
  const drawn = Array.from({ length: count }, (): KernelOperation => {
    let at = random.unit() * total;
    const found = WEIGHTS.find(([weight]) => (at -= weight) < 0);
    return found === undefined ? { kind: "traces" } : found[1](random);
  });
  return [
    { kind: "prepare-host" },
    ...SLOTS.map((slot) => ({ kind: "configure", slot }) as const),
    ...drawn,
    { kind: "traces" },
    { kind: "survey" },
    { kind: "check-node" },
    { kind: "tables" },
  ];
}

/** The kind of a fault, and its errno where it is the kernel's. */
export function faultWords(fault: Fault): string {
  return fault.kind === "kernel" ? `kernel ${fault.errno}` : fault.kind;
}

export function wordsOf<Value>(result: Result<Value>, words: (value: Value) => unknown): unknown {
  return result.ok ? words(result.value) : faultWords(result.fault);
}

export function traceWords(traces: readonly PodTrace[]): readonly string[] {
  return traces.map(({ hostName, address }) => `${hostName} ${address}`).toSorted();
}

export function surveyWords({ pods, enis, wasUsed }: KernelView): unknown {
  return {
    wasUsed,
    enis: enis.map(({ slot, mac }) => `${slot} ${mac}`).toSorted(),
    pods: pods
      .map(({ hostName, addresses, slot, podMac }) =>
        [hostName, ...addresses.map(String).toSorted(), slot, podMac === undefined ? "" : "wired"].join(" "),
      )
      .toSorted(),
  };
}

/** A link or namespace that is gone is said in the same words; of what hangs on a link only that it differs. */
export function podWords(lines: readonly string[], { hostName }: PodShape): readonly string[] {
  const isGone = lines.some((line) => /^network namespace .* is gone$/.test(line));
  const isMissing = lines.includes(`device ${hostName} is missing`);
  const others = lines.some((line) => !/is gone$|^device \S+( in \S+)? is missing$/.test(line));
  return [
    ...(isGone ? ["namespace"] : []),
    ...(isMissing ? ["link"] : []),
    ...(others && !isMissing && !isGone ? ["differs"] : []),
  ];
}

export function nodeWords(lines: readonly string[]): readonly string[] {
  const missing = lines.filter((line) => /^device \d+ with the MAC/.test(line));
  const slots = missing.map((line) => `no device: ${/slot \d+/.exec(line)?.[0] ?? line}`);
  return [...slots.toSorted(), ...(lines.length > missing.length ? ["differs"] : [])];
}

/** What exists, beside the answers of the port. */
export type TableFacts = {
  readonly links: readonly string[];
  readonly podsRule: boolean;
  readonly eniRules: readonly number[];
  readonly chains: readonly number[];
};

/** Whom a listener was told of: addresses of pods, "node" or "all". A device that is up is told of now and then, without a reason. */
export function suspectWords(suspects: readonly Suspect[]): readonly string[] {
  const words = suspects.flatMap((suspect): readonly string[] => {
    if (suspect.kind !== "pod") return [suspect.kind];
    return suspect.link?.isUp === true ? [] : [suspect.address];
  });
  return [...new Set(words)].toSorted();
}

/** What somebody else did was heard of, by whom it concerns at least. */
export type Told = { readonly told: readonly string[] };

/** Plays operations on one kernel. */
export type Player = (operation: KernelOperation) => Promise<unknown>;
