import { describe, expect, it } from "vitest";
import { parseMac } from "../../../proto/addr.ts";
import { decodeLink, decodeLinkLabel, encodeLink } from "./link.ts";

describe("decodeLinkLabel()", () => {
  it("reads of a link what tells whose it is, as decodeLink() does, and nothing else", () => {
    const address = parseMac("02:00:00:00:00:01") ?? expect.fail("no MAC");
    const payload = encodeLink({
      index: 7,
      name: "tw1",
      alias: "terway:10.0.0.1",
      group: 21_504,
      address,
      mtu: 1500,
      operState: 6,
      info: { kind: "veth", options: {} },
      unknown: [{ type: 999, bytes: Uint8Array.of(1, 2, 3) }],
    });
    const whole = decodeLink(payload);
    expect(whole).toMatchObject({ mtu: 1500, operState: 6, unknown: [{ type: 999 }] });
    const { mtu: _mtu, operState: _operState, unknown: _unknown, ...label } = whole;
    expect(decodeLinkLabel(payload)).toEqual(label);
  });
});
