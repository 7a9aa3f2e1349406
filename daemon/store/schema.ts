/**
 * The tables of the agent's database, and what a row of each means.
 *
 * @module
 */

/** Counts up with each incompatible change of the tables. */
export const SCHEMA_VERSION = 4;

/**
 * `lease.state`: "pending" from the grant until the interface is made, then "done". A pending lease after a restart
 * means that the kernel may hold half an interface. `cooldown.address` is of either family.
 */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS lease (
    network TEXT NOT NULL,
    container_id TEXT NOT NULL,
    ifname TEXT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    slot INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done')),
    host_name TEXT NOT NULL,
    netns TEXT NOT NULL,
    pod TEXT NOT NULL,
    host_mac TEXT NOT NULL,
    pod_mac TEXT NOT NULL,
    PRIMARY KEY (network, container_id, ifname)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS eni (slot INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS cooldown (address TEXT PRIMARY KEY, until_ms REAL NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Columns of `lease` that came later: a database of an earlier version gets them when it is opened. */
export const LATER_LEASE_COLUMNS = {
  bandwidth: "TEXT",
  address6: "TEXT NOT NULL DEFAULT ''",
  stack: "TEXT NOT NULL DEFAULT 'ipv4' CHECK (stack IN ('ipv4', 'dual', 'ipv6'))",
  datapath: "TEXT NOT NULL DEFAULT 'veth' CHECK (datapath IN ('veth', 'ipvlan'))",
} as const;

/** What hangs on them. */
export const LATER_INDEX =
  "CREATE UNIQUE INDEX IF NOT EXISTS lease_address6 ON lease (address6) WHERE address6 <> ''";

/** One attachment and all that DEL needs to undo it without asking anybody. */
export type LeaseRow = {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  /** IPv4: what the pool knows the attachment by, also where the pod has the IPv6 address alone. */
  readonly address: string;
  /** Empty: no IPv6 address. */
  readonly address6: string;
  /** Which of the two the pod has. It stays as it was when `ip_stack` changes. */
  readonly stack: "ipv4" | "dual" | "ipv6";
  readonly slot: number;
  readonly state: "pending" | "done";
  readonly hostName: string;
  readonly netns: string;
  /** "namespace/name" of the pod where the runtime gave it, else empty. */
  readonly pod: string;
  readonly hostMac: string;
  readonly podMac: string;
  /** See `daemon/core/datapath/bandwidth-text.ts`. Absent: no limit. */
  readonly bandwidth?: string;
  /** Absent: veth. It stays as it was when `eniip_virtual_type` changes. */
  readonly datapath?: "ipvlan";
};

/**
 * Keys of `meta`. `hybrid`: the hybrid network in the format of its file, as it last had a record of this node. `checked`: of no
 * meaning, written to see whether it can be.
 */
export type MetaKey = "limits" | "facts" | "hybrid" | "checked";

/** Keys of `meta` that are the store's own: see `migrate.ts`. */
export const META_OF_STORE = { boot: "boot", epoch: "epoch", lost: "lost" } as const;

export type StoreChange =
  | { readonly kind: "put-lease"; readonly lease: LeaseRow }
  | {
      readonly kind: "delete-lease";
      readonly network: string;
      readonly containerId: string;
      readonly ifName: string;
    }
  | { readonly kind: "put-eni"; readonly slot: number; readonly record: string }
  | { readonly kind: "delete-eni"; readonly slot: number }
  | { readonly kind: "put-cooldown"; readonly address: string; readonly untilMs: number }
  | { readonly kind: "delete-cooldown"; readonly address: string }
  | { readonly kind: "put-meta"; readonly key: MetaKey; readonly value: string }
  /** What was lost with a former database is known again: written together with it. */
  | { readonly kind: "rebuilt" };

/** What outlives the boot must survive a power loss; leases die with the boot (docs/decisions.md, store). */
export function outlivesBoot(change: StoreChange): boolean {
  return change.kind !== "put-lease" && change.kind !== "delete-lease";
}
