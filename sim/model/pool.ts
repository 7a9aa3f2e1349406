/**
 * The addresses of a vSwitch, of either family: who has which, and which must rest before they are given out again.
 *
 * @module
 */
import { intToIpv4, type Ipv4, ipv4ToInt } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6, ipv6ToInt, isIpv6 } from "../../proto/addr6.ts";
import { firstAddress, prefixLength } from "../../proto/cidr.ts";
import { addressOf, type Cidr6, contains, firstOf, sizeOf, vSwitchGateway6 } from "../../proto/cidr6.ts";
import { type EniId } from "../../proto/ids.ts";
import { type Random } from "./random.ts";
import { type VSwitchSpec } from "./topology.ts";

const MOST_DRAWS = 1000;

/** Belongs to the model, which alone changes it, through the functions below. */
export type Pool<Address extends IpAddress = Ipv4> = {
  readonly spec: VSwitchSpec;
  /** At most so many are used. */
  readonly limit: number;
  readonly used: Map<Address, EniId>;
  /** Released, not yet to be used again. */
  readonly held: Set<Address>;
  /** While drained: how many may still be given out. */
  allowance: number | undefined;
  /** In the network, and not one of those that the cloud keeps for itself. */
  readonly isUsable: (address: Address) => boolean;
  /** A usable address that is free by the test given. Throws where there is none. */
  readonly nextFree: (isFree: (address: Address) => boolean) => Address;
};

/** A pool with all IPv4 addresses free: those of the network but the first and the last three. They come in order. */
export function createPool(spec: VSwitchSpec): Pool {
  const size = 2 ** (32 - prefixLength(spec.cidr)) - 4;
  const first = ipv4ToInt(firstAddress(spec.cidr)) + 1;
  let cursor = 0;
  return {
    ...emptyPool<Ipv4>(spec, Math.min(size, spec.availableAddresses ?? size)),
    isUsable: (address) => {
      const offset = ipv4ToInt(address) - first;
      return offset >= 0 && offset < size;
    },
    nextFree: (isFree) => {
      for (let tried = 0; tried < size; tried++) {
        const address = intToIpv4(first + ((cursor + tried) % size));
        if (isFree(address)) {
          cursor = (cursor + tried + 1) % size;
          return address;
        }
      }
      throw new Error(`${spec.id} has no free address`);
    },
  };
}

/** A pool with all IPv6 addresses free: those of the network but the first and the last nine. They are drawn. */
export function createPool6(spec: VSwitchSpec, cidr: Cidr6, random: Random): Pool<Ipv6> {
  const size = sizeOf(cidr);
  return {
    ...emptyPool<Ipv6>(spec, spec.availableIpv6Addresses ?? Number.MAX_SAFE_INTEGER),
    isUsable: (address) => isUsableIpv6(cidr, address),
    nextFree: (isFree) => {
      for (let tried = 0; tried < MOST_DRAWS; tried++) {
        const drawn = addressOf(cidr, BigInt(`0x${random.text(32, "0123456789abcdef")}`) % size);
        if (isIpv6(drawn) && isUsableIpv6(cidr, drawn) && isFree(drawn)) return drawn;
      }
      throw new Error(`no free address of ${cidr} was drawn`);
    },
  };
}

/** In the network, and neither its first address nor one of the last nine, which are the cloud's. */
export function isUsableIpv6(cidr: Cidr6, address: Ipv6): boolean {
  const isLast = ipv6ToInt(address) >= ipv6ToInt(vSwitchGateway6(cidr));
  return contains(cidr, address) && address !== firstOf(cidr) && !isLast;
}

/** API: `AvailableIpAddressCount`. */
export function availableCount<Address extends IpAddress>(pool: Pool<Address>): number {
  const room = Math.max(0, pool.limit - pool.used.size - pool.held.size);
  return Math.min(room, pool.allowance ?? room);
}

/** Why `address` cannot be given out now; `undefined` where it can, if `availableCount` is not 0. */
export function whyNot<Address extends IpAddress>(
  pool: Pool<Address>,
  address: Address,
): "outside" | "taken" | undefined {
  if (!pool.isUsable(address)) return "outside";
  return pool.used.has(address) || pool.held.has(address) ? "taken" : undefined;
}

/** Gives out `count` free addresses. The caller has looked at `availableCount`. */
export function take<Address extends IpAddress>(
  pool: Pool<Address>,
  count: number,
  eni: EniId,
): readonly Address[] {
  return Array.from({ length: count }, () => {
    const address = pool.nextFree((candidate) => whyNot(pool, candidate) === undefined);
    takeExactly(pool, address, eni);
    return address;
  });
}

/** Gives out this address. The caller has asked `whyNot` and `availableCount`. */
export function takeExactly<Address extends IpAddress>(
  pool: Pool<Address>,
  address: Address,
  eni: EniId,
): void {
  if (whyNot(pool, address) !== undefined || availableCount(pool) === 0) {
    throw new Error(`${address} of ${pool.spec.id} cannot be given out`);
  }
  pool.used.set(address, eni);
  if (pool.allowance !== undefined) pool.allowance--;
}

/** Takes an address back; it rests until `rested`. */
export function giveBack<Address extends IpAddress>(pool: Pool<Address>, address: Address): void {
  if (!pool.used.delete(address)) throw new Error(`${address} of ${pool.spec.id} was not in use`);
  pool.held.add(address);
}

/** The address may be used again. */
export function rested<Address extends IpAddress>(pool: Pool<Address>, address: Address): void {
  pool.held.delete(address);
}

function emptyPool<Address extends IpAddress>(
  spec: VSwitchSpec,
  limit: number,
): Pick<Pool<Address>, "spec" | "limit" | "used" | "held" | "allowance"> {
  return { spec, limit, used: new Map(), held: new Set(), allowance: undefined };
}
