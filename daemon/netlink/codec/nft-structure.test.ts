/** That the kernel agrees is in `check.root.test.ts` above. */
import { describe, expect, it } from "vitest";
import { NLM_F } from "./header.ts";
import {
  decodeNftChain,
  decodeNftRule,
  decodeNftTable,
  dumpNftRules,
  getNftChain,
  getNftSet,
  getNftTable,
} from "./nft-structure.ts";

const key = { family: 2, table: "t" };

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("getNftTable(), getNftChain(), getNftSet() and dumpNftRules()", () => {
  it("name what they ask for, in the numbers of nf_tables.h", () => {
    const requests = [getNftTable(key), getNftChain(key, "c"), getNftSet(key, "s"), dumpNftRules(key)];
    expect(requests.map(({ type, flags, payload }) => [type, flags, hex(payload)])).toEqual([
      [0xa01, NLM_F.REQUEST, "020000000600010074000000"],
      [0xa04, NLM_F.REQUEST, "0200000006000100740000000600030063000000"],
      [0xa0a, NLM_F.REQUEST, "0200000006000100740000000600020073000000"],
      [0xa07, NLM_F.REQUEST | NLM_F.DUMP, "020000000600010074000000"],
    ]);
  });
});

describe("decodeNftTable(), decodeNftChain() and decodeNftRule()", () => {
  it("read what the kernel answers with, and keep what they do not know", () => {
    const header = "02000000";
    const table = Buffer.from(`${header}0600010074000000080002000000000108000300000000ff`, "hex");
    expect(decodeNftTable(table)).toEqual({
      name: "t",
      flags: 1,
      unknown: [{ type: 3, bytes: Uint8Array.of(0, 0, 0, 255) }],
    });
    const hook = "14000480080001000000000008000200ffffff06";
    const chain = Buffer.from(`${header}06000100740000000600030063000000${hook}0800050000000001`, "hex");
    expect(decodeNftChain(chain)).toEqual({
      table: "t",
      name: "c",
      hook: { hook: 0, priority: 0xffff_ff06 },
      policy: 1,
    });
    const rule = Buffer.from(`${header}06000100740000000600020063000000`, "hex");
    expect(decodeNftRule(rule)).toEqual({ table: "t", chain: "c" });
  });
});
