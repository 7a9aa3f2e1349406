/**
 * The addresses of a vSwitch: who has which, and which must rest before they are given out again.
 *
 * @module
 */
import { intToIpv4, type Ipv4, ipv4ToInt } from "../../proto/addr.ts";
import { firstAddress, prefixLength } from "../../proto/cidr.ts";
import { type EniId } from "../../proto/ids.ts";
import { type VSwitchSpec } from "./topology.ts";

/** Belongs to the model, which alone changes it, through the functions below. */
export type Pool = {
  readonly spec: VSwitchSpec;
  /** The lowest usable address as a number. */
  readonly first: number;
  /** Usable addresses: all of the network but the first and the last three. */
  readonly size: number;
  /** At most so many are used. */
  readonly limit: number;
  readonly used: Map<Ipv4, EniId>;
  /** Released, not yet to be used again. */
  readonly held: Set<Ipv4>;
  /** While drained: how many may still be given out. */
  allowance: number | undefined;
  /** Where the search for a free address begins, counted from `first`. */
  cursor: number;
};

/** A pool with all its addresses free. */
export function createPool(spec: VSwitchSpec): Pool {
  const size = 2 ** (32 - prefixLength(spec.cidr)) - 4;
  return {
    spec,
    first: ipv4ToInt(firstAddress(spec.cidr)) + 1,
    size,
    limit: Math.min(size, spec.availableAddresses ?? size),
    used: new Map(),
    held: new Set(),
    allowance: undefined,
    cursor: 0,
  };
}

/** API: `AvailableIpAddressCount`. */
export function availableCount(pool: Pool): number {
  const room = Math.max(0, pool.limit - pool.used.size - pool.held.size);
  return Math.min(room, pool.allowance ?? room);
}

/** Why `address` cannot be given out now; `undefined` where it can, if `availableCount` is not 0. */
export function whyNot(pool: Pool, address: Ipv4): "outside" | "taken" | undefined {
  const offset = ipv4ToInt(address) - pool.first;
  if (offset < 0 || offset >= pool.size) return "outside";
  return pool.used.has(address) || pool.held.has(address) ? "taken" : undefined;
}

/** Gives out `count` free addresses. The caller has looked at `availableCount`. */
export function take(pool: Pool, count: number, eni: EniId): readonly Ipv4[] {
  return Array.from({ length: count }, () => {
    const address = nextFree(pool);
    takeExactly(pool, address, eni);
    return address;
  });
}

/** Gives out this address. The caller has asked `whyNot` and `availableCount`. */
export function takeExactly(pool: Pool, address: Ipv4, eni: EniId): void {
  if (whyNot(pool, address) !== undefined || availableCount(pool) === 0) {
    throw new Error(`${address} of ${pool.spec.id} cannot be given out`);
  }
  pool.used.set(address, eni);
  if (pool.allowance !== undefined) pool.allowance--;
}

/** Takes an address back; it rests until `rested`. */
export function giveBack(pool: Pool, address: Ipv4): void {
  if (!pool.used.delete(address)) throw new Error(`${address} of ${pool.spec.id} was not in use`);
  pool.held.add(address);
}

/** The address may be used again. */
export function rested(pool: Pool, address: Ipv4): void {
  pool.held.delete(address);
}

function nextFree(pool: Pool): Ipv4 {
  for (let tried = 0; tried < pool.size; tried++) {
    const address = intToIpv4(pool.first + ((pool.cursor + tried) % pool.size));
    if (whyNot(pool, address) === undefined) {
      pool.cursor = (pool.cursor + tried + 1) % pool.size;
      return address;
    }
  }
  throw new Error(`${pool.spec.id} has no free address`);
}
