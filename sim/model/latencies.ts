/**
 * How slow the simulated cloud is: a range for each kind of delay, from which each delay is drawn evenly.
 * No official numbers exist; the defaults come from what clients of the real cloud are built to wait for.
 *
 * @module
 */
import * as z from "zod";

/** A range in milliseconds of simulated time. */
export type DelayRange = { readonly minMs: number; readonly maxMs: number };

const DEFAULTS = {
  /** From a call to its answer. */
  create: [300, 600],
  attach: [100, 300],
  assign: [300, 900],
  unassign: [200, 600],
  detach: [100, 300],
  delete: [100, 300],
  modify: [100, 300],
  describe: [30, 120],
  /** From a call that is refused at the door (signature apart) to its answer. */
  refuse: [20, 80],
  /** From the answer of Attach: the device appears, the status becomes InUse, the metadata service lists it. Any order. */
  attachLink: [1000, 2500],
  attachInUse: [1100, 3300],
  attachMetadata: [1200, 4000],
  /** From the answer of Detach to Available; the device goes somewhere in between. */
  detachDone: [1000, 3000],
  /** From the answer of Delete until the ENI is gone. */
  deleteDone: [500, 2000],
  /** From a change until packets are treated accordingly. */
  dataPlane: [50, 400],
  /** From a change until the metadata service shows it. */
  metadata: [200, 1500],
  /** From a change until the Describe actions show it. */
  visibility: [0, 300],
  /** From the release of an address until it may be given out again. */
  addressHoldOff: [2000, 5000],
} as const satisfies Record<string, readonly [minMs: number, maxMs: number]>;

/** What can be slow. */
export type LatencyName = keyof typeof DEFAULTS;
export type Latencies = Readonly<Record<LatencyName, DelayRange>>;

const rangeSchema = z
  .strictObject({ minMs: z.number().min(0).max(3_600_000), maxMs: z.number().min(0).max(3_600_000) })
  .refine((range) => range.minMs <= range.maxMs, { error: "minMs is larger than maxMs" });

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table above, by construction
const NAMES = Object.keys(DEFAULTS) as readonly LatencyName[];

/** Some of the ranges: what the operator sends to change them while the cloud runs. */
export const latencyChangesSchema = z.strictObject(
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one optional range per name
  Object.fromEntries(NAMES.map((name) => [name, rangeSchema.optional()])) as Record<
    LatencyName,
    z.ZodOptional<typeof rangeSchema>
  >,
);

export type LatencyChanges = z.infer<typeof latencyChangesSchema>;

/** The defaults with `changes` in place of theirs. */
export function latenciesWith(changes: LatencyChanges, base: Latencies = defaultLatencies()): Latencies {
  const given = Object.entries(changes).filter(([, range]) => range !== undefined);
  return { ...base, ...Object.fromEntries(given) };
}

function defaultLatencies(): Latencies {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every name of the table has its range
  return Object.fromEntries(
    NAMES.map((name) => [name, { minMs: DEFAULTS[name][0], maxMs: DEFAULTS[name][1] }]),
  ) as Latencies;
}
