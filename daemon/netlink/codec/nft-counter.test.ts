/** That the kernel agrees is in `hybrid/packets.root.test.ts` above: packets that are dropped are counted. */
import { describe, expect, it } from "vitest";
import { NLM_F } from "./header.ts";
import { decodeNftCounter, getNftCounter } from "./nft-counter.ts";
import { DecodeError } from "./wire.ts";

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("getNftCounter()", () => {
  it("names what it asks for, in the numbers of nf_tables.h", () => {
    const { type, flags, payload } = getNftCounter({ family: 2, table: "t" }, "c");
    expect([type, flags, hex(payload)]).toEqual([
      0xa13,
      NLM_F.REQUEST,
      "02000000060001007400000006000200630000000800030000000001",
    ]);
  });
});

describe("decodeNftCounter()", () => {
  const head = "02000000060001007400000006000200630000000800030000000001";

  it("reads both counts", () => {
    const data = "1c0004800c00010000000000000000fc0c0002000000000100000003";
    expect(decodeNftCounter(Buffer.from(head + data, "hex"))).toEqual({
      packets: 2n ** 32n + 3n,
      bytes: 252n,
    });
  });

  it("throws where a count is missing or short", () => {
    for (const data of ["", "0c0004800800010000000000"])
      expect(() => decodeNftCounter(Buffer.from(head + data, "hex"))).toThrow(DecodeError);
  });
});
