/**
 * What the node's kernel can do with IPv6.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { type HostFacts } from "../core/datapath/host-plan.ts";

/** There where the kernel has IPv6 (no `ipv6.disable=1`), whatever devices have it. */
const ADDRESSES = "/proc/net/if_inet6";
/** Since 6.17. */
const PER_LINK = "/proc/sys/net/ipv6/conf/lo/force_forwarding";
const ALL = "/proc/sys/net/ipv6/conf/all/forwarding";

export function hostFacts(): HostFacts {
  return { ipv6: existsSync(ADDRESSES) };
}

/**
 * Why no pod's IPv6 packet would be forwarded; `undefined` where they are. Before 6.17 the kernel forwards for all devices or
 * for none, and that is the node's setting: a node that learns its own routes from advertisements loses them with it.
 */
export function forwardingRefusal(
  read: (path: string) => string | undefined = readSetting,
): string | undefined {
  if (read(PER_LINK) !== undefined || read(ALL) === "1") return undefined;
  return "net.ipv6.conf.all.forwarding is 0, and this kernel (before 6.17) has no forwarding per device: set it to 1, and accept_ra of the uplink to 2";
}

function readSetting(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
