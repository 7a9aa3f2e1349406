/**
 * The two figures that most rows of the cloud have: OpenAPI calls and metadata reads. Pure.
 *
 * @module
 */
import { type Calls } from "./call-counts.ts";
import { type Figure } from "./figures.ts";

type Beside = {
  readonly upstream?: { readonly calls: number; readonly reads: number };
  readonly target?: { readonly calls?: number; readonly reads?: number };
  readonly note?: string;
};

/** One sample for each time that it was measured; the note stands at the calls. */
export function callFigures(row: string, measured: readonly Calls[], beside: Beside): [Figure, Figure] {
  const { upstream, target, note } = beside;
  const calls = measured.map(({ openApi }) => openApi);
  const reads = measured.map(({ metadata }) => metadata);
  return [
    {
      kind: "figure",
      row,
      what: "OpenAPI calls",
      unit: "calls",
      samples: calls,
      ...(upstream !== undefined && { upstream: upstream.calls }),
      ...(target?.calls !== undefined && { target: target.calls }),
      ...(note !== undefined && { note }),
    },
    {
      kind: "figure",
      row,
      what: "metadata reads",
      unit: "reads",
      samples: reads,
      ...(upstream !== undefined && { upstream: upstream.reads }),
      ...(target?.reads !== undefined && { target: target.reads }),
    },
  ];
}
