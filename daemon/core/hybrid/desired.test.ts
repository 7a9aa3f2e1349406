import { describe, expect, it } from "vitest";
import { parseIp } from "../../../proto/addr6.ts";
import { type HybridDesired, overlayMtu, overlayName } from "./desired.ts";

describe("overlayName()", () => {
  it("fits a device's name for each VNI", () => {
    expect(overlayName(1)).toBe("terway.1");
    expect(overlayName(2 ** 24 - 1)).toHaveLength(15);
  });
});

describe("overlayMtu()", () => {
  it("leaves room for the outer headers of the VTEP's family", () => {
    const sizes = ["10.10.0.11", "fd00::11"].map((text) => {
      const local = parseIp(text);
      return local === undefined ? undefined : mtuOf({ local }, 1500);
    });
    expect(sizes).toEqual([1450, 1430]);
  });
});

function mtuOf({ local }: Pick<NonNullable<HybridDesired["overlay"]>, "local">, uplinkMtu: number): number {
  return overlayMtu(uplinkMtu, local);
}
