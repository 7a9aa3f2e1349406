import { describe, expect, it } from "vitest";
import { freeName, leftOnPrem, nameOnPrem } from "./name.ts";

describe("freeName()", () => {
  it("is the plain name on a machine without a demo", () => {
    expect(freeName([])).toBe("twdemo");
    expect(freeName(["other", "twdemonstration"])).toBe("twdemo");
  });

  it("leaves the demos alone that are there", () => {
    expect(freeName(["twdemo-web-node-1-1"])).toBe("twdemo2");
    expect(freeName(["twdemo-router", "twdemo2-router"])).toBe("twdemo3");
    expect(freeName(["twdemo2-router"])).toBe("twdemo");
  });

  it("gives up in the end", () => {
    const all = Array.from({ length: 9 }, (_, at) => `twdemo${at === 0 ? "" : at + 1}-x`);
    expect(freeName(all)).toBeUndefined();
  });
});

describe("leftOnPrem()", () => {
  it("names demos whose process is gone, once, and no others", () => {
    const namespaces = ["twonprem7-router", "twonprem7-web-node-1-1", "twonprem8-router", "twdemo-router"];
    expect(leftOnPrem(namespaces, (pid) => pid === 8)).toEqual([nameOnPrem(7)]);
  });
});
