/**
 * IPv6 settings of a device as its link tells them: IFLA_AF_SPEC, AF_INET6. They can be read this way, not set.
 *
 * @module
 */
import { attributesOf } from "./codec/attribute.ts";
import { AF } from "./codec/ip.ts";
import { type Link } from "./codec/link.ts";
import { type Span, spanOf } from "./codec/wire.ts";

export type Inet6 = {
  /** `other`: the kernel gives the device a link-local address by itself. */
  readonly addrGenMode: "none" | "other";
  readonly disabled: boolean;
  readonly acceptRa: boolean;
  /** `force_forwarding`; absent: a kernel before 6.17, which has none. */
  readonly forwarding?: boolean;
};

/** IFLA_INET6_CONF and IFLA_INET6_ADDR_GEN_MODE of <linux/if_link.h>, IN6_ADDR_GEN_MODE_NONE. */
const [CONF, ADDR_GEN_MODE, NONE] = [2, 8, 1];
/** DEVCONF_* of <linux/ipv6.h>: places in the array. */
const DEVCONF = { acceptRa: 3, disable: 26, forceForwarding: 59 } as const;

/** `undefined`: the device has no IPv6, or its mtu is below 1280. */
export function inet6Of({ afSpec }: Link): Inet6 | undefined {
  const inet6 = afSpec?.unknown?.find(({ type }) => type === AF.INET6);
  if (inet6 === undefined) return undefined;
  const attributes = attributesOf(spanOf(inet6.bytes));
  const mode = attributes.find(({ type }) => type === ADDR_GEN_MODE)?.payload;
  const conf = attributes.find(({ type }) => type === CONF)?.payload;
  const forwarding = conf && setting(conf, DEVCONF.forceForwarding);
  return {
    addrGenMode: mode?.view.getUint8(mode.start) === NONE ? "none" : "other",
    disabled: (conf && setting(conf, DEVCONF.disable)) === 1,
    acceptRa: (conf && setting(conf, DEVCONF.acceptRa)) !== 0,
    ...(forwarding !== undefined && { forwarding: forwarding === 1 }),
  };
}

/** Whether the kernel gives the device a link-local address of IPv6 by itself. */
export function makesLinkLocal(link: Link): boolean {
  return inet6Of(link)?.addrGenMode === "other";
}

function setting({ view, start, end }: Span, place: number): number | undefined {
  const at = start + 4 * place;
  return at + 4 <= end ? view.getInt32(at, true) : undefined;
}
