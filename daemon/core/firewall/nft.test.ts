import { describe, expect, it } from "vitest";
import { FORWARD_CHAINS, forwardChainOf, forwardChainsIn, nftAcceptText } from "./nft.ts";

const [IPV4, , FIREWALLD] = FORWARD_CHAINS;
if (IPV4 === undefined || FIREWALLD === undefined) throw new Error("three chains");

/** Of nft 1.0.6: `iptables -P FORWARD DROP`, a jump, a rule with a condition, one that rejects, and one of ours. */
const LISTED = JSON.parse(`{"nftables": [{"metainfo": {"version": "1.0.6"}},
 {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
 {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 4, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"jump": {"target": "DOCKER-USER"}}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 5, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}}, {"drop": null}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 9, "comment": "terway: to pods", "expr": [{"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "tw*"}}, {"accept": null}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 6, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"xt": {"type": "target", "name": "REJECT"}}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 7, "expr": [{"drop": null}]}}]}`) as unknown;

function chain(family: string, table: string, name: string, hook?: string): unknown {
  return { chain: { family, table, name, handle: 1, ...(hook !== undefined && { hook }) } };
}

describe("forwardChainsIn()", () => {
  it("finds the chains that are known, in the families that they are of", () => {
    const listed = {
      nftables: [
        { metainfo: {} },
        chain("inet", "firewalld", "filter_FORWARD", "forward"),
        chain("inet", "filter", "FORWARD", "forward"),
        chain("ip6", "filter", "FORWARD"),
        chain("ip", "filter", "FORWARD", "forward"),
      ],
    };
    expect(forwardChainsIn(listed)).toEqual([IPV4, FIREWALLD]);
    expect(forwardChainsIn({ nftables: [] })).toEqual([]);
    for (const wrong of [undefined, [], {}, { nftables: [{ chain: {} }] }])
      expect(forwardChainsIn(wrong)).toBeUndefined();
  });
});

describe("forwardChainOf()", () => {
  it("tells rules of ours, and those that refuse every packet", () => {
    expect(forwardChainOf(IPV4, LISTED)).toEqual({
      dropsRest: true,
      decidesAll: false,
      rules: [
        { handle: 4, refusesAll: false },
        { handle: 5, refusesAll: false },
        { handle: 9, ours: "to pods", refusesAll: false },
        { handle: 6, refusesAll: true },
        { handle: 7, refusesAll: true },
      ],
    });
    expect(forwardChainOf(FIREWALLD, LISTED)?.decidesAll).toBe(true);
    expect(forwardChainOf(IPV4, { nftables: [] })).toBeUndefined();
  });
});

describe("nftAcceptText()", () => {
  it("is one transaction in nft's words", () => {
    const text = nftAcceptText(IPV4, [
      { kind: "delete", handle: 9 },
      { kind: "add", direction: "from pods", before: 6 },
      { kind: "add", direction: "to pods" },
    ]);
    expect(text.split("\n")).toEqual([
      "delete rule ip filter FORWARD handle 9",
      'insert rule ip filter FORWARD handle 6 iifname "tw*" counter accept comment "terway: from pods"',
      'add rule ip filter FORWARD oifname "tw*" counter accept comment "terway: to pods"',
      "",
    ]);
  });
});
