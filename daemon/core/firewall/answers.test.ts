import { describe, expect, it } from "vitest";
import { answersText, forgetAnswersText, translationIn } from "./answers.ts";

function chainsOf(...chains: readonly object[]): unknown {
  return { nftables: [{ metainfo: { version: "1.0.6" } }, ...chains.map((chain) => ({ chain }))] };
}

const NAT = { table: "nat", name: "PREROUTING", type: "nat", hook: "prerouting", prio: -100 };
const OURS = { table: "terway", name: "answers", type: "filter", hook: "prerouting", prio: -170 };

describe("translationIn()", () => {
  it("sees who translates destinations, and our chain, by family", () => {
    const none = { translated: false, present: false };
    expect(translationIn(chainsOf(), "ip")).toEqual(none);
    const ip = chainsOf({ family: "ip", ...NAT }, { family: "ip", ...OURS });
    expect(translationIn(ip, "ip")).toEqual({ translated: true, present: true });
    expect(translationIn(ip, "ip6")).toEqual(none);
    const inet = chainsOf({ family: "inet", ...NAT });
    expect(translationIn(inet, "ip6")).toEqual({ translated: true, present: false });
    // Translating sources alone, in whatever chain, changes nothing for a pod that answers.
    expect(translationIn(chainsOf({ family: "ip", ...NAT, hook: "postrouting" }), "ip")).toEqual(none);
    expect(translationIn(chainsOf({ family: "ip", table: "a", name: "answers" }), "ip")).toEqual(none);
  });

  it("says so where the output is another one", () => {
    expect(translationIn({}, "ip")).toBeUndefined();
  });
});

describe("answersText()", () => {
  it("clears the bits of the ENI and no others, of what pods answer", () => {
    expect(answersText("ip6")).toBe(
      [
        "add table ip6 terway",
        "add chain ip6 terway answers { type filter hook prerouting priority -170; policy accept; }",
        "flush chain ip6 terway answers",
        "add rule ip6 terway answers meta iifgroup 21504 ct direction reply ct status dnat meta mark set meta mark and 0xc0ffffff",
        "",
      ].join("\n"),
    );
    expect(forgetAnswersText("ip")).toBe("flush chain ip terway answers\ndelete chain ip terway answers\n");
  });
});
