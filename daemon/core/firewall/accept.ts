/**
 * Which rules let packets of pods pass where somebody else drops what is forwarded: Docker by the policy of `FORWARD`, a
 * distribution by a last rule that rejects, firewalld by its zones. Pure.
 *
 * In nftables a drop in one chain is final, whatever a table of ours says, so a rule of ours has to stand in their chain.
 * It stands as late as it can, right before everything left over is dropped: whoever decides about packets in this chain
 * (Docker, network policies) does so before us. Policies and rules of others stay as they are.
 *
 * @module
 */

/** A chain through which packets are forwarded. */
export type ForwardChain = {
  /** What is not decided by a rule is dropped. */
  readonly dropsRest: boolean;
  /** Every packet is decided by this chain's rules, or by those that it jumps to: ours has to be the first. */
  readonly decidesAll: boolean;
  readonly rules: readonly ForwardRule[];
};

export type ForwardRule = {
  /** By what the rule is named when it is deleted or another is put before it. */
  readonly handle: number;
  /** That of ours which this is. */
  readonly ours?: Direction;
  /** It drops or rejects every packet that reaches it. */
  readonly refusesAll: boolean;
};

export type Direction = "from pods" | "to pods";

export const DIRECTIONS: readonly Direction[] = ["from pods", "to pods"];

/** Names of all pods' links begin so, see `hostLinkName`. */
export const LINK_PREFIX = "tw";

/** The comment by which a rule of ours is known. */
export function ruleComment(direction: Direction): string {
  return `terway: ${direction}`;
}

/** The direction of a rule of ours with this comment. */
export function directionOf(comment: string | undefined): Direction | undefined {
  return DIRECTIONS.find((direction) => ruleComment(direction) === comment);
}

export type AcceptChange =
  | { readonly kind: "delete"; readonly handle: number }
  /** `before`: the rule that it has to stand before; at the end where absent. */
  | { readonly kind: "add"; readonly direction: Direction; readonly before?: number };

/**
 * What makes the chain right, to be done in this order: nothing where it is. One rule for each direction, where something
 * would drop their packets; none where nothing does.
 */
export function planAccept(chain: ForwardChain): readonly AcceptChange[] {
  const { rules } = chain;
  const refusal = rules.findIndex((rule) => rule.refusesAll);
  const needed = chain.dropsRest || chain.decidesAll || refusal >= 0;
  const foreign = rules.findIndex((rule) => rule.ours === undefined);
  const end = chain.decidesAll ? foreign : refusal;
  const limit = end < 0 ? rules.length : end;
  const good = new Map<Direction, ForwardRule>();
  if (needed)
    for (const rule of rules.slice(0, limit)) if (rule.ours !== undefined) good.set(rule.ours, rule);
  const kept = new Set(good.values());
  const before = rules[end]?.handle;
  return [
    ...rules.flatMap((rule) =>
      rule.ours === undefined || kept.has(rule) ? [] : [{ kind: "delete", handle: rule.handle } as const],
    ),
    ...DIRECTIONS.filter((direction) => needed && !good.has(direction)).map(
      (direction) => ({ kind: "add", direction, ...(before !== undefined && { before }) }) as const,
    ),
  ];
}

/** What takes all of ours out of the chain. */
export function planForget({ rules }: ForwardChain): readonly AcceptChange[] {
  return rules.flatMap(({ ours, handle }) => (ours === undefined ? [] : [{ kind: "delete", handle }]));
}
