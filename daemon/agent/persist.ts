/**
 * Between the pool's effects and the store's changes, and back at a start.
 *
 * @module
 */
import { parseIpv4 } from "../../proto/addr.ts";
import { parseIp, parseIpv6 } from "../../proto/addr6.ts";
import { describeFault } from "../../proto/fault.ts";
import { type Limits, type Pool, type PoolEffect } from "../core/pool/model.ts";
import {
  type CooldownRecord,
  decodeEniRecord,
  decodeLimitsRecord,
  encodeRecord,
  type EniRecord,
  eniRecord,
  type LeaseRecord,
} from "../core/pool/records.ts";
import { type LeaseRow, type StoreChange } from "../store/schema.ts";
import { type Stored } from "../store/rows.ts";

/** What the effects of a step want written. `pool` is the pool after the step. */
export function storeChanges(
  pool: Pool,
  effects: readonly PoolEffect[],
  instanceType: string,
): readonly StoreChange[] {
  return effects.flatMap((effect): StoreChange[] => {
    switch (effect.kind) {
      case "persist-eni": {
        const eni = pool.enis.get(effect.slot);
        return eni === undefined
          ? []
          : [{ kind: "put-eni", slot: effect.slot, record: encodeRecord(eniRecord(eni)) }];
      }
      case "forget-eni":
        return [{ kind: "delete-eni", slot: effect.slot }];
      case "persist-cooldown":
        return [{ kind: "put-cooldown", address: effect.address, untilMs: effect.untilMs }];
      case "forget-cooldown":
        return [{ kind: "delete-cooldown", address: effect.address }];
      case "persist-limits":
        return [{ kind: "put-meta", key: "limits", value: encodeRecord({ ...pool.learnt, instanceType }) }];
      default:
        return [];
    }
  });
}

export type Records = {
  readonly enis: readonly EniRecord[];
  readonly leases: readonly LeaseRecord[];
  readonly cooldowns: readonly CooldownRecord[];
  /** Learnt about this instance type. */
  readonly limits?: Partial<Limits>;
  /** One sentence for each record that could not be read. */
  readonly unreadable: readonly string[];
};

/** Reads everything back; what cannot be read is left out and named. */
export function recordsOf(stored: Stored, instanceType: string): Records {
  const unreadable: string[] = [];
  const enis = stored.enis.flatMap(({ slot, record }) => {
    const decoded = decodeEniRecord(record);
    if (decoded.ok) return [decoded.value];
    unreadable.push(`ENI in slot ${slot}: ${describeFault(decoded.fault)}`);
    return [];
  });
  const leases = stored.leases.flatMap((row): LeaseRecord[] => {
    const lease = leaseRecord(row);
    if (lease !== undefined) return [lease];
    const bad = parseIpv4(row.address) === undefined ? [row.address, "IPv4"] : [row.address6, "IPv6"];
    unreadable.push(`lease of ${row.containerId}: ${bad.join(" is no ")} address`);
    return [];
  });
  const cooldowns = stored.cooldowns.flatMap(({ address, untilMs }): CooldownRecord[] => {
    const parsed = parseIp(address);
    return parsed === undefined ? [] : [{ address: parsed, untilMs }];
  });
  const limits = limitsOf(stored.meta.limits, instanceType);
  return { enis, leases, cooldowns, unreadable, ...(limits !== undefined && { limits }) };
}

function leaseRecord(row: LeaseRow): LeaseRecord | undefined {
  const address = parseIpv4(row.address);
  const address6 = parseIpv6(row.address6);
  if (address === undefined || (address6 === undefined && row.address6 !== "")) return undefined;
  const { network, containerId, ifName, slot } = row;
  const attachment = { network, containerId, ifName };
  return { attachment, address, ...(address6 !== undefined && { address6 }), slot };
}

function limitsOf(text: string | undefined, instanceType: string): Partial<Limits> | undefined {
  const decoded = text === undefined ? undefined : decodeLimitsRecord(text);
  if (decoded?.ok !== true || decoded.value.instanceType !== instanceType) return undefined;
  const { instanceType: _, ...limits } = decoded.value;
  return limits;
}
