/**
 * What the benchmark finds, as data: the rows of its tables and of its JSON. Pure.
 *
 * @module
 */

/** Unit of every sample of a row. */
export type Unit = "ms" | "MB" | "calls" | "reads" | "seconds";

/** The same thing done by several, in turn in the same run: ours first. Samples in milliseconds, as they came. */
export type Comparison = {
  readonly kind: "comparison";
  readonly row: string;
  readonly contenders: readonly { readonly name: string; readonly samples: readonly number[] }[];
  /** What upstream took in milliseconds, measured elsewhere. */
  readonly upstream?: number;
};

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

export type Row = Comparison | Figure;

/** Everything that a run found. */
export type Findings = {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly kernel: string;
    readonly node: string;
  };
  readonly rows: readonly Row[];
};
