/**
 * Set elements and connections as a kernel showed them, decoded to whole values.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { v4 } from "../../../test/captures/literals.ts";
import { readCapture, withoutBytes } from "../../../test/captures/read-capture.ts";
import { decodeConntrack, encodeConntrack } from "./conntrack.ts";
import { NLMSG } from "./header.ts";
import { decodeSetElements, type SetElement } from "./nft-element.ts";
import { type NftType } from "./nft-value.ts";

describe("nftables elements", () => {
  it("are marks, verdicts and ranges", () => {
    expect(listed("elements-mark", ["ip"])).toEqual([
      { key: [{ kind: "ip", ip: v4("10.0.0.1") }], data: { kind: "mark", mark: 0x10 } },
    ]);
    expect(listed("elements-verdict", ["ip", "mark"])).toEqual([
      {
        key: [
          { kind: "ip", ip: v4("10.0.0.1") },
          { kind: "mark", mark: 0x10 },
        ],
        data: { kind: "verdict", verdict: "goto", chain: "c" },
      },
    ]);
    expect(listed("elements-range", ["ip", "port"])).toEqual([
      {
        key: [
          { kind: "ip", ip: v4("10.0.0.0") },
          { kind: "port", port: 80 },
        ],
        keyEnd: [
          { kind: "ip", ip: v4("10.0.0.255") },
          { kind: "port", port: 443 },
        ],
      },
    ]);
  });
});

describe("connection tracking", () => {
  it("is a connection whose source was translated", () => {
    const [entry] = readCapture("conntrack").map(({ payload }) => decodeConntrack(payload));
    if (entry === undefined) throw new Error("empty capture");
    expect(decodeConntrack(encodeConntrack(entry))).toEqual(entry);
    // The id is another one in each capture.
    expect(withoutBytes({ ...entry, id: typeof entry.id })).toEqual({
      family: 2,
      orig: {
        ip: { src: v4("10.0.0.1"), dst: v4("10.0.0.2") },
        proto: { number: 6, srcPort: 1001, dstPort: 80 },
      },
      reply: {
        ip: { src: v4("10.0.0.2"), dst: v4("10.0.0.99") },
        proto: { number: 6, srcPort: 80, dstPort: 1001 },
      },
      status: 0x198,
      mark: 5,
      id: "number",
      timeoutSeconds: 999,
      unknown: ["11: 4", "32772: 44", "32792: 24"],
    });
  });
});

function listed(capture: string, key: readonly NftType[]): SetElement[] {
  return readCapture(capture)
    .filter(({ type }) => type !== NLMSG.DONE)
    .flatMap(({ payload }) => decodeSetElements(payload, { key, data: "mark" }).elements);
}
