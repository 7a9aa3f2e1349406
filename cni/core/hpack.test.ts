import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1Bytes } from "./bytes.ts";
import { decodeHeaders, encodeHeaders } from "./hpack.ts";
import { decodeByTable, decodeHuffman, FREQUENT_TEXTS } from "./huffman.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** A block of one header that is `bytes` long, as a list is measured. */
function listOf(bytes: number): Uint8Array {
  return encodeHeaders([{ name: "x", value: "v".repeat(bytes - 33) }]);
}

describe("decodeHuffman()", () => {
  it("reads the examples of RFC 7541 appendix C", () => {
    for (const [bytes, text] of [
      ["f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"],
      ["a8eb 1064 9cbf", "no-cache"],
      ["25a8 49e9 5ba9 7d7f", "custom-key"],
      ["25a8 49e9 5bb8 e8b4 bf", "custom-value"],
      ["6402", "302"],
      ["aec3 771a 4b", "private"],
      ["d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"],
      ["9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"],
      ["9bd9 ab", "gzip"],
      [
        "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
      ],
    ] as const) {
      expect(decodeHuffman(hex(bytes))).toBe(text);
    }
  });

  it("reads the longest codes", () => {
    // RFC 7541 appendix B: 0 is 11111111|11000, 10 is 30 bits, 255 is 26 bits, each padded with ones.
    expect(decodeHuffman(hex("ffc7"))).toBe("\0");
    expect(decodeHuffman(hex("ffff fff3"))).toBe("\n");
    expect(decodeHuffman(hex("ffff fbbf"))).toBe("\u00ff");
  });

  it("recognises the frequent texts, each as the table reads it", () => {
    expect(FREQUENT_TEXTS.map(([, text]) => text)).toContain("grpc-status");
    for (const [code, text] of FREQUENT_TEXTS) {
      const bytes = latin1Bytes(code);
      expect([decodeByTable(bytes), decodeHuffman(bytes)]).toEqual([text, text]);
      // Nothing but the whole code is taken for it.
      expect(decodeHuffman(bytes.subarray(0, -1))).toBe(decodeByTable(bytes.subarray(0, -1)));
    }
  });

  it("recognises every name in Huffman code of an OK reply by grpc-js, and its content type", () => {
    const headers =
      "88 0f10 90 1d75d0620d263d4c4d6564ff75d8749f 00 8e 9acac8b0c842d6958b510f21aa9b 90 3485a9264fafa90b2d03497ea6f66aff" +
      "00 8a 9acac8b16a21e435537f 86 3485a9264faf";
    const trailers =
      "00 88 9acac8b21234da8f 01 30 00 89 9acac8b5254207317f 02 4f4b 00 8a 496cf03f4b24d49aa9bf 81 07";
    const frequent: readonly string[] = FREQUENT_TEXTS.map(([, text]) => text);
    const plain: readonly string[] = [":status", "content-type"];
    for (const block of [headers, trailers]) {
      const decoded = decodeHeaders(hex(block));
      if (!decoded.ok) throw new Error(decoded.fault);
      for (const { name, value } of decoded.value) {
        expect([...frequent, ...plain]).toContain(name);
        if (name === "content-type") expect(frequent).toContain(value);
      }
    }
  });

  it("refuses EOS, padding of eight bits or more, and padding with zeros", () => {
    for (const bytes of ["ffff ffff", "ffff fffc", "1fff", "18"]) {
      expect(decodeHuffman(hex(bytes)), bytes).toBeUndefined();
    }
    expect(decodeHuffman(hex("1f"))).toBe("a");
    expect(decodeHuffman(new Uint8Array(0))).toBe("");
  });
});

describe("decodeHeaders()", () => {
  it("reads back what was written", () => {
    const header = fc.record({
      name: fc.stringMatching(/^[a-z:-]{1,20}$/),
      value: fc.string({ unit: "binary-ascii", maxLength: 400 }),
    });
    fc.assert(
      fc.property(fc.array(header, { maxLength: 20 }), (headers) => {
        expect(decodeHeaders(encodeHeaders(headers))).toEqual({ ok: true, value: headers });
      }),
    );
  });

  it("reads each form of a field", () => {
    for (const [bytes, name, value] of [
      ["88", ":status", "200"], // indexed
      ["0f 10 01 61", "content-type", "a"], // literal without indexing, name of the table, long index
      ["10 01 61 01 62", "a", "b"], // never indexed
      ["40 0a 6375 7374 6f6d 2d6b 6579 0d 6375 7374 6f6d 2d68 6561 6465 72", "custom-key", "custom-header"],
      ["20 48 03 33 30 32", ":status", "302"], // table size update to 0, then with indexing
      ["bd", "www-authenticate", ""],
    ] as const) {
      expect(decodeHeaders(hex(bytes)), bytes).toEqual({ ok: true, value: [{ name, value }] });
    }
  });

  it("refuses what a table of size 0 does not have, and what is cut off", () => {
    const reason = "a header that is cut off, or that refers to an unknown one";
    for (const bytes of [
      "80", // index 0
      "be", // index 62, the first dynamic one
      "7e 01 61", // dynamic name
      "40 01", // no name
      "40 01 61", // no value
      "40 01 61 05 62",
      "40 81 18 00", // bad Huffman
      "ff ff ff ff ff 7f", // integer too large
      "ff 80 80 80 80 00", // integer too long
    ]) {
      expect(decodeHeaders(hex(bytes)), bytes).toEqual({ ok: false, fault: reason });
    }
    const many = new Uint8Array(257).fill(0x88);
    expect(decodeHeaders(many)).toEqual({ ok: false, fault: "more than 256 headers" });
    const resized = "a table size update that is not allowed";
    for (const bytes of ["21", "3f 00", "88 20", "3f"]) {
      expect(decodeHeaders(hex(bytes)), bytes).toEqual({ ok: false, fault: resized });
    }
  });

  it("bounds the list as SETTINGS_MAX_HEADER_LIST_SIZE counts it", () => {
    expect(decodeHeaders(listOf(65_536)).ok).toBe(true);
    const reason = "headers of more than 65536 bytes";
    expect(decodeHeaders(listOf(65_537))).toEqual({ ok: false, fault: reason });
    expect(decodeHeaders(listOf(65_537), [])).toEqual({ ok: false, fault: reason });
    // 50,000 bytes of five-bit codes are 80,000 characters.
    const length = [0xff, (49_873 & 0x7f) | 0x80, ((49_873 >> 7) & 0x7f) | 0x80, 49_873 >> 14];
    const zeros = Uint8Array.from([0x40, 1, 0x78, ...length, ...new Uint8Array(50_000)]);
    expect(decodeHeaders(zeros)).toEqual({ ok: false, fault: reason });
  });

  it("gives the pseudo headers and the wanted ones, and measures the others", () => {
    const block = encodeHeaders([
      { name: ":status", value: "200" },
      { name: "date", value: "x" },
      { name: "grpc-status", value: "0" },
    ]);
    const wanted = {
      ok: true,
      value: [
        { name: ":status", value: "200" },
        { name: "grpc-status", value: "0" },
      ],
    };
    expect(decodeHeaders(block, ["grpc-status"])).toEqual(wanted);
    // A value that is no code of Huffman's matters only where somebody wants it.
    const bad = hex("40 01 61 81 18 88");
    expect(decodeHeaders(bad, [])).toEqual({ ok: true, value: [{ name: ":status", value: "200" }] });
    expect(decodeHeaders(bad, ["a"]).ok).toBe(false);
    expect(decodeHeaders(bad.subarray(0, 4), []).ok).toBe(false);
  });

  it("ends for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(typeof decodeHeaders(bytes).ok).toBe("boolean");
      }),
      { numRuns: 2000 },
    );
  });
});
