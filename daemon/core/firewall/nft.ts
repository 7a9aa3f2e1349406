/**
 * Chains as nft(8) shows them in JSON (libnftables-json(5)), and changes as it reads them. Pure.
 *
 * `iptables-nft` keeps its rules in tables of nftables too, and shows these rules of ours as `-i tw+ -m comment … -j ACCEPT`.
 *
 * @module
 */
import * as z from "zod";
import {
  type AcceptChange,
  type Direction,
  directionOf,
  type ForwardChain,
  type ForwardRule,
  LINK_PREFIX,
  ruleComment,
} from "./accept.ts";

/** A chain in nft's words: "ip filter FORWARD". */
export type ChainName = {
  readonly family: "ip" | "ip6" | "inet";
  readonly table: string;
  readonly chain: string;
};

/** firewalld's, of both families: its rules lead to zones, and the zone of a link that it does not know rejects. */
const FIREWALLD: ChainName = { family: "inet", table: "firewalld", chain: "filter_FORWARD" };

/** Those that are known: what others made for themselves is theirs to open. */
export const FORWARD_CHAINS: readonly ChainName[] = [
  { family: "ip", table: "filter", chain: "FORWARD" },
  { family: "ip6", table: "filter", chain: "FORWARD" },
  FIREWALLD,
];

const Chain = z.looseObject({
  family: z.string(),
  table: z.string(),
  name: z.string(),
  hook: z.string().optional(),
  policy: z.string().optional(),
});
const Rule = z.looseObject({
  handle: z.number(),
  comment: z.string().optional(),
  expr: z.array(z.record(z.string(), z.unknown())),
});
const Output = z.looseObject({
  nftables: z.array(z.looseObject({ chain: Chain.optional(), rule: Rule.optional() })),
});

/** Of `nft -j list chains`: which of `FORWARD_CHAINS` are there. `undefined` where it is not such an output. */
export function forwardChainsIn(json: unknown): readonly ChainName[] | undefined {
  const parsed = Output.safeParse(json);
  if (!parsed.success) return undefined;
  const chains = parsed.data.nftables.flatMap(({ chain }) => chain ?? []);
  return FORWARD_CHAINS.filter((known) =>
    chains.some(
      ({ family, table, name, hook }) =>
        hook === "forward" && family === known.family && table === known.table && name === known.chain,
    ),
  );
}

/** Of `nft -j -a list chain …`. `undefined` where it is not such an output. */
export function forwardChainOf(name: ChainName, json: unknown): ForwardChain | undefined {
  const parsed = Output.safeParse(json);
  const chain = parsed.data?.nftables.find((each) => each.chain !== undefined)?.chain;
  if (parsed.data === undefined || chain === undefined) return undefined;
  return {
    dropsRest: chain.policy === "drop",
    decidesAll: name === FIREWALLD,
    rules: parsed.data.nftables.flatMap(({ rule }) => (rule === undefined ? [] : [ruleOf(rule)])),
  };
}

function ruleOf({ handle, comment, expr }: z.infer<typeof Rule>): ForwardRule {
  const ours = directionOf(comment);
  return { handle, ...(ours !== undefined && { ours }), refusesAll: refusesAll(expr) };
}

/** Counters and log lines let a packet go on; everything else before the verdict is a condition. */
const PASSING: ReadonlySet<string> = new Set(["counter", "log"]);

function refusesAll(expr: readonly Readonly<Record<string, unknown>>[]): boolean {
  const rest = expr.filter((part) => !Object.keys(part).every((key) => PASSING.has(key)));
  const [only] = rest;
  if (rest.length !== 1 || only === undefined) return false;
  return "drop" in only || "reject" in only || XtRefusal.safeParse(only).success;
}

/** Rules with targets of iptables that nftables has no word for. */
const XtRefusal = z.looseObject({
  xt: z.looseObject({ type: z.literal("target"), name: z.literal("REJECT") }),
});

/** Text for nft(8), one transaction. */
export function nftAcceptText(name: ChainName, changes: readonly AcceptChange[]): string {
  const chain = `${name.family} ${name.table} ${name.chain}`;
  const lines = changes.map((change) => {
    switch (change.kind) {
      case "delete":
        return `delete rule ${chain} handle ${change.handle}`;
      case "add":
        return change.before === undefined
          ? `add rule ${chain} ${nftRule(change.direction)}`
          : `insert rule ${chain} handle ${change.before} ${nftRule(change.direction)}`;
      default:
        return change satisfies never;
    }
  });
  return `${lines.join("\n")}\n`;
}

function nftRule(direction: Direction): string {
  const link = direction === "from pods" ? "iifname" : "oifname";
  return `${link} "${LINK_PREFIX}*" counter accept comment "${ruleComment(direction)}"`;
}
