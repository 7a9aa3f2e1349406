/**
 * The way of answers to whoever asked a pod by an address of the node: a host port, a NodePort, translated by somebody's DNAT.
 * They have to leave as the question came, by the node's own tables, and with the node's address; by the pod's ENI the VPC
 * would refuse them, because that address is not the ENI's. Pure.
 *
 * Only connection tracking can tell, and its use costs every packet. So the rule stands only where somebody translates
 * anyway, which is what the agent looks for.
 *
 * @module
 */
import * as z from "zod";
import { GROUP, MARK_MASK, NFT, type NftFamily } from "../datapath/layout.ts";

/** The chain in our tables. */
export const ANSWERS = "answers";

/** After connection tracking (-200), before `mangle` (-150), where others set marks. */
const PRIORITY = -170;

const Output = z.looseObject({
  nftables: z.array(
    z.looseObject({
      chain: z
        .looseObject({
          family: z.string(),
          table: z.string(),
          name: z.string(),
          type: z.string().optional(),
          hook: z.string().optional(),
        })
        .optional(),
    }),
  ),
});

/** What `nft -j list chains` says of a family. */
export type Translation = {
  /** Somebody has a chain that may translate destinations. */
  readonly translated: boolean;
  /** Our chain is there. */
  readonly present: boolean;
};

/** `undefined` where it is not such an output. */
export function translationIn(json: unknown, of: NftFamily): Translation | undefined {
  const parsed = Output.safeParse(json);
  if (!parsed.success) return undefined;
  const chains = parsed.data.nftables.flatMap(({ chain }) => chain ?? []);
  return {
    translated: chains.some(
      ({ family, type, hook }) =>
        (family === of || family === "inet") && type === "nat" && hook === "prerouting",
    ),
    present: chains.some(
      ({ family, table, name }) => family === of && table === NFT.table && name === ANSWERS,
    ),
  };
}

/** Text for nft(8), one transaction: what a pod answers to a translated question loses the mark of its ENI. */
export function answersText(family: NftFamily): string {
  const chain = `${family} ${NFT.table} ${ANSWERS}`;
  const others = (~MARK_MASK & 0xffff_ffff) >>> 0;
  return [
    `add table ${family} ${NFT.table}`,
    `add chain ${chain} { type filter hook prerouting priority ${PRIORITY}; policy accept; }`,
    `flush chain ${chain}`,
    `add rule ${chain} meta iifgroup ${GROUP.pods} ct direction reply ct status dnat meta mark set meta mark and 0x${others.toString(16)}`,
    "",
  ].join("\n");
}

/** Text for nft(8): takes the chain away, which has to be there. */
export function forgetAnswersText(family: NftFamily): string {
  const chain = `${family} ${NFT.table} ${ANSWERS}`;
  return `flush chain ${chain}\ndelete chain ${chain}\n`;
}
