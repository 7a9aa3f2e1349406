/**
 * What every row gets from the run that it is part of.
 *
 * @module
 */
import { type Row } from "./figures.ts";

export type BenchRun = {
  /** Begins the names of everything that is made: namespaces, simulator, directories. */
  readonly name: string;
  readonly quick: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** A line for who waits. */
  readonly progress: (text: string) => void;
};

/** Measures and cleans up after itself, also where it throws. */
export type Measure = (run: BenchRun) => Promise<readonly Row[]>;
