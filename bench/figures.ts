/**
 * What the benchmark finds, as data: the rows of its tables and of its JSON. Pure.
 *
 * @module
 */

/** Unit of every sample of a row. */
export type Unit = "ms" | "MB" | "calls" | "reads" | "seconds" | "ns" | "messages";

/** Unit of a comparison. Those a second are of one core: for each second of processor time. */
export type ComparedUnit = "ms" | "MB" | "ns" | "packets/s" | "round trips/s" | "Gbit/s";

/** One of a comparison. Samples as they came. */
export type Compared = {
  readonly name: string;
  readonly samples: readonly number[];
  /** Ours wants to be at most so many times this one: ratio of medians. */
  readonly target?: number;
  /** Ours wants to be at least so many times this one, where more is better. */
  readonly atLeast?: number;
};

/** The same thing done by several, in turn in the same run: ours first. */
export type Comparison = {
  readonly kind: "comparison";
  readonly row: string;
  readonly unit: ComparedUnit;
  /**
   * The n-th samples of all were taken in the same moments: a ratio is the median of the ratios of all n, so that what
   * moves the machine for a second moves both sides of it.
   */
  readonly paired?: boolean;
  readonly contenders: readonly Compared[];
  /** What upstream took, measured elsewhere. */
  readonly upstream?: number;
};

/** What could not be measured on this machine. */
export type Absent = { readonly kind: "absent"; readonly row: string; readonly why: string };

/** One quantity of ours, beside what upstream needs and what we want to reach. */
export type Figure = {
  readonly kind: "figure";
  readonly row: string;
  /** What is measured: "own time", "OpenAPI calls". */
  readonly what: string;
  readonly unit: Unit;
  readonly samples: readonly number[];
  /** Measured elsewhere; see `upstream.ts`. */
  readonly upstream?: number;
  /** Reached where the median is not above it. */
  readonly target?: number;
  /** What the reader has to know to judge the figure. */
  readonly note?: string;
};

export type Row = Comparison | Figure | Absent;

/** Everything that a run found. */
export type Findings = {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    /** "Debian GNU/Linux 12 (bookworm)". */
    readonly system: string;
    readonly kernel: string;
    readonly node: string;
  };
  /** Processes that wanted to run, on average over a minute, before and after the run. */
  readonly load: { readonly before: number; readonly after: number };
  readonly rows: readonly Row[];
};
