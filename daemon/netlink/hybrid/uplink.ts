/**
 * The device that the node's address is on, whatever its name is.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { ok, type Result } from "../../../proto/result.ts";
import { openClient } from "../client.ts";
import { decodeAddress } from "../codec/address.ts";
import { dumpAddresses } from "../codec/dump.ts";
import { AF } from "../codec/ip.ts";
import { decodeLink, getLink } from "../codec/link.ts";
import { lookAt } from "../look.ts";
import { type SocketThread } from "../socket.ts";

export type FoundUplink = {
  readonly name: string;
  readonly ifIndex: number;
  readonly mtuBytes: number;
  /** Of the address on the device, bits. */
  readonly prefixLength: number;
};

/** `undefined` where no device of the node has the address. */
export async function findUplink(
  thread: SocketThread,
  ip: IpAddress,
): Promise<Result<FoundUplink | undefined>> {
  const client = openClient(thread);
  const family = isIpv6(ip) ? AF.INET6 : AF.INET;
  const addresses = await client.dump("list addresses", dumpAddresses({ family }), decodeAddress);
  if (!addresses.ok) return addresses;
  const own = addresses.value.find(({ local, address }) => (local ?? address) === ip);
  if (own === undefined) return ok(undefined);
  const requests = [getLink({ index: own.index })];
  const links = await lookAt(client, `ip link show ${own.index}`, requests, ({ payload }) =>
    decodeLink(payload),
  );
  if (!links.ok) return links;
  const [link] = links.value;
  const { prefixLength, index } = own;
  return ok(
    link?.name === undefined || link.mtu === undefined
      ? undefined
      : { name: link.name, ifIndex: index, mtuBytes: link.mtu, prefixLength },
  );
}
