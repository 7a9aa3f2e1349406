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
  ARP_IGNORE_ALL,
  eniChain,
  eniMark,
  eniTable,
  FORMER_MAP,
  GROUP,
  guardPriority,
  MARK_MASK,
  NFT,
  nftFamily,
  type NftFamily,
  PRIORITY,
  TABLE,
} from "./layout.ts";
import { type Device, type Ipv4Settings, type Ipv6Settings, type Plan, type RuleThing } from "./thing.ts";

/** See above. */
export const HOOK_PRIORITY = -250;

/** What the node's kernel can do. */
export type HostFacts = {
  readonly ipv6: boolean;
  /** The node checks the sources of IPv4 on every link: its `net.ipv4.conf.all.rp_filter` is not 0. */
  readonly checksSources?: boolean;
};

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
  return lines(
    familiesOf(host).flatMap((family) => {
      const table = `${family} ${NFT.table}`;
      const rules = chainRules(family, host);
      const [hook, pods] = [`${table} ${NFT.chain}`, `${table} ${NFT.pods}`];
      return [
        ...mapText(family),
        `add counter ${table} ${NFT.spoofed}`,
        `add chain ${pods}`,
        `add chain ${hook} { type filter hook prerouting priority ${HOOK_PRIORITY}; policy accept; }`,
        `flush chain ${hook}`,
        `flush chain ${pods}`,
        ...rules.pods.map((rule) => `add rule ${pods} ${rule}`),
        ...rules.hook.map((rule) => `add rule ${hook} ${rule}`),
      ];
    }),
  );
}

/** Text for nft(8): the map alone, which does nothing until `nftHostText` has rules look into it. */
export function nftMapText(host: HostFacts): string {
  return lines(familiesOf(host).flatMap(mapText));
}

/** Text for nft(8): the map of former versions goes. Fails where there is none. */
export function nftForgetFormerText(families: readonly NftFamily[]): string {
  return lines(families.map((family) => `delete map ${family} ${NFT.table} ${FORMER_MAP}`));
}

function mapText(family: NftFamily): readonly string[] {
  const table = `${family} ${NFT.table}`;
  return [
    `add table ${table}`,
    `add map ${table} ${NFT.map} { type iface_index . ${family === "ip" ? "ipv4_addr" : "ipv6_addr"} : verdict; }`,
  ];
}

/** The rules of a family's chains, as nft(8) takes them. `hook`: of all packets; `pods`: of what comes from pods. */
export type ChainRules = { readonly hook: readonly string[]; readonly pods: readonly string[] };

/**
 * What comes from a doomed link is dropped whatever elements say. What a pod's own kernel sends by IPv6 (router
 * solicitations, group reports) is dropped too, and is no spoofing. Where the node checks sources too, an ENI's packets get the
 * mark of the pod that they are for: the link of the route to it and its address are the pod's key.
 */
export function chainRules(family: NftFamily, { checksSources = false }: HostFacts): ChainRules {
  return {
    pods: [
      `iif . ${family} saddr vmap @${NFT.map}`,
      ...(family === "ip" ? [] : ["ip6 saddr fe80::/10 drop", "ip6 saddr :: drop"]),
      `counter name ${NFT.spoofed} drop`,
    ],
    hook: [
      `meta iifgroup ${GROUP.pods} goto ${NFT.pods}`,
      `meta iifgroup ${GROUP.doomed} drop`,
      ...(checksSources && family === "ip"
        ? [`meta iifgroup ${GROUP.enis} fib daddr oif . ip daddr vmap @${NFT.map}`]
        : []),
    ],
  };
}

/** How an ENI's device takes packets in. Both forms say all of what they differ in, so that one can follow the other. */
export function eniSources({ checksSources = false }: HostFacts): Ipv4Settings {
  return checksSources
    ? { rpFilter: 2, srcValidMark: true, acceptLocal: false, arpIgnore: ARP_IGNORE_ALL }
    : { rpFilter: 0, srcValidMark: false, acceptLocal: true, arpIgnore: ARP_IGNORE_ALL };
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
        ipv4: { forwarding: true, ...eniSources(host) },
        ...(host.ipv6 && { ipv6 }),
      },
    },
  ];
}

/** Of a device that nothing of ours guards any more: the kernel looks at sources again. */
const GIVEN_UP: Ipv4Settings = { rpFilter: 2, acceptLocal: false };

/** The device as it came, where it has to be given up before it served. */
export function planEniUnlink(device: Device): Plan {
  return [{ kind: "settings", place: "node", device, settings: { group: 0, up: false, ipv4: GIVEN_UP } }];
}

/** The device of an ENI that is given up while it is there. */
export function planEniForget(device: Device): Plan {
  return [{ kind: "settings", place: "node", device, settings: { group: 0, ipv4: GIVEN_UP } }];
}

/** The MACs that an ENI's gateways answered with. */
export type GatewayMacs = { readonly v4?: Mac; readonly v6?: Mac };

/** Of a neighbour that is only to be removed, or that nobody knows of. */
export const NO_MAC = noMac();

/**
 * The neighbours are permanent, so that the kernel never has to ask for itself. The guards are of all families: whatever
 * the node forwards, nothing that an ENI brings for nobody.
 */
export function planEniRoutes(
  { slot, gateway, v6 }: Pick<EniLink, "slot" | "gateway" | "v6">,
  device: Device,
  macs: GatewayMacs,
  host: HostFacts,
): Plan {
  return [
    ...familiesOf(host).map((family) => eniGuard(slot, family, device.name)),
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

/** What drops packets of an ENI that are for nobody. `iif`: the device's name; to take the rule away its priority is enough. */
export function eniGuard(slot: number, family: NftFamily, iif?: string): RuleThing {
  return {
    kind: "rule",
    family: numberOf(family),
    priority: guardPriority(slot),
    ...(iif !== undefined && { iif }),
  };
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
