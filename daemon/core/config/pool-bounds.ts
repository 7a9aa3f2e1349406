/**
 * What the pool keeps, from the configuration and from what the instance type allows.
 *
 * @module
 */
import { wantsPairs } from "../ip-stack.ts";
import { type EniConf } from "./eni-conf.ts";
import { type TypeLimits } from "./type-limits.ts";

export type PoolBounds = {
  /** ENIs for pods, the primary one not included. */
  readonly enisMax: number;
  /** IPv4 addresses of one ENI, its primary one included. */
  readonly addressesPerEni: number;
  /** IPv6 addresses of one ENI, where pods get some. */
  readonly addresses6PerEni?: number;
  readonly idleMin: number;
  readonly idleMax: number;
};

/**
 * ENIs: the type's number times `eni_cap_ratio`, rounded down, plus `eni_cap_shift`, less the primary one, never more than
 * the type allows nor than `max_eni`. Idle addresses, or pairs of them: never more than fit on those ENIs; `min_eni` replaces
 * `min_pool_size`, and lifts the maximum where it exceeds it.
 */
export function poolBounds(config: EniConf, limits: TypeLimits): PoolBounds {
  const byRatio = Math.floor(limits.eni * config.eniCapRatio) + config.eniCapShift - 1;
  const byType = limits.eni - 1;
  const byConfig = config.maxEni === 0 ? byType : config.maxEni;
  const enisMax = Math.max(0, Math.min(byRatio, byType, byConfig));
  const isPair = wantsPairs(config.ipStack);
  const ipv6 = limits.ipv6 ?? limits.ip;
  const perEni = isPair ? Math.min(limits.ip, ipv6) : limits.ip;
  const capacity = enisMax * perEni;
  const wantedMin = config.minEni > 0 ? config.minEni * perEni : config.minPoolSize;
  const idleMin = Math.min(wantedMin, capacity);
  const idleMax = Math.min(Math.max(config.maxPoolSize, idleMin), capacity);
  const bounds = { enisMax, addressesPerEni: limits.ip, idleMin, idleMax };
  return isPair ? { ...bounds, addresses6PerEni: ipv6 } : bounds;
}
