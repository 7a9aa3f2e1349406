import { describe, expect, it } from "vitest";
import { planAccept, planForget } from "./accept.ts";
import { legacyAcceptArgs, legacyChain } from "./legacy.ts";

const REST = ["-j", "ACCEPT"];
const rule = (link: string, direction: string): string[] => [
  link,
  "tw+",
  "-m",
  "comment",
  "--comment",
  `terway: ${direction}`,
  ...REST,
];

const LISTED = `-P FORWARD ACCEPT
-A FORWARD -o tw+ -m comment --comment "terway: to pods" -j ACCEPT
-A FORWARD -i docker0 -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -i tw+ -m comment --comment "terway: from pods" -j ACCEPT
`;

describe("legacyChain()", () => {
  it("numbers rules from 1, and tells ours and those that refuse every packet", () => {
    expect(legacyChain(LISTED)).toEqual({
      dropsRest: false,
      decidesAll: false,
      rules: [
        { handle: 1, ours: "to pods", refusesAll: false },
        { handle: 2, refusesAll: false },
        { handle: 3, refusesAll: true },
        { handle: 4, ours: "from pods", refusesAll: false },
      ],
    });
    expect(legacyChain("-P FORWARD DROP\n")?.dropsRest).toBe(true);
    expect(legacyChain("iptables: No chain/target/match by that name.")).toBeUndefined();
  });
});

describe("legacyAcceptArgs()", () => {
  it("names rules by the numbers that they have when their turn comes", () => {
    const chain = legacyChain(LISTED);
    if (chain === undefined) throw new Error("a chain");
    expect(legacyAcceptArgs(planAccept(chain))).toEqual([
      ["-D", "FORWARD", "4"],
      ["-I", "FORWARD", "3", ...rule("-i", "from pods")],
    ]);
    expect(legacyAcceptArgs(planForget(chain))).toEqual([
      ["-D", "FORWARD", "4"],
      ["-D", "FORWARD", "1"],
    ]);
    const moved = { ...chain, rules: chain.rules.map((each, at) => ({ ...each, refusesAll: at === 1 })) };
    expect(
      legacyAcceptArgs([
        { kind: "delete", handle: 1 },
        ...planAccept({ ...moved, rules: moved.rules.slice(1) }),
      ]),
    ).toEqual([
      ["-D", "FORWARD", "4"],
      ["-D", "FORWARD", "1"],
      ["-I", "FORWARD", "1", ...rule("-i", "from pods")],
      ["-I", "FORWARD", "2", ...rule("-o", "to pods")],
    ]);
  });

  it("adds at the end where nothing refuses the rest by a rule", () => {
    expect(legacyAcceptArgs(planAccept({ dropsRest: true, decidesAll: false, rules: [] }))).toEqual([
      ["-A", "FORWARD", ...rule("-i", "from pods")],
      ["-A", "FORWARD", ...rule("-o", "to pods")],
    ]);
  });
});
