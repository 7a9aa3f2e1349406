/**
 * How much more may be asked for: addresses of an ENI, ENIs of the instance.
 *
 * @module
 */
import { wantsPairs } from "../ip-stack.ts";
import { type Eni, type Pool } from "./model.ts";
import { incompleteOf, limitOf, podsPerEni, sizeOf } from "./pairs.ts";
import { hasIpv6, roomOfVSwitch } from "./vswitch.ts";

/** Most secondary addresses in one call. AssignPrivateIpAddresses, CreateNetworkInterface: SecondaryPrivateIpAddressCount. */
const BATCH_MAX = 49;
/** Most IPv6 addresses in one call. AssignIpv6Addresses, CreateNetworkInterface: Ipv6AddressCount. */
const BATCH6_MAX = 10;

/**
 * How many more pods the ENI can be asked to serve now, which is the number of IPv4 addresses to ask for; 0 while a call for
 * it is under way.
 */
export function roomOfEni(
  pool: Pick<Pool, "settings" | "limits" | "batchMax" | "vSwitches">,
  eni: Eni,
  nowMs: number,
): number {
  if (!isOpenForAssign(eni, nowMs)) return 0;
  const room = Math.min(
    limitOf(pool.limits, "ipv4") - sizeOf(eni, "ipv4"),
    BATCH_MAX,
    pool.batchMax ?? BATCH_MAX,
    roomOfVSwitch(pool, eni.vSwitch, nowMs),
  );
  if (!wantsPairs(pool.settings.ipStack)) return room;
  return Math.min(room, roomForIpv6(pool, eni) - incompleteOf(eni));
}

/** How many IPv6 addresses the ENI can be asked for now, to go with idle IPv4 ones that have none. */
export function roomToComplete(
  pool: Pick<Pool, "limits" | "batch6Max" | "vSwitches">,
  eni: Eni,
  nowMs: number,
): number {
  if (!isOpenForAssign(eni, nowMs)) return 0;
  return Math.min(incompleteOf(eni), roomForIpv6(pool, eni), batch6Of(pool));
}

/** How many more IPv6 addresses the ENI can have. */
export function roomForIpv6(pool: Pick<Pool, "limits" | "vSwitches">, eni: Eni): number {
  // It may have more than we believe that it can: those serve as well.
  return hasIpv6(pool, eni.vSwitch) ? Math.max(0, limitOf(pool.limits, "ipv6") - sizeOf(eni, "ipv6")) : 0;
}

/** Most IPv6 addresses to ask for at once. */
export function batch6Of(pool: Pick<Pool, "batch6Max">): number {
  return Math.min(BATCH6_MAX, pool.batch6Max ?? BATCH6_MAX);
}

/** How many more ENIs the instance can have; `leaving`: with those counted as gone that are about to leave. */
export function roomForEnis(pool: Pick<Pool, "enis" | "foreign" | "limits">, leaving: boolean): number {
  let count = pool.foreign;
  for (const { state } of pool.enis.values())
    if (state.kind !== "deleting" && !(leaving && state.kind === "detaching")) count += 1;
  return pool.limits.enisMax - count;
}

/** IPv4 addresses of a new ENI, the primary one included. */
export function sizeOfNewEni(pool: Pick<Pool, "settings" | "limits" | "batchMax">): number {
  return Math.min(podsPerEni(pool), BATCH_MAX + 1, (pool.batchMax ?? BATCH_MAX) + 1);
}

/** True where the ENI may be asked for more addresses of any family. */
function isOpenForAssign(eni: Eni, nowMs: number): boolean {
  return (
    eni.state.kind === "ready" &&
    eni.assigning === undefined &&
    eni.refused === undefined &&
    (eni.assignAfterMs ?? 0) <= nowMs &&
    !eni.addresses.values().some(({ kind }) => kind === "unassigning")
  );
}
