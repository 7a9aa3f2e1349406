/**
 * Lets packets of pods pass where somebody else drops what is forwarded, in the chains of nftables, iptables-nft, firewalld
 * and the older iptables; and where somebody translates destinations, lets answers of pods leave by the node's own tables. What
 * is missing is decided by `daemon/core/firewall/`.
 *
 * @module
 */
import { type AcceptChange, type ForwardChain, planAccept, planForget } from "../core/firewall/accept.ts";
import { answersText, forgetAnswersText, translationIn } from "../core/firewall/answers.ts";
import { legacyAcceptArgs, legacyChain } from "../core/firewall/legacy.ts";
import { type ChainName, forwardChainOf, forwardChainsIn, nftAcceptText } from "../core/firewall/nft.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Command, legacyTables, openCommand } from "./command.ts";

export type ForwardOutcome = {
  /** Chains in which rules of ours were added or deleted. */
  readonly changed: readonly string[];
  /** Sentences: which chain could not be read or changed, and why. */
  readonly refused: readonly string[];
};

/** Both may be repeated, and go on past a chain that refuses. */
export type ForwardAccept = {
  /** Looks at every chain and puts right what is missing. */
  readonly ensure: () => Promise<ForwardOutcome>;
  /** Takes every rule of ours away. */
  readonly remove: () => Promise<ForwardOutcome>;
};

type Plan = (chain: ForwardChain) => readonly AcceptChange[];
/** Whether something was changed. */
type Done = Result<boolean, string>;

/** `nodeNetns`: path of the node's namespace, where it is not the process's own. */
export function openForwardAccept(nodeNetns?: string): ForwardAccept {
  const command = openCommand(nodeNetns);
  const carryOut = async (plan: Plan, wantsAnswers: boolean): Promise<ForwardOutcome> => {
    const outcome = { changed: [] as string[], refused: [] as string[] };
    const note = (chain: string, done: Done): void => {
      if (!done.ok) outcome.refused.push(`${chain}: ${done.fault}`);
      else if (done.value) outcome.changed.push(chain);
    };
    const listed = await json(command, ["-j", "list", "chains"]);
    const chains = listed.ok ? nftChains(listed.value) : listed;
    if (!chains.ok) outcome.refused.push(chains.fault);
    for (const name of chains.ok ? chains.value : [])
      note(`${name.family} ${name.table} ${name.chain}`, await changeNft(command, name, plan));
    for (const family of ["ip", "ip6"] as const) {
      const legacy = await legacyTables(family, command, nodeNetns);
      if (listed.ok) {
        const answers = await changeAnswers(command, family, listed.value, {
          wanted: wantsAnswers,
          legacy: legacy.includes("nat"),
        });
        note(`${family} terway answers`, answers);
      }
      if (!legacy.includes("filter")) continue;
      note(`${family}tables-legacy FORWARD`, await changeLegacy(command, `${family}tables`, plan));
    }
    return outcome;
  };
  return { ensure: () => carryOut(planAccept, true), remove: () => carryOut(planForget, false) };
}

/** `legacy`: the older iptables translates. It stays once it is there: connections may still need it. */
async function changeAnswers(
  command: Command,
  family: "ip" | "ip6",
  listed: unknown,
  { wanted, legacy }: { readonly wanted: boolean; readonly legacy: boolean },
): Promise<Done> {
  const found = translationIn(listed, family);
  if (found === undefined) return failed("nft -j list chains: no list of chains");
  const { translated, present } = found;
  if (present === wanted || (wanted && !translated && !legacy)) return ok(false);
  const applied = await command("nft", [wanted ? answersText(family) : forgetAnswersText(family)]);
  return applied.ok ? ok(true) : applied;
}

function nftChains(listed: unknown): Result<readonly ChainName[], string> {
  const chains = forwardChainsIn(listed);
  return chains === undefined ? failed("nft -j list chains: no list of chains") : ok(chains);
}

async function changeNft(command: Command, name: ChainName, plan: Plan): Promise<Done> {
  const { family, table, chain: own } = name;
  const listed = await json(command, ["-j", "-a", "list", "chain", family, table, own]);
  if (!listed.ok) return listed;
  const chain = forwardChainOf(name, listed.value);
  if (chain === undefined) return failed("nft -j list chain: no chain");
  const changes = plan(chain);
  if (changes.length === 0) return ok(false);
  const applied = await command("nft", [nftAcceptText(name, changes)]);
  if (applied.ok) return ok(true);
  return failed(
    table === "firewalld" && applied.fault.includes("Operation not permitted")
      ? `firewalld lets nobody else into its table; run: firewall-cmd --permanent --zone=trusted --add-interface=tw+ && firewall-cmd --reload (${applied.fault})`
      : applied.fault,
  );
}

async function json(command: Command, args: readonly string[]): Promise<Result<unknown, string>> {
  const printed = await command("nft", args);
  if (!printed.ok) return printed;
  try {
    const value: unknown = JSON.parse(printed.value);
    return ok(value);
  } catch {
    return failed(`nft ${args.join(" ")} printed something that is not JSON`);
  }
}

async function changeLegacy(command: Command, program: string, plan: Plan): Promise<Done> {
  const tool = await legacyTool(command, program);
  if (!tool.ok) return tool;
  const listed = await command(tool.value, [...WAIT, "-S", "FORWARD"]);
  if (!listed.ok) return listed;
  const chain = legacyChain(listed.value);
  if (chain === undefined) return failed(`${tool.value} -S FORWARD printed no policy`);
  const changes = legacyAcceptArgs(plan(chain));
  for (const args of changes) {
    const applied = await command(tool.value, [...WAIT, ...args]);
    if (!applied.ok) return applied;
  }
  return ok(changes.length > 0);
}

/** Seconds that iptables waits while another one has its lock. */
const WAIT = ["-w", "5"];

/** `iptables` itself is the older one on some systems, and the newer one on others. */
async function legacyTool(command: Command, program: string): Promise<Result<string, string>> {
  for (const tool of [`${program}-legacy`, program]) {
    const version = await command(tool, ["-V"]);
    if (version.ok && !version.value.includes("nf_tables")) return ok(tool);
  }
  return failed(`it has rules, and ${program}-legacy, which could open it for pods, is not installed`);
}
