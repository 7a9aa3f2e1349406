/**
 * Forwarding of packets that come in by the uplink: answers to translated packets, and what comes to pods in the underlay.
 * The uplink is the host's, so what was changed is remembered in a set of nftables, which lives as long as the setting, and
 * is changed back by whoever removes the tables.
 *
 * @module
 */
import { isIpv6 } from "../../../proto/addr6.ts";
import { firstOf } from "../../../proto/cidr6.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type Device } from "../../core/datapath/thing.ts";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { NFT_FAMILIES } from "../../core/hybrid/nft-text.ts";
import { type NftFamily } from "../../core/hybrid/things.ts";
import { answerFault, type Client, GONE } from "../client.ts";
import { decodeLink, getLink, type Link, setLink } from "../codec/link.ts";
import { addElements, nftBatch } from "../codec/nft-element.ts";
import { inet6Of } from "../inet6.ts";
import { lookAt } from "../look.ts";
import { nodeSet } from "./encode.ts";
import { elementsOf } from "./nat.ts";

/** Whether a block of the node is of IPv6. */
export function hasIpv6({ blocks }: HybridDesired): boolean {
  return blocks.some((block) => isIpv6(firstOf(block)));
}

/** Switches on what is off. A kernel before 6.17 forwards IPv6 for all devices or for none, which is not ours to say. */
export async function mendForwarding(
  client: Client,
  desired: HybridDesired,
  { uplink, uplinkLink }: { readonly uplink: Device; readonly uplinkLink: Link },
): Promise<Result<readonly string[]>> {
  const isOff = {
    ip: uplinkLink.afSpec?.inet?.conf?.forwarding !== 1,
    ip6: hasIpv6(desired) && inet6Of(uplinkLink)?.forwarding === false,
  };
  const mended: string[] = [];
  for (const family of NFT_FAMILIES) {
    if (!isOff[family]) continue;
    const noted = await remember(client, family, uplink);
    if (!noted.ok) return noted;
    const on = await setForwarding(client, family, uplink, true);
    if (!on.ok) return on;
    mended.push(`device ${uplink.name}: forwarding of ${family} was off`);
  }
  return ok(mended);
}

/** Switches off what was switched on; before the tables of these families go. A device that is gone is none. */
export async function restoreForwarding(
  client: Client,
  families: readonly NftFamily[],
): Promise<Result<void>> {
  for (const family of families) {
    const noted = await elementsOf(client, "forwarding", "ifname", family);
    if (!noted.ok) return noted;
    for (const value of noted.value) {
      const device = value.kind === "ifname" ? await deviceOf(client, value.name) : ok(undefined);
      if (!device.ok) return device;
      const off =
        device.value === undefined ? ok(undefined) : await setForwarding(client, family, device.value, false);
      if (!off.ok) return off;
    }
  }
  return ok(undefined);
}

/** Writes /proc/sys/net/ipv6/conf/DEVICE/…, as the node sees it. What the kernel has not is left out. */
export async function setIpv6(
  client: Client,
  { name }: Device,
  settings: Readonly<Record<string, string>>,
): Promise<Result<void>> {
  const files = Object.entries(settings).map(([setting, value]) => ({
    path: `/proc/sys/net/ipv6/conf/${name}/${setting}`,
    value,
  }));
  const answers = await client.ask([{ family: "files", settings: files }]);
  if (!answers.ok) return answers;
  const refused = answers.value[0]?.find(
    (answer) => answer.kind !== "done" && !(answer.kind === "refused" && GONE.has(answer.errno)),
  );
  return refused === undefined ? ok(undefined) : failed(answerFault(`IPv6 settings of ${name}`, refused));
}

/** IPv6 by `force_forwarding`, where the kernel has it. */
export async function setForwarding(
  client: Client,
  family: NftFamily,
  device: Device,
  on: boolean,
): Promise<Result<void>> {
  if (family === "ip6") return setIpv6(client, device, { force_forwarding: `${Number(on)}` });
  const afSpec = { inet: { conf: { forwarding: Number(on) } } };
  const requests = [setLink({ index: device.ifIndex, afSpec })];
  const answers = await client.ask([{ family: "route", requests, ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  return answer?.kind === "done"
    ? ok(undefined)
    : failed(answerFault(`sysctl net.ipv4.conf.${device.name}.forwarding=${Number(on)}`, answer));
}

/** Before it is switched on. */
async function remember(client: Client, family: NftFamily, { name }: Device): Promise<Result<void>> {
  const element = { key: [{ kind: "ifname", name }] } as const;
  const requests = nftBatch(addElements(nodeSet(family, "forwarding"), [element]));
  const answers = await client.ask([{ family: "netfilter", requests, ack: "as-is" }]);
  if (!answers.ok) return answers;
  const refused = answers.value[0]?.find(({ kind }) => kind !== "done");
  return refused === undefined
    ? ok(undefined)
    : failed(answerFault(`remember forwarding of ${name}`, refused));
}

async function deviceOf(client: Client, name: string): Promise<Result<Device | undefined>> {
  const links = await lookAt(client, `ip link show ${name}`, [getLink({ name })], ({ payload }) =>
    decodeLink(payload),
  );
  if (!links.ok) return links;
  const [link] = links.value;
  return ok(link === undefined ? undefined : { name, ifIndex: link.index });
}
