/**
 * Where a node hears what all hybrid nodes publish: a file, the Kubernetes API. The first one is `daemon/hybrid-conf/`.
 *
 * @module
 */
import { type HybridView } from "./network.ts";

export type HybridNews =
  /**
   * All that is published now. `text`: the same in the format of the file, for whoever wants to keep it. `report`: records
   * that are left out and what else a person should know, each with its place; empty where all is well.
   */
  | { readonly kind: "view"; readonly view: HybridView; readonly text: string; readonly report: string }
  /** What is published now cannot be used: the former view stays. `report`: what is wrong, where, what to do. */
  | { readonly kind: "unusable"; readonly report: string };

/** Tells each change to the listener that it was opened with. */
export type HybridSource = Disposable & {
  /** The newest. */
  readonly news: () => HybridNews;
};
