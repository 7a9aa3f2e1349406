/**
 * The matrix of all datapaths: what its rows and cells are, and how it is shown. A cell is an exchange of packets that was
 * made, or says why this kernel cannot make it; a row that is not driven says so. None is silently absent.
 *
 * @module
 */

export const DATAPATHS = ["veth", "ipvlan", "overlay", "underlay"] as const;
export type DatapathName = (typeof DATAPATHS)[number];

/** The families that pods have. */
export const STACKS = ["v4", "v6", "dual"] as const;
export type Stack = (typeof STACKS)[number];

/** Cell -> what is exchanged in it. */
export const CELLS = {
  "same node": "between two pods of one node, on one ENI where there are ENIs",
  "other ENI": "between two pods of one node on two ENIs",
  "other node": "between pods of two nodes in one subnet",
  "other subnet": "between pods of two nodes in two subnets",
  "node to pod": "from a node to its own pod and to another node's",
  "pod to node": "from a pod to its own node and to others",
  Service: "from pods and node to Service addresses, endpoints on the node, on another and the client itself",
  "local DNS": "from a pod to the node-local resolver's address on its node",
  outside: "from a pod to a host outside of all networks of the cluster",
  spoofed: "a foreign source address reaches nobody and is counted",
  "above MTU": "large datagrams arrive in fragments; where the path is narrower, ICMP says so and TCP adapts",
} as const;
export type CellName = keyof typeof CELLS;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const CELL_NAMES = Object.keys(CELLS) as readonly CellName[];

export type Verdict =
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "impossible"; readonly why: string };

export type Row = {
  readonly datapath: DatapathName;
  readonly stack: Stack;
  readonly result:
    | { readonly kind: "tried"; readonly cells: Readonly<Record<CellName, Verdict>>; readonly tookMs: number }
    /** Nothing of it was tried. */
    | { readonly kind: "not-tried"; readonly why: string };
};

const MARK = { passed: "ok", failed: "FAILED", impossible: "-" } as const;

/** A line for each row, and below it a line for each failed or impossible cell; equal reasons are given once. */
export function formatMatrix(rows: readonly Row[]): string {
  const titles = ["datapath", "", ...CELL_NAMES];
  const lines = rows.map(({ datapath, stack, result }) =>
    result.kind === "tried"
      ? [datapath, stack, ...CELL_NAMES.map((cell) => MARK[result.cells[cell].kind])]
      : [datapath, stack, `not tried: ${result.why}`],
  );
  const widths = titles.map((title, column) =>
    Math.max(
      title.length,
      ...lines.filter((line) => line.length === titles.length).map((line) => line[column]?.length ?? 0),
      ...(column < 2 ? lines.map((line) => line[column]?.length ?? 0) : []),
    ),
  );
  const table = [titles, ...lines].map((line) =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...table, ...reasons(rows)].map((line) => `${line}\n`).join("");
}

function reasons(rows: readonly Row[]): string[] {
  const where = new Map<string, string[]>();
  for (const { datapath, stack, result } of rows) {
    if (result.kind !== "tried") continue;
    for (const cell of CELL_NAMES) {
      const verdict = result.cells[cell];
      if (verdict.kind === "passed") continue;
      const reason = `${verdict.kind}: ${verdict.why}`;
      where.set(reason, [...(where.get(reason) ?? []), `${datapath} ${stack} ${cell}`]);
    }
  }
  return [...where].map(([reason, cells]) => `${cells.join(", ")} ${reason}`);
}
