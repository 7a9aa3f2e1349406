/**
 * How our nftables tables differ from what nft(8) was told to make: tables, maps, chains, and how many rules they have.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { chainRules, HOOK_PRIORITY, type HostFacts } from "../core/datapath/host-plan.ts";
import { eniChain, NFT, type NftFamily } from "../core/datapath/layout.ts";
import { type EniLink } from "../core/kernel.ts";
import { type Client } from "./client.ts";
import {
  decodeNftChain,
  decodeNftRule,
  decodeNftTable,
  dumpNftRules,
  getNftChain,
  getNftSet,
  getNftTable,
  NFT_TABLE_DORMANT,
  type NftChain,
} from "./codec/nft-structure.ts";
import { tableKeyOf } from "./encode-thing.ts";
import { lookAt, wrongs } from "./look.ts";

const NETFILTER = { family: "netfilter" } as const;
/** NF_INET_PRE_ROUTING and NF_ACCEPT of <linux/netfilter.h>. */
const [PREROUTING, ACCEPT] = [0, 1];

/** Lines of one family's table. */
export async function nftLines(
  client: Client,
  family: NftFamily,
  host: HostFacts,
  enis: readonly EniLink[],
): Promise<Result<readonly string[]>> {
  const key = tableKeyOf(family);
  const named = `${family} ${NFT.table}`;
  const what = `nft list table ${named}`;
  const { hook, pods } = chainRules(family, host);
  const wanted = [
    { name: NFT.chain, rules: hook.length },
    { name: NFT.pods, rules: pods.length },
    ...enis.map(({ slot }) => ({ name: eniChain(slot), rules: 1 })),
  ];
  const [tables, maps, chains, rules] = await Promise.all([
    lookAt(client, what, [getNftTable(key)], ({ payload }) => decodeNftTable(payload), NETFILTER),
    lookAt(client, what, [getNftSet(key, NFT.map)], () => true, NETFILTER),
    lookAt(
      client,
      what,
      wanted.map(({ name }) => getNftChain(key, name)),
      ({ payload }) => decodeNftChain(payload),
      NETFILTER,
    ),
    client.dump(what, dumpNftRules(key), decodeNftRule, NETFILTER),
  ]);
  if (!tables.ok) return tables;
  if (!maps.ok) return maps;
  if (!chains.ok) return chains;
  if (!rules.ok) return rules;
  const [table] = tables.value;
  if (table === undefined) return ok([`nft table ${named} is missing`]);
  const ofChains = wanted.flatMap((chain, at) => {
    const has = rules.value.filter((rule) => rule.table === NFT.table && rule.chain === chain.name).length;
    return chainLines(`nft chain ${named} ${chain.name}`, chain, chains.value[at], has);
  });
  return ok([
    ...wrongs([
      [((table.flags ?? 0) & NFT_TABLE_DORMANT) !== 0, `nft table ${named} is dormant`],
      [maps.value[0] === undefined, `nft map ${named} ${NFT.map} is missing`],
    ]),
    ...ofChains,
  ]);
}

/** `has`: how many rules there are. Others may have added some. */
function chainLines(
  what: string,
  { name, rules }: { readonly name: string; readonly rules: number },
  chain: NftChain | undefined,
  has: number,
): readonly string[] {
  if (chain === undefined) return [`${what} is missing`];
  const isHooked = chain.hook?.hook === PREROUTING && ((chain.hook.priority ?? 0) | 0) === HOOK_PRIORITY;
  return wrongs([
    [name === NFT.chain && !isHooked, `${what} is not hooked into prerouting at priority ${HOOK_PRIORITY}`],
    [name === NFT.chain && isHooked && chain.policy !== ACCEPT, `${what} has not the policy accept`],
    [has < rules, `${what} has ${has} of its ${rules} rules`],
  ]);
}
