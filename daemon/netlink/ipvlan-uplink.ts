/**
 * Forwarding of what comes in by the node's primary ENI: answers of backends elsewhere to ipvlan pods, which the node asked in
 * its own name. The device is the host's, so what was changed is remembered in a set of our nftables table, which lives as long
 * as the setting, and is changed back before the table goes.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { familiesOf, type HostFacts } from "../core/datapath/host-plan.ts";
import { IPVLAN_NFT } from "../core/datapath/ipvlan-nft.ts";
import { type NftFamily } from "../core/datapath/layout.ts";
import { type Device } from "../core/datapath/thing.ts";
import { type Client, GONE } from "./client.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { decodeSetElements, dumpElements } from "./codec/nft-element.ts";
import { tableKeyOf } from "./encode-thing.ts";
import { setForwarding } from "./hybrid/forwarding.ts";
import { inet6Of } from "./inet6.ts";
import { lookAt } from "./look.ts";
import { runNft } from "./nft.ts";

/** The families that are to be forwarded. */
export type Forwarded = { readonly uplink: Device; readonly families: readonly NftFamily[] };

/** Switches on what is off, after the tables are there. A kernel before 6.17 forwards IPv6 for all devices or for none. */
export async function forwardUplink(
  client: Client,
  nodeNetns: string | undefined,
  forwarded: Forwarded,
): Promise<Result<void>> {
  const { uplink } = forwarded;
  const off = await familiesOff(client, forwarded);
  if (!off.ok) return off;
  for (const family of off.value) {
    const element = `add element ${family} ${IPVLAN_NFT.table} ${IPVLAN_NFT.forwarding} { "${uplink.name}" }`;
    const noted = await runNft(`${element}\n`, nodeNetns);
    if (!noted.ok) return noted;
    const on = await setForwarding(client, family, uplink, true);
    if (!on.ok) return on;
  }
  return ok(undefined);
}

/** One line for each family whose packets are not forwarded. */
export async function uplinkLines(client: Client, forwarded: Forwarded): Promise<Result<readonly string[]>> {
  const { uplink } = forwarded;
  const off = await familiesOff(client, forwarded);
  return off.ok
    ? ok(off.value.map((family) => `device ${uplink.name}: forwarding of ${family} is off`))
    : off;
}

/** Switches off what was switched on. A device that is gone is none. */
export async function restoreUplink(client: Client, host: HostFacts): Promise<Result<void>> {
  for (const family of familiesOf(host)) {
    const set = { ...tableKeyOf(family), table: IPVLAN_NFT.table, set: IPVLAN_NFT.forwarding };
    const what = `nft list set ${family} ${IPVLAN_NFT.table} ${IPVLAN_NFT.forwarding}`;
    const noted = await client.dump(what, dumpElements(set), namesOf, { family: "netfilter" });
    if (!noted.ok) {
      if (noted.fault.kind === "kernel" && GONE.has(noted.fault.errno)) continue;
      return noted;
    }
    for (const name of noted.value.flat()) {
      const link = await linkAt(client, { name });
      if (!link.ok) return link;
      if (link.value === undefined) continue;
      const restored = await setForwarding(client, family, { name, ifIndex: link.value.index }, false);
      if (!restored.ok) return restored;
    }
  }
  return ok(undefined);
}

function namesOf(payload: Uint8Array): readonly string[] {
  return decodeSetElements(payload, { key: ["ifname"] }).elements.flatMap(({ key: [key] }) =>
    key?.kind === "ifname" ? [key.name] : [],
  );
}

async function familiesOff(
  client: Client,
  { uplink, families }: Forwarded,
): Promise<Result<readonly NftFamily[]>> {
  const found = await linkAt(client, { index: uplink.ifIndex });
  if (!found.ok || found.value === undefined) return found.ok ? ok([]) : found;
  const link = found.value;
  const isOff = {
    ip: link.afSpec?.inet?.conf?.forwarding !== 1,
    ip6: inet6Of(link)?.forwarding === false,
  };
  return ok(families.filter((family) => isOff[family]));
}

async function linkAt(
  client: Client,
  key: { readonly name: string } | { readonly index: number },
): Promise<Result<Link | undefined>> {
  const found = await lookAt(client, "ip link show", [getLink(key)], ({ payload }) => decodeLink(payload));
  return found.ok ? ok(found.value[0]) : found;
}
