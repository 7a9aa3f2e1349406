import { describe, expect, it } from "vitest";
import { parseCidr } from "../../../proto/cidr.ts";
import { v4, v6 } from "../../../test/captures/literals.ts";
import { hostPrefix, prefixOf } from "./ip.ts";

describe("prefixOf() and hostPrefix()", () => {
  it("are what a route wants", () => {
    const cidr = parseCidr("10.1.0.0/16");
    if (cidr === undefined) throw new Error("the test is wrong");
    expect(prefixOf(cidr)).toEqual({ ip: v4("10.1.0.0"), bits: 16 });
    expect(hostPrefix(v4("10.0.0.1"))).toEqual({ ip: v4("10.0.0.1"), bits: 32 });
    expect(hostPrefix(v6("fe80::1"))).toEqual({ ip: v6("fe80::1"), bits: 128 });
  });
});
