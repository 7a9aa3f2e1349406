/**
 * What the pool keeps, from the configuration and from what the instance type allows.
 *
 * @module
 */
import { type EniConf } from "./eni-conf.ts";

/** What an instance type allows, as the cloud counts: the primary ENI and each ENI's primary address included. */
export type TypeLimits = { readonly eni: number; readonly ip: number };

export type PoolBounds = {
  /** ENIs for pods, the primary one not included. */
  readonly enisMax: number;
  /** Addresses of one ENI, its primary one included. */
  readonly addressesPerEni: number;
  readonly idleMin: number;
  readonly idleMax: number;
};

/**
 * ENIs: the type's number times `eni_cap_ratio`, rounded down, plus `eni_cap_shift`, less the primary one, never more than
 * the type allows nor than `max_eni`. Idle addresses: never more than fit on those ENIs; `min_eni` replaces
 * `min_pool_size`, and lifts the maximum where it exceeds it.
 */
export function poolBounds(config: EniConf, limits: TypeLimits): PoolBounds {
  const byRatio = Math.floor(limits.eni * config.eniCapRatio) + config.eniCapShift - 1;
  const byType = limits.eni - 1;
  const byConfig = config.maxEni === 0 ? byType : config.maxEni;
  const enisMax = Math.max(0, Math.min(byRatio, byType, byConfig));
  const capacity = enisMax * limits.ip;
  const wantedMin = config.minEni > 0 ? config.minEni * limits.ip : config.minPoolSize;
  const idleMin = Math.min(wantedMin, capacity);
  const idleMax = Math.min(Math.max(config.maxPoolSize, idleMin), capacity);
  return { enisMax, addressesPerEni: limits.ip, idleMin, idleMax };
}
