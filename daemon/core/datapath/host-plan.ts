/**
 * The parts that many pods share: the node's table of pods, the nftables tables, and one table and rule an ENI, for each
 * family.
 *
 * The nftables hook is before routing at priority -250. It has to be before the lookup of the route; it needs nothing of
 * connection tracking (-200); it comes after `raw` (-300), where others clear marks; and before `mangle` (-150), so that
 * whoever marks packets there sees ours and adds to it.
 *
 * @module
 */
import { type Mac, macFromBytes } from "../../../proto/addr.ts";
import { type IpAddress } from "../../../proto/addr6.ts";
import { networkOf } from "../../../proto/cidr6.ts";
import { type EniLink } from "../kernel.ts";
import {
  eniChain,
  eniMark,
  eniTable,
  GROUP,
  MARK_MASK,
  NFT,
  nftFamily,
  type NftFamily,
  PRIORITY,
  TABLE,
} from "./layout.ts";
import { type Device, type Ipv6Settings, type Plan, type RuleThing } from "./thing.ts";

/** See above. */
export const HOOK_PRIORITY = -250;

/** How many rules the chains have: the hook's of each family, and that of an ENI. */
export const CHAIN_RULES = { ip: 2, ip6: 4, eni: 1 } as const;

/** What the node's kernel can do. */
export type HostFacts = { readonly ipv6: boolean };

/** The families of a node's tables. */
export function familiesOf({ ipv6 }: HostFacts): readonly NftFamily[] {
  return ipv6 ? ["ip", "ip6"] : ["ip"];
}

/** One rule for all pods: a packet to a pod of this node goes to its link, wherever it comes from. */
export function planHost(host: HostFacts): Plan {
  return familiesOf(host).map((family) => ({
    kind: "rule",
    family: numberOf(family),
    priority: PRIORITY.pods,
    table: TABLE.pods,
  }));
}

/** Text for nft(8), one transaction; may be given again while packets flow. Elements stay. */
export function nftHostText(host: HostFacts): string {
  return lines(familiesOf(host).flatMap(tableText));
}

function tableText(family: NftFamily): readonly string[] {
  const table = `${family} ${NFT.table}`;
  const chain = `${table} ${NFT.chain}`;
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  return [
    `add table ${table}`,
    `add map ${table} ${NFT.map} { type ${type} : verdict; }`,
    ...(family === "ip" ? [] : [`add counter ${table} ${NFT.spoofed}`]),
    `add chain ${chain} { type filter hook prerouting priority ${HOOK_PRIORITY}; policy accept; }`,
    `flush chain ${chain}`,
    ...ruleTexts(family).map((rule) => `add rule ${chain} ${rule}`),
  ];
}

/**
 * In the place of `rp_filter`: the way back to an IPv6 source of a pod, doomed ones too, has to be the pod's link; and what
 * comes in by an ENI is for a pod or for nobody, else the node would send it back into the VPC by its own device. What
 * `rp_filter` drops the kernel counts (IPReversePathFilter), what is dropped in its place a counter of the table.
 */
function ruleTexts(family: NftFamily): readonly string[] {
  const fromPods = `meta iifgroup ${GROUP.pods} ${family} saddr vmap @${NFT.map}`;
  const toPods = `meta iifgroup ${GROUP.enis} ${family} daddr vmap @${NFT.map}`;
  const links = `meta iifgroup ${GROUP.pods}-${GROUP.doomed}`;
  return family === "ip"
    ? [fromPods, toPods]
    : [
        `${links} fib saddr . iif oif missing counter name ${NFT.spoofed} drop`,
        fromPods,
        toPods,
        `meta iifgroup ${GROUP.enis} drop`,
      ];
}

/** The device first: the gateway can be asked only when it is up. Its address is nowhere on the node. */
export function planEniLink(eni: EniLink, device: Device, host: HostFacts): Plan {
  const { mtu, v6 } = eni;
  const ipv6: Ipv6Settings = {
    ...(v6 !== undefined && ({ enabled: true, forwarding: true } as const)),
    acceptRa: false,
  };
  return [
    {
      kind: "settings",
      place: "node",
      device,
      settings: {
        up: true,
        mtu,
        group: GROUP.enis,
        linkLocal: false,
        ipv4: { forwarding: true, rpFilter: 2, srcValidMark: true },
        ...(host.ipv6 && { ipv6 }),
      },
    },
  ];
}

/** The device as it came, where it has to be given up before it served. */
export function planEniUnlink(device: Device): Plan {
  return [{ kind: "settings", place: "node", device, settings: { group: 0, up: false } }];
}

/** The device of an ENI that is given up while it is there. */
export function planEniForget(device: Device): Plan {
  return [{ kind: "settings", place: "node", device, settings: { group: 0 } }];
}

/** The MACs that an ENI's gateways answered with. */
export type GatewayMacs = { readonly v4?: Mac; readonly v6?: Mac };

/** Of a neighbour that is only to be removed, or that nobody knows of. */
export const NO_MAC = noMac();

/**
 * The neighbours are permanent, so that the kernel never has to ask for itself.
 */
export function planEniRoutes(
  { slot, gateway, v6 }: Pick<EniLink, "slot" | "gateway" | "v6">,
  device: Device,
  macs: GatewayMacs,
): Plan {
  return [
    ...gatewayThings(slot, device, gateway, macs.v4),
    ...(v6 === undefined ? [] : gatewayThings(slot, device, v6.gateway, macs.v6)),
  ];
}

/** What an ENI has for one family. */
export function gatewayThings(slot: number, device: Device, via: IpAddress, mac: Mac = NO_MAC): Plan {
  const family = nftFamily(via);
  return [
    { kind: "neighbour", place: "node", device, address: via, mac },
    { kind: "route", place: "node", table: eniTable(slot), to: networkOf(via, 0), via, device, onlink: true },
    eniRule(slot, family),
  ];
}

/** What takes the packets of an ENI's pods to its table. */
export function eniRule(slot: number, family: NftFamily): RuleThing {
  const mark = { value: eniMark(slot), mask: MARK_MASK };
  return { kind: "rule", family: numberOf(family), priority: PRIORITY.eni, table: eniTable(slot), mark };
}

function numberOf(family: NftFamily): 4 | 6 {
  return family === "ip" ? 4 : 6;
}

/** Text for nft(8): the chain that a pod's element goes to. Only the bits of `MARK_MASK` change. */
export function nftEniText(slot: number, host: HostFacts): string {
  const others = (~MARK_MASK & 0xffff_ffff) >>> 0;
  const rule = `meta mark set meta mark and ${hex(others)} or ${hex(eniMark(slot))}`;
  return lines(
    chainsOf(slot, familiesOf(host)).flatMap((chain) => [
      `add chain ${chain}`,
      `flush chain ${chain}`,
      `add rule ${chain} ${rule}`,
    ]),
  );
}

/** Text for nft(8). Fails while a pod's element goes there. */
export function nftForgetEniText(slot: number, families: readonly NftFamily[]): string {
  return lines(chainsOf(slot, families).map((chain) => `delete chain ${chain}`));
}

function chainsOf(slot: number, families: readonly NftFamily[]): readonly string[] {
  return families.map((family) => `${family} ${NFT.table} ${eniChain(slot)}`);
}

/** Text for nft(8): all of ours; no failure where there is nothing. */
export function nftCleanText(host: HostFacts): string {
  return lines(
    familiesOf(host).flatMap((family) => {
      const table = `table ${family} ${NFT.table}`;
      return [`add ${table}`, `delete ${table}`];
    }),
  );
}

function noMac(): Mac {
  const mac = macFromBytes(new Uint8Array(6));
  if (mac === undefined) throw new Error("six bytes are no MAC");
  return mac;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function lines(commands: readonly string[]): string {
  return `${commands.join("\n")}\n`;
}
