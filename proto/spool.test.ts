import { assert, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeSpooled, encodeSpooled, isSpoolName, spoolName } from "./spool.ts";

const text = string({ unit: "binary", minLength: 1 });

describe("spoolName()", () => {
  it("tells attachments apart", () => {
    const attachment = { network: "terway", containerId: "c-1", ifName: "eth0" };
    expect(spoolName(attachment)).toBe("terway@c-1@eth0.del");
    expect(isSpoolName("terway@c-1@eth0.del")).toBe(true);
  });

  it("has no name for what no directory can hold", () => {
    const attachment = { network: "n", containerId: "c".repeat(240), ifName: "eth0" };
    expect(spoolName(attachment)).toBeUndefined();
  });
});

describe("isSpoolName()", () => {
  it("knows what is half written and what is not ours", () => {
    expect([".terway@c@eth0.del.7", "README", ".x.del"].filter(isSpoolName)).toEqual([]);
  });
});

describe("decodeSpooled()", () => {
  it("reads what encodeSpooled() wrote", () => {
    assert(
      property(text, text, text, string({ unit: "binary" }), (network, containerId, ifName, netns) => {
        const del = { attachment: { network, containerId, ifName }, netns };
        expect(decodeSpooled(encodeSpooled(del))).toEqual({ ok: true, value: del });
      }),
    );
  });

  it("refuses what was cut off, anywhere", () => {
    const whole = encodeSpooled({
      attachment: { network: "terway", containerId: "c", ifName: "eth0" },
      netns: "/run/netns/a",
    });
    for (let length = 0; length < whole.length - 1; length += 1) {
      expect(decodeSpooled(whole.slice(0, length)).ok, whole.slice(0, length)).toBe(false);
    }
  });

  it("refuses another format and what is no record", () => {
    for (const wrong of ["[]", "7", "null", '{"format":2,"network":"n"}', '{"format":1,"network":"n"}']) {
      expect(decodeSpooled(wrong).ok, wrong).toBe(false);
    }
  });
});
