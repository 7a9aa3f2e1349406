/**
 * Counting addresses: of one family, and of what pods take, an IPv4 address or a pair. Everything here is the IPv4 count
 * alone where pods get no IPv6 address.
 *
 * @module
 */
import { isIpv6 } from "../../../proto/addr6.ts";
import { type Family, wantsPairs } from "../ip-stack.ts";
import { type AddressState, type Eni, type Limits, type Pool } from "./model.ts";

/** Anything with the addresses of an ENI. */
type Addresses = Pick<Eni, "addresses">;

/** Addresses of the family in this state. */
export function countOf(eni: Addresses, kind: AddressState["kind"], family: Family): number {
  let count = 0;
  for (const [address, state] of eni.addresses)
    if (state.kind === kind && isIpv6(address) === (family === "ipv6")) count += 1;
  return count;
}

/** Addresses of the family in any state. */
export function sizeOf(eni: Addresses, family: Family): number {
  let count = 0;
  for (const address of eni.addresses.keys()) if (isIpv6(address) === (family === "ipv6")) count += 1;
  return count;
}

/** How many pods the idle addresses of the ENI can serve. */
export function idleOf({ settings }: Pick<Pool, "settings">, eni: Addresses): number {
  const idle = countOf(eni, "idle", "ipv4");
  return wantsPairs(settings.ipStack) ? Math.min(idle, countOf(eni, "idle", "ipv6")) : idle;
}

/** The same for all ENIs that serve. */
export function idleTotal(pool: Pick<Pool, "settings" | "enis">): number {
  let idle = 0;
  for (const eni of pool.enis.values()) if (eni.state.kind === "ready") idle += idleOf(pool, eni);
  return idle;
}

/** How many addresses of the family an ENI can have. */
export function limitOf(limits: Limits, family: Family): number {
  return family === "ipv4" ? limits.addressesPerEni : (limits.addresses6PerEni ?? limits.addressesPerEni);
}

/** How many pods an ENI can serve. */
export function podsPerEni({ settings, limits }: Pick<Pool, "settings" | "limits">): number {
  const most = limitOf(limits, "ipv4");
  return wantsPairs(settings.ipStack) ? Math.min(most, limitOf(limits, "ipv6")) : most;
}

/** Pairs that would be had, and kept, if incomplete ones were completed now. */
export function pairsWanted(pool: Pick<Pool, "settings" | "enis" | "waiting">): number {
  if (!wantsPairs(pool.settings.ipStack)) return 0;
  return pool.waiting.length + pool.settings.idleMax - idleTotal(pool);
}

/** Idle IPv4 addresses without an IPv6 one to go with; negative: the other way round. */
export function incompleteOf(eni: Addresses): number {
  return countOf(eni, "idle", "ipv4") - countOf(eni, "idle", "ipv6");
}
