/**
 * The chain `FORWARD` of the older iptables, as `iptables-legacy -S FORWARD` shows it, and changes as its arguments. Pure.
 *
 * @module
 */
import {
  type AcceptChange,
  type Direction,
  DIRECTIONS,
  type ForwardChain,
  LINK_PREFIX,
  ruleComment,
} from "./accept.ts";

const CHAIN = "FORWARD";

/** A rule's handle is its number, which counts from 1. `undefined` where the text has no policy: it is no such output. */
export function legacyChain(text: string): ForwardChain | undefined {
  const [, policy] = new RegExp(`^-P ${CHAIN} (\\w+)`, "m").exec(text) ?? [];
  if (policy === undefined) return undefined;
  const rules = text.split("\n").filter((line) => line.startsWith(`-A ${CHAIN} `));
  return {
    dropsRest: policy === "DROP",
    decidesAll: false,
    rules: rules.map((line, at) => {
      const ours = DIRECTIONS.find((direction) => line.includes(`--comment "${ruleComment(direction)}"`));
      return {
        handle: at + 1,
        ...(ours !== undefined && { ours }),
        refusesAll: new RegExp(`^-A ${CHAIN} -j (DROP|REJECT)\\b`).test(line),
      };
    }),
  };
}

/**
 * The arguments of one `iptables-legacy` for each change. Rules are named by their numbers, and numbers change with each
 * call: deletions go from the last to the first, and a rule is put where the one behind it then is.
 */
export function legacyAcceptArgs(changes: readonly AcceptChange[]): readonly (readonly string[])[] {
  const deleted = changes.flatMap((change) => (change.kind === "delete" ? [change.handle] : []));
  const deletions = deleted.toSorted((a, b) => b - a).map((handle) => ["-D", CHAIN, `${handle}`]);
  const additions = changes
    .filter((change) => change.kind === "add")
    .map(({ direction, before }, added) => {
      if (before === undefined) return ["-A", CHAIN, ...legacyRule(direction)];
      const place = before - deleted.filter((handle) => handle < before).length + added;
      return ["-I", CHAIN, `${place}`, ...legacyRule(direction)];
    });
  return [...deletions, ...additions];
}

function legacyRule(direction: Direction): readonly string[] {
  const link = direction === "from pods" ? "-i" : "-o";
  return [link, `${LINK_PREFIX}+`, "-m", "comment", "--comment", ruleComment(direction), "-j", "ACCEPT"];
}
