/**
 * What an instance type allows.
 *
 * @module
 */

/**
 * As the cloud counts: the primary ENI and each ENI's primary address included. `ipv6`: IPv6 addresses of one ENI, 0 where the
 * type has none; absent where it is not known, then as many as of IPv4.
 */
export type TypeLimits = { readonly eni: number; readonly ip: number; readonly ipv6?: number };
