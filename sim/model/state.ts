/**
 * What the cloud holds, and which of its promises are broken.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../proto/addr6.ts";
import { type Cidr6 } from "../../proto/cidr6.ts";
import { type EniId, type InstanceId, type SecurityGroupId, type VSwitchId } from "../../proto/ids.ts";
import { type Tag } from "./parameters.ts";
import { availableCount, type Pool } from "./pool.ts";
import { type Eni, type EniStatus, type World } from "./world.ts";

/** A promise that does not hold. */
export type BrokenInvariant = {
  readonly invariant:
    | "address-held-twice"
    | "pool-sum"
    | "eni-without-owner"
    | "delivered-twice"
    | "rate-exceeded"
    | "data-plane";
  /** What, where, how much: one sentence. */
  readonly detail: string;
};

export type VSwitchState = {
  readonly id: VSwitchId;
  readonly zone: string;
  readonly cidr: string;
  /** At most so many addresses can be used. */
  readonly limit: number;
  readonly used: number;
  /** Released, resting. */
  readonly held: number;
  readonly available: number;
  readonly drained: boolean;
  /** Absent where the vSwitch has no IPv6. */
  readonly ipv6?: { readonly cidr: Cidr6; readonly used: number; readonly held: number };
};

export type InstanceState = {
  readonly id: InstanceId;
  readonly name: string;
  readonly type: string;
  readonly zone: string;
  readonly status: string;
  readonly primaryAddress: Ipv4 | undefined;
  readonly primaryIpv6: Ipv6 | undefined;
  readonly primaryEni: EniId | undefined;
  readonly enis: readonly EniId[];
};

export type EniState = {
  readonly id: EniId;
  readonly mac: Mac;
  readonly type: "Primary" | "Secondary";
  readonly status: EniStatus;
  readonly zone: string;
  readonly vSwitch: VSwitchId;
  /** Who has it. */
  readonly owner: InstanceId | "service" | "nobody";
  /** Since when nobody has it. */
  readonly ownerlessMs: number | undefined;
  /** The device is in the instance. */
  readonly link: boolean;
  /** The primary address first. */
  readonly addresses: readonly Ipv4[];
  readonly ipv6Addresses: readonly Ipv6[];
  readonly securityGroups: readonly SecurityGroupId[];
  readonly tags: readonly Tag[];
  readonly sourceDestCheck: boolean;
  readonly serviceManaged: boolean;
  /** An address change is under way. */
  readonly busy: boolean;
  readonly createdMs: number;
};

/** The state of the cloud at one moment of simulated time. */
export type CloudState = {
  readonly nowMs: number;
  readonly region: string;
  readonly vpc: { readonly id: string; readonly cidr: string };
  readonly vSwitches: readonly VSwitchState[];
  readonly instances: readonly InstanceState[];
  readonly enis: readonly EniState[];
  /** Empty where all is well. */
  readonly broken: readonly BrokenInvariant[];
};

export function reportState(world: World): CloudState {
  const enis = [...world.enis.values()];
  return {
    nowMs: world.nowMs,
    region: world.topology.region,
    vpc: world.topology.vpc,
    vSwitches: [...world.pools.values()].map((pool) => vSwitchState(pool, world.pools6.get(pool.spec.id))),
    instances: world.topology.instances.map((instance) => {
      const own = enis.filter((eni) => eni.instance === instance.id);
      const primary = own.find((eni) => eni.type === "Primary");
      const { id, name, type, zone, status } = instance;
      const primaryAddress = primary?.addresses[0];
      return {
        id,
        name,
        type,
        zone,
        status,
        primaryAddress,
        primaryIpv6: primary?.ipv6Addresses[0],
        primaryEni: primary?.id,
        enis: own.map((eni) => eni.id),
      };
    }),
    enis: enis.map((eni) => eniState(world, eni)),
    broken: brokenInvariants(world),
  };
}

function vSwitchState(pool: Pool, pool6: Pool<Ipv6> | undefined): VSwitchState {
  const { id, zone, cidr, ipv6Cidr } = pool.spec;
  return {
    id,
    zone,
    cidr,
    limit: pool.limit,
    used: pool.used.size,
    held: pool.held.size,
    available: availableCount(pool),
    drained: pool.allowance !== undefined,
    ...(ipv6Cidr === undefined || pool6 === undefined
      ? {}
      : { ipv6: { cidr: ipv6Cidr, used: pool6.used.size, held: pool6.held.size } }),
  };
}

function eniState(world: World, eni: Eni): EniState {
  const { id, mac, type, status, zone, vSwitch, addresses, ipv6Addresses, securityGroups, tags } = eni;
  const { sourceDestCheck, serviceManaged, createdMs } = eni;
  return {
    id,
    mac,
    type,
    status,
    zone,
    vSwitch,
    owner: eni.instance ?? (serviceManaged ? "service" : "nobody"),
    ownerlessMs: eni.ownerlessSinceMs === undefined ? undefined : world.nowMs - eni.ownerlessSinceMs,
    link: world.fabric.has(id),
    addresses,
    ipv6Addresses,
    securityGroups,
    tags,
    sourceDestCheck,
    serviceManaged,
    busy: world.locks.has(id),
    createdMs,
  };
}

/** Every promise that does not hold now. */
function brokenInvariants(world: World): readonly BrokenInvariant[] {
  const enis = [...world.enis.values()];
  return [
    ...twice(enis.flatMap((eni) => allOf(eni).map((address) => [address, eni.id] as const))).map(
      (detail) => ({
        invariant: "address-held-twice" as const,
        detail,
      }),
    ),
    ...twice(
      [...world.fabric].flatMap(([id, copy]) => [...copy.allowed].map((address) => [address, id] as const)),
    ).map((detail) => ({ invariant: "delivered-twice" as const, detail })),
    ...[...world.pools.values()].flatMap((pool) => brokenSum(pool, enis, (eni) => eni.addresses)),
    ...[...world.pools6.values()].flatMap((pool) => brokenSum(pool, enis, (eni) => eni.ipv6Addresses)),
    ...enis.flatMap((eni) => ownerless(world, eni)),
    ...exceededRates(world),
  ];
}

function allOf(eni: Eni): readonly IpAddress[] {
  return [...eni.addresses, ...eni.ipv6Addresses];
}

/** Each address that two ENIs have. */
function twice(held: readonly (readonly [IpAddress, EniId])[]): readonly string[] {
  const holders = new Map<IpAddress, EniId>();
  return held.flatMap(([address, eni]) => {
    const other = holders.get(address);
    holders.set(address, eni);
    return other === undefined ? [] : [`${address} is held by ${other} and by ${eni}`];
  });
}

/** The addresses of the ENIs in a vSwitch are exactly those that its pool has given out, and no more than there are. */
function brokenSum<Address extends IpAddress>(
  pool: Pool<Address>,
  enis: readonly Eni[],
  addressesOf: (eni: Eni) => readonly Address[],
): readonly BrokenInvariant[] {
  const held = enis
    .filter((eni) => eni.vSwitch === pool.spec.id)
    .flatMap((eni) => addressesOf(eni).map((address) => [address, eni.id] as const));
  const agrees =
    held.length === pool.used.size && held.every(([address, eni]) => pool.used.get(address) === eni);
  const resting = [...pool.held].filter((address) => pool.used.has(address));
  const holds = agrees && resting.length === 0 && pool.used.size <= pool.limit;
  const detail = `${pool.spec.id}: ${pool.used.size} of ${pool.limit} given out, ${held.length} on ENIs, ${resting.length} resting and in use`;
  return holds ? [] : [{ invariant: "pool-sum", detail }];
}

function ownerless(world: World, eni: Eni): readonly BrokenInvariant[] {
  const forMs = eni.ownerlessSinceMs === undefined ? 0 : world.nowMs - eni.ownerlessSinceMs;
  if (eni.serviceManaged || forMs <= world.topology.limits.ownerlessMs) return [];
  const detail = `${eni.id} (${eni.vSwitch}) is ${eni.status} without instance for ${Math.round(forMs / 1000)} s`;
  return [{ invariant: "eni-without-owner", detail }];
}

/** Calls above the rate that the account may have. Throttling that a fault ordered does not count. */
function exceededRates(world: World): readonly BrokenInvariant[] {
  return [...world.throttle].flatMap(([action, { exceeded }]) =>
    exceeded === 0
      ? []
      : [
          {
            invariant: "rate-exceeded" as const,
            detail: `${action}: ${exceeded} calls above ${world.topology.quotas[action]} a minute`,
          },
        ],
  );
}
