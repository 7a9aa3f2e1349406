import { describe, expect, it } from "vitest";
import { attachmentOf } from "../pool/fake-node.ts";
import { eniOf, IDLE, ip, poolOf, used } from "../pool/fake-pool.ts";
import { poolDifferences } from "./lease.ts";

const A = attachmentOf("a");
const ADDRESS = ip("10.0.0.5");

describe("poolDifferences()", () => {
  it("finds nothing where the pool says the same, on a known ENI or on one that is not known yet", () => {
    const pool = poolOf([eniOf(2, { "10.0.0.5": used("a") })]);
    expect(poolDifferences(pool, A, { address: ADDRESS, slot: 2 })).toEqual([]);
    const unplaced = { ...poolOf([]), unplaced: new Map([[ADDRESS, { state: used("a"), slot: 2 }]]) };
    expect(poolDifferences(unplaced, A, { address: ADDRESS, slot: 2 })).toEqual([]);
  });

  it("says whose the address is else", () => {
    const table = [
      [IDLE, "the pool has 10.0.0.5 as idle"],
      [used("b"), "the pool has given 10.0.0.5 to terway/b/eth0"],
      [{ kind: "used", attachment: A, lost: true }, "the cloud does not list 10.0.0.5 any more"],
    ] as const;
    for (const [state, line] of table) {
      const pool = poolOf([eniOf(2, { "10.0.0.5": state })]);
      expect(poolDifferences(pool, A, { address: ADDRESS, slot: 2 })).toEqual([line]);
    }
    expect(poolDifferences(poolOf([]), A, { address: ADDRESS, slot: 2 })).toEqual([
      "the pool has 10.0.0.5 as unknown",
    ]);
  });
});
