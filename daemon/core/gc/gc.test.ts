import { describe, expect, it } from "vitest";
import { type Listed, ruleOn, type Ruling } from "./gc.ts";

const BOTH = { netns: true, link: true };
const NETNS = { netns: true, link: false };
const LINK = { netns: false, link: true };
const NEITHER = { netns: false, link: false };

describe("ruleOn()", () => {
  it("follows the list as far as the node's traces allow it", () => {
    const table: readonly (readonly [Listed, readonly Ruling[]])[] = [
      ["listed", ["keep", "keep", "keep", "keep"]],
      ["unlisted", ["spare", "remove", "remove", "remove"]],
      ["no-list", ["keep", "keep", "keep", "remove"]],
    ];
    for (const [listed, rulings] of table)
      expect(
        [BOTH, NETNS, LINK, NEITHER].map((traces) => ruleOn(listed, traces)),
        listed,
      ).toEqual(rulings);
  });
});
