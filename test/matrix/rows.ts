/**
 * Which rows of the matrix are driven, where, and by which bed.
 *
 * @module
 */
import { ipvlanKernel } from "../uml/ipvlan-kernel.ts";
import { runInUml, umlNftObstacle } from "../uml/run-in-uml.ts";
import { type Bed } from "./bed.ts";
import { tryCells } from "./cells.ts";
import { openHybridBed } from "./hybrid-bed.ts";
import { CELL_NAMES, DATAPATHS, type DatapathName, type Row, type Stack, STACKS } from "./table.ts";
import { openVpcBed } from "./vpc-bed.ts";

type Driver =
  /** `name` is a part of every name on the machine. `needsIpvlan`: which this machine's kernel may lack. */
  | {
      readonly kind: "bed";
      readonly needsIpvlan: boolean;
      readonly open: (name: string) => Promise<Bed>;
    }
  | { readonly kind: "not-driven"; readonly why: string };

function driverOf(datapath: DatapathName, stack: Stack): Driver {
  switch (datapath) {
    case "veth":
    case "ipvlan":
      return {
        kind: "bed",
        needsIpvlan: datapath === "ipvlan",
        open: async (name) => openVpcBed(name, datapath, stack),
      };
    case "overlay":
    case "underlay":
      if (stack === "v6")
        return { kind: "not-driven", why: "a hybrid network without IPv4 is refused by its configuration" };
      return { kind: "bed", needsIpvlan: false, open: async (name) => openHybridBed(name, datapath, stack) };
    default:
      return datapath satisfies never;
  }
}

const GUEST_TIMEOUT_MS = 600_000;

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
 * Tries one row, on the kernel that it needs.
 *
 * @throws Error where the cluster of the row could not be made.
 */
export async function tryRow(name: RowName): Promise<Tried> {
  const driver = driverOf(name.datapath, name.stack);
  if (driver.kind === "not-driven") return notTried(name, driver.why);
  if (!driver.needsIpvlan || (await ipvlanKernel()) === "own") return tryHere(name, driver.open);
  const obstacle = await umlNftObstacle();
  return obstacle === undefined ? tryInGuest(name) : notTried(name, obstacle);
}

async function tryHere({ datapath, stack }: RowName, open: (name: string) => Promise<Bed>): Promise<Tried> {
  const startedMs = performance.now();
  const bed = await open(`twm${process.pid}-${datapath}-${stack}`);
  const cells = await tryCells(bed, CELL_NAMES);
  const left = await bed.close();
  const tookMs = performance.now() - startedMs;
  return { row: { datapath, stack, result: { kind: "tried", cells, tookMs } }, left };
}

/** On the kernel of User Mode Linux (test/uml/). @throws as `tryRow` */
async function tryInGuest({ datapath, stack }: RowName): Promise<Tried> {
  const program = [process.execPath, "test/matrix/main.ts", datapath, stack, "-o", "json"] as const;
  const ran = await runInUml({ command: program, memoryMib: 2048, timeoutMs: GUEST_TIMEOUT_MS });
  const [line] = ran.stdout.split("\n").filter((text) => text.startsWith("{"));
  if (line === undefined)
    throw new Error(`${program.join(" ")} in the guest: ${JSON.stringify(ran.end)}\n${ran.stderr}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what main.ts prints
  const { rows, left } = JSON.parse(line) as {
    readonly rows: readonly Row[];
    readonly left: readonly string[];
  };
  const [row] = rows;
  if (row === undefined) throw new Error(`${datapath} ${stack} was not tried in the guest`);
  return { row, left };
}

function notTried({ datapath, stack }: RowName, why: string): Tried {
  return { row: { datapath, stack, result: { kind: "not-tried", why } }, left: [] };
}
