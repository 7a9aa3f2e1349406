/**
 * The node's primary ENI: its device, and its addresses, which are the node's.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { isIpv6 } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Device } from "../core/datapath/thing.ts";
import { type PodAddresses } from "../core/kernel.ts";
import { type Client } from "./client.ts";
import { type Address, decodeAddress, IFA_F } from "./codec/address.ts";
import { dumpAddresses, dumpLinks } from "./codec/dump.ts";
import { AF } from "./codec/ip.ts";
import { decodeLinkLabel } from "./codec/link.ts";

/** RT_SCOPE_UNIVERSE of <linux/rtnetlink.h>. */
const GLOBAL = 0;
const UNUSED = IFA_F.SECONDARY | IFA_F.TENTATIVE | IFA_F.DEPRECATED | IFA_F.DADFAILED;

export type Uplink = { readonly device: Device; readonly addresses: PodAddresses };

/** The first lasting address of each family on the device with this MAC. IPv4 has to be there. */
export async function findPrimary(
  client: Client,
  mac: Mac,
  host: { readonly ipv6: boolean },
): Promise<Result<Uplink>> {
  const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
  if (!links.ok) return links;
  // A slave has the MAC of its ENI.
  const uplink = links.value.find(({ address, info }) => address === mac && info?.kind !== "ipvlan");
  if (uplink === undefined) return failed(missing(`a device with the MAC ${mac} of the primary ENI`));
  const v4 = await firstOf(client, AF.INET, uplink.index);
  if (!v4.ok) return v4;
  const v6 = host.ipv6 ? await firstOf(client, AF.INET6, uplink.index) : ok(undefined);
  if (!v6.ok) return v6;
  if (v4.value === undefined || isIpv6(v4.value))
    return failed(missing(`an IPv4 address on ${uplink.name}, the primary ENI,`));
  const addresses = { v4: v4.value, ...(v6.value !== undefined && isIpv6(v6.value) && { v6: v6.value }) };
  return ok({ device: { name: uplink.name ?? String(uplink.index), ifIndex: uplink.index }, addresses });
}

function missing(what: string) {
  return { kind: "kernel", op: `${what} is not there`, errno: "EADDRNOTAVAIL" } as const;
}

async function firstOf(client: Client, family: number, index: number): Promise<Result<Address["local"]>> {
  const found = await client.dump("ip address show", dumpAddresses({ family, index }), decodeAddress);
  if (!found.ok) return found;
  // A kernel that does not filter sends those of all devices.
  const own = found.value.filter(
    (address) => address.index === index && address.scope === GLOBAL && (address.flags & UNUSED) === 0,
  );
  const [first] = own.map(({ local, address }) => local ?? address);
  return ok(first);
}
