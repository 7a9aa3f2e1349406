/**
 * Every row of the matrix, and that its cells find what is broken. The matrix goes to the file that TEST_MATRIX names, for
 * the end of the summary, or else to standard error; as data to `.cache/matrix.json`.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { must, run } from "../harness/process.ts";
import { cannotRun } from "../runtime/notes.ts";
import { ipvlanKernel } from "../uml/ipvlan-kernel.ts";
import { umlNftObstacle } from "../uml/run-in-uml.ts";
import { type Bed } from "./bed.ts";
import { tryCells } from "./cells.ts";
import { isDriven, type RowName, ROWS, tryRow } from "./rows.ts";
import { type CellName, formatMatrix, type Row } from "./table.ts";
import { openVpcBed } from "./vpc-bed.ts";

const CACHE = join(import.meta.dirname, "../../.cache");

/** A guest has one processor, which is not fast. */
const ROW_TIMEOUT_MS = 660_000;

const obstacle = (await ipvlanKernel()) === "own" ? undefined : await umlNftObstacle();
if (obstacle !== undefined) cannotRun("ipvlan", obstacle);

describe("tryRow()", () => {
  const tried = new Map<RowName, Row>();

  afterAll(async () => {
    const rows: Row[] = [];
    for (const name of ROWS) {
      const row = tried.get(name) ?? (isDriven(name) ? untried(name) : (await tryRow(name)).row);
      rows.push(row);
    }
    const text = formatMatrix(rows);
    const path = process.env["TEST_MATRIX"];
    if (path === undefined) process.stderr.write(text);
    else writeFileSync(path, text);
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(join(CACHE, "matrix.json"), `${JSON.stringify(rows, undefined, 1)}\n`);
  });

  for (const name of ROWS.filter(isDriven)) {
    it(
      `${name.datapath} ${name.stack}: packets pass as they should, and nothing is left`,
      { timeout: ROW_TIMEOUT_MS },
      async () => {
        const { row, left } = await tryRow(name);
        tried.set(name, row);
        const cells = row.result.kind === "tried" ? Object.entries(row.result.cells) : [];
        expect(cells.filter(([, verdict]) => verdict.kind === "failed")).toEqual([]);
        expect(left).toEqual([]);
      },
    );
  }
});

/** Its cluster could not be made; the failed test says why. */
function untried({ datapath, stack }: RowName): Row {
  return { datapath, stack, result: { kind: "not-tried", why: "its cluster could not be made" } };
}

/** What is done to a node or a pod, the cell that has to fail, and why. */
const SABOTAGE: readonly {
  readonly what: string;
  readonly cell: CellName;
  readonly says: RegExp;
  readonly do: (bed: Bed) => Promise<unknown>;
}[] = [
  {
    what: "a node that forwards no TCP",
    cell: "same node",
    says: /^pod n1-p0 to pod n1-p1 \S+ by tcp: no answer; pod n1-p1 to pod n1-p0 \S+ by tcp: no answer$/,
    do: async (bed) => nft(bed, "filter hook forward priority -250", "meta l4proto tcp drop"),
  },
  {
    what: "a node that changes a pod's address",
    cell: "same node",
    says: /^pod n1-p0 to pod n1-p1 \S+ by udp: seen as 10\.10\.0\.\d+, not 10\.10\.16\.\d+; /,
    do: async (bed) =>
      nft(
        bed,
        "nat hook postrouting priority srcnat",
        `ip saddr ${bed.pods.here.addresses.v4} snat to ${bed.nodes.here.addresses.v4}`,
      ),
  },
  {
    what: "a pod's link without a check of the source",
    cell: "spoofed",
    says: /^3 packets from 198\.18\.7\.7 reached pod n1-p1; \d of 3 to pod n1-p1 were counted; /,
    do: async (bed) =>
      must("nsenter", [inside(bed), "nft", "insert rule ip terway pods ip saddr 198.18.7.7 accept"]),
  },
  {
    what: "a node that swallows ICMP errors",
    cell: "above MTU",
    says: /a packet of 1500 bytes to pod n2-p0 \S+ with DF.*; a stream of 300000 bytes to pod n2-p0: no answer/,
    do: async (bed) =>
      nft(bed, "filter hook forward priority -250", "icmp type destination-unreachable drop"),
  },
];

describe("tryCells()", () => {
  it("finds what is broken, and says what", async () => {
    const bed = await openVpcBed(`twm${process.pid}-broken`, "veth", "v4");
    try {
      const found: (readonly [string, string])[] = [];
      for (const { what, cell, do: sabotage } of SABOTAGE) {
        await sabotage(bed);
        const verdict = (await tryCells(bed, [cell]))[cell];
        found.push([what, verdict.kind === "failed" ? verdict.why : verdict.kind]);
        await run("nsenter", [inside(bed), "nft", "delete", "table", "ip", "broken"]);
      }
      expect(found).toEqual(SABOTAGE.map(({ what, says }) => [what, expect.stringMatching(says)]));
    } finally {
      await bed.close();
    }
  });
});

function inside({ nodes }: Bed): string {
  return `--net=/run/netns/${nodes.here.station.namespace}`;
}

/** A table of nftables on the node `here` with one chain and one rule. */
async function nft(bed: Bed, chain: string, rule: string): Promise<void> {
  const lines = [
    "add table ip broken",
    `add chain ip broken broken { type ${chain}; }`,
    `add rule ip broken broken ${rule}`,
  ];
  await must("nsenter", [inside(bed), "nft", "-f", "-"], { stdin: `${lines.join("\n")}\n` });
}
