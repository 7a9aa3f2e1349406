/**
 * How the nftables tables for ipvlan pods differ from what nft(8) was told to make: tables, and how many rules each chain has.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { familiesOf, type HostFacts } from "../core/datapath/host-plan.ts";
import { IPVLAN_CHAIN_RULES, IPVLAN_NFT } from "../core/datapath/ipvlan-nft.ts";
import { type NftFamily } from "../core/datapath/layout.ts";
import { type Client } from "./client.ts";
import {
  decodeNftRule,
  decodeNftTable,
  dumpNftRules,
  getNftTable,
  NFT_TABLE_DORMANT,
} from "./codec/nft-structure.ts";
import { tableKeyOf } from "./encode-thing.ts";
import { lookAt } from "./look.ts";

const NETFILTER = { family: "netfilter" } as const;

/** Whether one of the families has the table. */
export async function isIpvlanNftThere(client: Client, host: HostFacts): Promise<Result<boolean>> {
  for (const family of familiesOf(host)) {
    const tables = await tablesOf(client, family);
    if (!tables.ok) return tables;
    if (tables.value[0] !== undefined) return ok(true);
  }
  return ok(false);
}

/** One line for each difference. Others may have added rules. */
export async function ipvlanNftLines(client: Client, host: HostFacts): Promise<Result<readonly string[]>> {
  const lines: string[] = [];
  for (const family of familiesOf(host)) {
    const found = await linesOf(client, family);
    if (!found.ok) return found;
    lines.push(...found.value);
  }
  return ok(lines);
}

async function linesOf(client: Client, family: NftFamily): Promise<Result<readonly string[]>> {
  const named = `${family} ${IPVLAN_NFT.table}`;
  const tables = await tablesOf(client, family);
  if (!tables.ok) return tables;
  const [table] = tables.value;
  if (table === undefined) return ok([`nft table ${named} is missing`]);
  if (((table.flags ?? 0) & NFT_TABLE_DORMANT) !== 0) return ok([`nft table ${named} is dormant`]);
  const rules = await client.dump(
    `nft list table ${named}`,
    dumpNftRules(keyOf(family)),
    decodeNftRule,
    NETFILTER,
  );
  if (!rules.ok) return rules;
  return ok(
    Object.entries(IPVLAN_CHAIN_RULES[family]).flatMap(([chain, wanted]) => {
      const has = rules.value.filter(
        (rule) => rule.table === IPVLAN_NFT.table && rule.chain === chain,
      ).length;
      return has < wanted ? [`nft chain ${named} ${chain} has ${has} of its ${wanted} rules`] : [];
    }),
  );
}

function tablesOf(client: Client, family: NftFamily) {
  const what = `nft list table ${family} ${IPVLAN_NFT.table}`;
  return lookAt(
    client,
    what,
    [getNftTable(keyOf(family))],
    ({ payload }) => decodeNftTable(payload),
    NETFILTER,
  );
}

function keyOf(family: NftFamily) {
  return { ...tableKeyOf(family), table: IPVLAN_NFT.table };
}
