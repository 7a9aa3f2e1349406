/**
 * Which rows of the matrix are driven, where, and by which bed.
 *
 * @module
 */
import { type Bed } from "./bed.ts";
import { tryCells } from "./cells.ts";
import { openHybridBed } from "./hybrid-bed.ts";
import { CELL_NAMES, DATAPATHS, type DatapathName, type Row, type Stack, STACKS } from "./table.ts";
import { openVpcBed } from "./vpc-bed.ts";

type Driver =
  /** `name` is a part of every name on the machine. */
  | {
      readonly kind: "bed";
      readonly open: (name: string) => Promise<Bed>;
    }
  | { readonly kind: "not-driven"; readonly why: string };

function driverOf(datapath: DatapathName, stack: Stack): Driver {
  switch (datapath) {
    case "veth":
      return { kind: "bed", open: async (name) => openVpcBed(name, datapath, stack) };
    case "ipvlan":
      return NOT_YET;
    case "overlay":
    case "underlay":
      if (stack === "v6")
        return { kind: "not-driven", why: "a hybrid network without IPv4 is refused by its configuration" };
      return { kind: "bed", open: async (name) => openHybridBed(name, datapath, stack) };
    default:
      return datapath satisfies never;
  }
}

const NOT_YET: Driver = { kind: "not-driven", why: "the agent does not have it" };

export type RowName = { readonly datapath: DatapathName; readonly stack: Stack };

export const ROWS: readonly RowName[] = DATAPATHS.flatMap((datapath) =>
  STACKS.map((stack) => ({ datapath, stack })),
);

/** Whether packets are sent for it. */
export function isDriven({ datapath, stack }: RowName): boolean {
  return driverOf(datapath, stack).kind === "bed";
}

/** `left`: a line for each thing that is left on the machine; it should be empty. */
export type Tried = { readonly row: Row; readonly left: readonly string[] };

/**
 * Tries one row.
 *
 * @throws Error where the cluster of the row could not be made.
 */
export async function tryRow(name: RowName): Promise<Tried> {
  const { datapath, stack } = name;
  const driver = driverOf(datapath, stack);
  if (driver.kind === "not-driven") return notTried(name, driver.why);
  const startedMs = performance.now();
  const bed = await driver.open(`twm${process.pid}-${datapath}-${stack}`);
  const cells = await tryCells(bed, CELL_NAMES);
  const left = await bed.close();
  const tookMs = performance.now() - startedMs;
  return { row: { datapath, stack, result: { kind: "tried", cells, tookMs } }, left };
}

function notTried({ datapath, stack }: RowName, why: string): Tried {
  return { row: { datapath, stack, result: { kind: "not-tried", why } }, left: [] };
}
