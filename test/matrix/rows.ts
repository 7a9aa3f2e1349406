/**
 * Which rows of the matrix are driven, and by which bed.
 *
 * @module
 */
import { type Bed } from "./bed.ts";
import { tryCells } from "./cells.ts";
import { CELL_NAMES, DATAPATHS, type DatapathName, type Row, type Stack, STACKS } from "./table.ts";
import { openHybridBed } from "./hybrid-bed.ts";
import { openVpcBed } from "./vpc-bed.ts";

type Driver =
  /** `name` is a part of every name on the machine. */
  | { readonly kind: "bed"; readonly open: (name: string) => Promise<Bed> }
  | { readonly kind: "not-driven"; readonly why: string };

function driverOf(datapath: DatapathName, stack: Stack): Driver {
  if (datapath === "veth" && stack === "v4")
    return { kind: "bed", open: async (name) => openVpcBed(name, stack) };
  if ((datapath === "overlay" || datapath === "underlay") && stack === "v4")
    return { kind: "bed", open: async (name) => openHybridBed(name, datapath, stack) };
  return { kind: "not-driven", why: "the agent does not have it" };
}

export type RowName = { readonly datapath: DatapathName; readonly stack: Stack };

export const ROWS: readonly RowName[] = DATAPATHS.flatMap((datapath) =>
  STACKS.map((stack) => ({ datapath, stack })),
);

/** Whether packets are sent for it. */
export function isDriven({ datapath, stack }: RowName): boolean {
  return driverOf(datapath, stack).kind === "bed";
}

/**
 * Tries one row. `left`: a line for each thing that is left on the machine; it should be empty.
 *
 * @throws Error where the cluster of the row could not be made.
 */
export async function tryRow({
  datapath,
  stack,
}: RowName): Promise<{ readonly row: Row; readonly left: readonly string[] }> {
  const driver = driverOf(datapath, stack);
  if (driver.kind === "not-driven")
    return { row: { datapath, stack, result: { kind: "not-tried", why: driver.why } }, left: [] };
  const startedMs = performance.now();
  const bed = await driver.open(`twm${process.pid}-${datapath}-${stack}`);
  const cells = await tryCells(bed, CELL_NAMES);
  const left = await bed.close();
  return {
    row: { datapath, stack, result: { kind: "tried", cells, tookMs: performance.now() - startedMs } },
    left,
  };
}
