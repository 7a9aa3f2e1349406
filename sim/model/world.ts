/**
 * The state of the simulated cloud. It belongs to `model.ts`; the files beside it change it, at times that the model
 * gives. An ENI is an immutable record that is replaced, so that the lagged copies (what Describe shows, what the
 * metadata service shows) are the records of an earlier time.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../proto/addr6.ts";
import { type EniId, type InstanceId, type SecurityGroupId, type VSwitchId } from "../../proto/ids.ts";
import { type Agenda } from "./agenda.ts";
import { type CallLog } from "./calls.ts";
import { type FabricChange } from "./fabric.ts";
import { type StandingFault } from "./faults.ts";
import { type JsonObject } from "./json-object.ts";
import { type Latencies, type LatencyName } from "./latencies.ts";
import { type Tag } from "./parameters.ts";
import { type Pool } from "./pool.ts";
import { type Random } from "./random.ts";
import { type ThrottleWindows } from "./throttle.ts";
import { type TokenBook } from "./idempotency.ts";
import { type InstanceSpec, type Topology } from "./topology.ts";

/** API: `Status` of an ENI. */
export type EniStatus = "Available" | "Attaching" | "InUse" | "Detaching" | "Deleting";

/** One ENI. */
export type Eni = {
  readonly id: EniId;
  /** Rises with each new ENI: the order of lists. */
  readonly sequence: number;
  readonly mac: Mac;
  readonly type: "Primary" | "Secondary";
  /** Belongs to a cloud service, which alone may change it. */
  readonly serviceManaged: boolean;
  readonly vSwitch: VSwitchId;
  readonly zone: string;
  readonly createdMs: number;
  readonly status: EniStatus;
  readonly instance: InstanceId | undefined;
  /** The device is to be in the instance. */
  readonly link: boolean;
  /** The primary address first. */
  readonly addresses: readonly [Ipv4, ...Ipv4[]];
  readonly ipv6Addresses: readonly Ipv6[];
  readonly name: string;
  readonly description: string;
  readonly securityGroups: readonly SecurityGroupId[];
  readonly tags: readonly Tag[];
  readonly sourceDestCheck: boolean;
  readonly deleteOnRelease: boolean;
  readonly resourceGroupId: string;
  /** Rises with each transition: what was planned for an older one is void. */
  readonly transition: number;
  /** When it lost its instance (or was created). */
  readonly ownerlessSinceMs: number | undefined;
};

/** What the data plane was told of an ENI that is plugged. */
export type FabricCopy = { readonly allowed: Set<IpAddress>; checkSource: boolean };

/** An answer that is to be sent. */
export type Reply = {
  readonly call: number;
  readonly answer:
    | {
        readonly kind: "json";
        readonly status: number;
        readonly requestId: string;
        readonly body: JsonObject;
        readonly headers?: Readonly<Record<string, string>>;
      }
    /** The gateway in front of the API failed. */
    | { readonly kind: "html502" }
    /** The connection ends without an answer. */
    | { readonly kind: "reset" };
};

/** Credentials of the RAM role that were given out. Times are of the wall clock, as clients compare them with theirs. */
export type RoleSession = {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken: string;
  readonly expiresMs: number;
};

/** The whole state. */
export type World = {
  readonly topology: Topology;
  readonly random: Random;
  readonly agenda: Agenda;
  nowMs: number;
  readonly startedMs: number;
  readonly instances: ReadonlyMap<InstanceId, InstanceSpec>;
  readonly securityGroups: ReadonlySet<SecurityGroupId>;
  readonly pools: ReadonlyMap<VSwitchId, Pool>;
  /** Of the vSwitches that have IPv6. */
  readonly pools6: ReadonlyMap<VSwitchId, Pool<Ipv6>>;
  /** The truth. An ENI that is gone is not in it. */
  readonly enis: Map<EniId, Eni>;
  /** What the Describe actions show. */
  readonly described: Map<EniId, Eni>;
  /** What the metadata service shows; the instance is the record's. */
  readonly metadata: Map<EniId, Eni>;
  /** What the metadata service has missed while it was stale; `undefined` for an ENI that is gone. */
  readonly metadataMissed: Map<EniId, Eni | undefined>;
  /** When the newest state of an ENI that is on its way to a view arrives there. */
  readonly shownAt: { readonly described: Map<EniId, number>; readonly metadata: Map<EniId, number> };
  /** What the data plane was told. */
  readonly fabric: Map<EniId, FabricCopy>;
  /** ENIs with an address change under way, and the call that makes it. */
  readonly locks: Map<EniId, number>;
  readonly tokens: TokenBook;
  readonly throttle: ThrottleWindows;
  readonly faults: StandingFault[];
  readonly calls: CallLog;
  latencies: Latencies;
  /** Newest last. */
  roleSessions: readonly RoleSession[];
  /** The cloud's clock is ahead of the world's by so much. */
  clockSkewMs: number;
  /** Tokens of the metadata service: value, instance and end (wall clock). */
  readonly metadataTokens: Map<string, { readonly instance: InstanceId; readonly expiresMs: number }>;
  readonly out: { changes: FabricChange[]; replies: Reply[] };
  /** Calls, ENIs and faults so far. */
  readonly counters: { call: number; eni: number; fault: number };
};

/** Draws a delay. */
export function drawDelay(world: World, name: LatencyName): number {
  const range = world.latencies[name];
  return Math.round(range.minMs + world.random.unit() * (range.maxMs - range.minMs));
}

/** Runs `act` after `delayMs`. */
export function after(world: World, delayMs: number, act: () => void): void {
  world.agenda.at(world.nowMs + delayMs, act);
}

/** The pool of a vSwitch that an ENI has or that was looked up: a missing one is a bug. */
export function poolOf(world: World, id: VSwitchId): Pool {
  const pool = world.pools.get(id);
  if (pool === undefined) throw new Error(`no pool for ${id}`);
  return pool;
}

/** The IPv6 pool of a vSwitch where an ENI has or gets such an address: a missing one is a bug. */
export function pool6Of(world: World, id: VSwitchId): Pool<Ipv6> {
  const pool = world.pools6.get(id);
  if (pool === undefined) throw new Error(`no IPv6 pool for ${id}`);
  return pool;
}
