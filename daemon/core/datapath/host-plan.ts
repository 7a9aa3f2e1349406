/**
 * The parts that many pods share: the node's table of pods, the nftables table, and one table and rule an ENI.
 *
 * The nftables hook is before routing at priority -250. It has to be before the lookup of the route; it needs nothing of
 * connection tracking (-200); it comes after `raw` (-300), where others clear marks; and before `mangle` (-150), so that
 * whoever marks packets there sees ours and adds to it.
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type EniLink } from "../kernel.ts";
import { eniChain, eniMark, eniTable, GROUP, MARK_MASK, NFT, PRIORITY, TABLE } from "./layout.ts";
import { type Step } from "./step.ts";

/** See above. */
export const HOOK_PRIORITY = -250;

/** How many rules the chains have: the hook's, and that of an ENI. */
export const CHAIN_RULES = { host: 2, eni: 1 } as const;

/** One rule for all pods: a packet to a pod of this node goes to its link, wherever it comes from. */
export function planHost(): readonly Step[] {
  return [{ op: "add-rule", priority: PRIORITY.pods, table: TABLE.pods }];
}

/** Text for nft(8), one transaction; may be given again while packets flow. Elements stay. */
export function nftHostText(): string {
  const { table, map, chain } = NFT;
  return lines([
    `add table ip ${table}`,
    `add map ip ${table} ${map} { type ipv4_addr : verdict; }`,
    `add chain ip ${table} ${chain} { type filter hook prerouting priority ${HOOK_PRIORITY}; policy accept; }`,
    `flush chain ip ${table} ${chain}`,
    `add rule ip ${table} ${chain} meta iifgroup ${GROUP.pods} ip saddr vmap @${map}`,
    `add rule ip ${table} ${chain} meta iifgroup ${GROUP.enis} ip daddr vmap @${map}`,
  ]);
}

/** The device first: the gateway can be asked only when it is up. Its address is nowhere on the node. */
export function planEniLink(eni: EniLink): readonly Step[] {
  return [
    { op: "no-link-local", ifIndex: eni.ifIndex },
    {
      op: "set-link",
      where: "node",
      ifIndex: eni.ifIndex,
      mtu: eni.mtu,
      group: GROUP.enis,
      settings: { forwarding: true, rpFilter: 2, srcValidMark: true },
      up: true,
    },
  ];
}

/** The device as it came, where it has to be given up before it served. */
export function planEniUnlink(ifIndex: number): readonly Step[] {
  return [{ op: "set-link", where: "node", ifIndex, group: 0, up: false }];
}

/** `gatewayMac`: what the gateway answered. The neighbour is permanent, so that the kernel never has to ask for itself. */
export function planEniRoutes(eni: EniLink, gatewayMac: Mac): readonly Step[] {
  const { slot, ifIndex, gateway } = eni;
  const table = eniTable(slot);
  return [
    { op: "add-neighbour", where: "node", ifIndex, address: gateway, mac: gatewayMac },
    { op: "add-route", where: "node", table, ifIndex, via: gateway },
    eniRule(slot),
  ];
}

/** Text for nft(8): the chain that a pod's element goes to. Only the bits of `MARK_MASK` change. */
export function nftEniText(slot: number): string {
  const chain = `ip ${NFT.table} ${eniChain(slot)}`;
  const others = (~MARK_MASK & 0xffff_ffff) >>> 0;
  return lines([
    `add chain ${chain}`,
    `flush chain ${chain}`,
    `add rule ${chain} meta mark set meta mark and ${hex(others)} or ${hex(eniMark(slot))}`,
  ]);
}

/** Text for nft(8). Fails while a pod's element goes there. */
export function nftForgetEniText(slot: number): string {
  return lines([`delete chain ip ${NFT.table} ${eniChain(slot)}`]);
}

/** Text for nft(8): all of ours; no failure where there is nothing. */
export function nftCleanText(): string {
  return lines([`add table ip ${NFT.table}`, `delete table ip ${NFT.table}`]);
}

/** The rule and the table of a slot. `neighbours`: the permanent ones that were found on its device. */
export function planForgetEni(
  slot: number,
  device: Pick<EniLink, "ifIndex" | "gateway"> | undefined,
): readonly Step[] {
  return [
    { ...eniRule(slot), op: "delete-rule" },
    { op: "delete-route", table: eniTable(slot) },
    ...(device === undefined
      ? []
      : ([
          { op: "delete-neighbour", ifIndex: device.ifIndex, address: device.gateway },
          { op: "set-link", where: "node", ifIndex: device.ifIndex, group: 0 },
        ] as const)),
  ];
}

function eniRule(slot: number): Step & { readonly op: "add-rule" | "delete-rule" } {
  return { op: "add-rule", priority: PRIORITY.eni, table: eniTable(slot), mark: eniMark(slot) };
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function lines(commands: readonly string[]): string {
  return `${commands.join("\n")}\n`;
}
