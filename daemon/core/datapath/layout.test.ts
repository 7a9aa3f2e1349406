import { describe, expect, it } from "vitest";
import { type Attachment } from "../../../proto/attachment.ts";
import { eniChain, eniMark, eniTable, GROUP, MARK_MASK, SLOT_MAX, TABLE } from "./layout.ts";
import { hostLinkName } from "./link-name.ts";

describe("eniTable(), eniMark(), eniChain()", () => {
  it("give each slot its own, apart from what is shared and within the mask", () => {
    const slots = Array.from({ length: SLOT_MAX + 1 }, (_, slot) => slot);
    const all: readonly (readonly unknown[])[] = [
      slots.map(eniTable),
      slots.map(eniMark),
      slots.map(eniChain),
    ];
    for (const each of all) expect(new Set(each).size).toBe(slots.length);
    expect(slots.map(eniTable)).not.toContain(TABLE.pods);
    expect(slots.filter((slot) => eniMark(slot) === 0 || (eniMark(slot) & ~MARK_MASK) !== 0)).toEqual([]);
    expect([eniTable(0), eniMark(0), eniChain(0)]).toEqual([7401, 0x0100_0000, "eni0"]);
    expect(new Set(Object.values(GROUP)).size).toBe(Object.keys(GROUP).length);
  });

  it("throw for what is no slot", () => {
    for (const slot of [-1, SLOT_MAX + 1, 0.5, Number.NaN]) {
      for (const of of [eniTable, eniMark, eniChain]) expect(() => of(slot)).toThrow(RangeError);
    }
  });
});

describe("hostLinkName()", () => {
  const attachment: Attachment = { network: "terway", containerId: "c".repeat(64), ifName: "eth0" };

  it("is a name that Linux takes, always the same", () => {
    expect(hostLinkName(attachment)).toBe(hostLinkName({ ...attachment }));
    expect(hostLinkName(attachment)).toMatch(/^tw[0-9a-z]{13}$/);
  });

  it("differs with each part", () => {
    const names = [
      attachment,
      { ...attachment, network: "other" },
      { ...attachment, containerId: "d".repeat(64) },
      { ...attachment, ifName: "eth1" },
    ].map(hostLinkName);
    expect(new Set(names).size).toBe(4);
  });

  it("has no collisions among 20,000 attachments", () => {
    const names = Array.from({ length: 20_000 }, (_, at) =>
      hostLinkName({ ...attachment, containerId: String(at) }),
    );
    expect(new Set(names).size).toBe(names.length);
  });
});
