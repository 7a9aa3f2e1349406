/**
 * How what all pods share differs from what `prepareHost` and `configureEni` made. What is asked for grows with the ENIs,
 * not with the pods.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { CHAIN_RULES, HOOK_PRIORITY } from "../core/datapath/host-plan.ts";
import {
  eniChain,
  eniMark,
  eniTable,
  GROUP,
  MARK_MASK,
  NFT,
  PRIORITY,
  TABLE,
} from "../core/datapath/layout.ts";
import { type EniLink } from "../core/kernel.ts";
import { type Client } from "./client.ts";
import { dumpRules } from "./codec/dump.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { decodeNeighbour, getNeighbour, NUD } from "./codec/neighbour.ts";
import { NFPROTO } from "./codec/nfnetlink.ts";
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
import { decodeRule, type Rule } from "./codec/rule.ts";
import { lookAt, makesLinkLocal, together, wrongs } from "./look.ts";
import { routesOf } from "./table.ts";

const OURS = { family: NFPROTO.IPV4, table: NFT.table } as const;
const NETFILTER = { family: "netfilter" } as const;
/** NF_INET_PRE_ROUTING and NF_ACCEPT of <linux/netfilter.h>. */
const [PREROUTING, ACCEPT] = [0, 1];

/** See `Kernel.checkNode`. */
export async function checkNode(
  client: Client,
  enis: readonly EniLink[],
): Promise<Result<readonly string[]>> {
  const [rules, links, nft] = await Promise.all([
    client.dump("ip rule show", dumpRules(), decodeRule),
    lookAt(
      client,
      "ip link show",
      enis.map(({ ifIndex }) => getLink({ index: ifIndex })),
      ({ payload }) => decodeLink(payload),
    ),
    nftLines(
      client,
      enis.map(({ slot }) => eniChain(slot)),
    ),
  ]);
  if (!rules.ok) return rules;
  if (!links.ok) return links;
  const pods = { priority: PRIORITY.pods, table: TABLE.pods };
  const shared = wrongs([[!hasRule(rules.value, pods), ruleLine(pods)]]);
  const each = await Promise.all(enis.map((eni, at) => eniLines(client, eni, links.value[at], rules.value)));
  return together([ok(shared), nft, ...each]);
}

type RuleKey = { readonly priority: number; readonly table: number; readonly mark?: number };

function hasRule(rules: readonly Rule[], { priority, table, mark }: RuleKey): boolean {
  return rules.some(
    (rule) =>
      rule.priority === priority &&
      rule.table === table &&
      rule.fwmark === mark &&
      (mark === undefined || rule.fwmask === MARK_MASK) &&
      [rule.src, rule.dst, rule.iifName, rule.oifName].every((narrower) => narrower === undefined),
  );
}

function ruleLine({ priority, table, mark }: RuleKey): string {
  const who = mark === undefined ? "from all" : `fwmark 0x${mark.toString(16)}/0x${MARK_MASK.toString(16)}`;
  return `rule ${priority} ${who} lookup ${table} is missing`;
}

async function eniLines(
  client: Client,
  eni: EniLink,
  link: Link | undefined,
  rules: readonly Rule[],
): Promise<Result<readonly string[]>> {
  const { slot, ifIndex, mac, gateway } = eni;
  const table = eniTable(slot);
  const key = { priority: PRIORITY.eni, table, mark: eniMark(slot) };
  const rule = wrongs([[!hasRule(rules, key), ruleLine(key)]]);
  if (link === undefined || link.address !== mac)
    return ok([`device ${ifIndex} with the MAC ${mac} of the ENI of slot ${slot} is missing`, ...rule]);
  const name = link.name ?? String(ifIndex);
  const [routes, neighbours] = await Promise.all([
    routesOf(client, table, ifIndex),
    lookAt(
      client,
      `ip neighbour get ${gateway} dev ${name}`,
      [getNeighbour({ index: ifIndex, dst: gateway })],
      ({ payload }) => decodeNeighbour(payload),
    ),
  ]);
  if (!routes.ok) return routes;
  if (!neighbours.ok) return neighbours;
  const [neighbour] = neighbours.value;
  const isPermanent = neighbour?.lladdr !== undefined && (neighbour.state & NUD.PERMANENT) !== 0;
  const hasRoute = routes.value.some((route) => route.dst === undefined && route.gateway === gateway);
  return ok([
    ...deviceLines(name, link, eni),
    ...wrongs([
      [!hasRoute, `route default via ${gateway} dev ${name} in table ${table} is missing`],
      [!isPermanent, `permanent neighbour ${gateway} dev ${name} is missing`],
    ]),
    ...rule,
  ]);
}

function deviceLines(name: string, link: Link, { mtu }: EniLink): readonly string[] {
  const conf = link.afSpec?.inet?.conf;
  return wrongs([
    [(link.flags & IFF.UP) === 0, `device ${name} is down`],
    [link.group !== GROUP.enis, `device ${name} is in group ${link.group ?? 0}, not ${GROUP.enis}`],
    [(link.mtu ?? 0) < mtu, `device ${name} has the mtu ${link.mtu ?? 0}, less than ${mtu}`],
    [conf?.forwarding !== 1, `device ${name}: forwarding is off`],
    [conf?.rpFilter !== 2, `device ${name}: rp_filter is ${conf?.rpFilter ?? 0}, not 2`],
    [conf?.srcValidMark !== 1, `device ${name}: src_valid_mark is off`],
    [makesLinkLocal(link), `device ${name}: addrgenmode is not none`],
  ]);
}

async function nftLines(client: Client, eniChains: readonly string[]): Promise<Result<readonly string[]>> {
  const what = `nft list table ip ${NFT.table}`;
  const wanted = [
    { name: NFT.chain, rules: CHAIN_RULES.host },
    ...eniChains.map((name) => ({ name, rules: CHAIN_RULES.eni })),
  ];
  const [tables, maps, chains, rules] = await Promise.all([
    lookAt(client, what, [getNftTable(OURS)], ({ payload }) => decodeNftTable(payload), NETFILTER),
    lookAt(client, what, [getNftSet(OURS, NFT.map)], () => true, NETFILTER),
    lookAt(
      client,
      what,
      wanted.map(({ name }) => getNftChain(OURS, name)),
      ({ payload }) => decodeNftChain(payload),
      NETFILTER,
    ),
    client.dump(what, dumpNftRules(OURS), decodeNftRule, NETFILTER),
  ]);
  if (!tables.ok) return tables;
  if (!maps.ok) return maps;
  if (!chains.ok) return chains;
  if (!rules.ok) return rules;
  const [table] = tables.value;
  if (table === undefined) return ok([`nft table ip ${NFT.table} is missing`]);
  const ofChains = wanted.flatMap((chain, at) => {
    const has = rules.value.filter((rule) => rule.table === NFT.table && rule.chain === chain.name).length;
    return chainLines(chain, chains.value[at], has);
  });
  return ok([
    ...wrongs([
      [((table.flags ?? 0) & NFT_TABLE_DORMANT) !== 0, `nft table ip ${NFT.table} is dormant`],
      [maps.value[0] === undefined, `nft map ip ${NFT.table} ${NFT.map} is missing`],
    ]),
    ...ofChains,
  ]);
}

/** `has`: how many rules there are. Others may have added some. */
function chainLines(
  { name, rules }: { readonly name: string; readonly rules: number },
  chain: NftChain | undefined,
  has: number,
): readonly string[] {
  const what = `nft chain ip ${NFT.table} ${name}`;
  if (chain === undefined) return [`${what} is missing`];
  const isHooked = chain.hook?.hook === PREROUTING && ((chain.hook.priority ?? 0) | 0) === HOOK_PRIORITY;
  return wrongs([
    [name === NFT.chain && !isHooked, `${what} is not hooked into prerouting at priority ${HOOK_PRIORITY}`],
    [name === NFT.chain && isHooked && chain.policy !== ACCEPT, `${what} has not the policy accept`],
    [has < rules, `${what} has ${has} of its ${rules} rules`],
  ]);
}
