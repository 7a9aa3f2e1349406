import { describe, expect, it } from "vitest";
import { forwardingRefusal } from "./ipv6.ts";

/** `perLink`: what `force_forwarding` of a device is, where there is one. */
function refusal(perLink: string | undefined, all: string): string | undefined {
  return forwardingRefusal((path) => (path.endsWith("force_forwarding") ? perLink : all));
}

describe("forwardingRefusal()", () => {
  it("refuses only where the kernel forwards neither by device nor for all", () => {
    expect([refusal("0", "0"), refusal("1", "0"), refusal(undefined, "1")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(refusal(undefined, "0")).toMatch(/^net\.ipv6\.conf\.all\.forwarding is 0.*set it to 1/);
  });
});
