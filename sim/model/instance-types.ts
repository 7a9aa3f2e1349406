/**
 * The limits of instance types that come with the simulator. A topology may add or change types.
 *
 * @module
 */

/** What DescribeInstanceTypes says about ENIs. */
export type InstanceTypeLimits = {
  /** ENIs of the instance, the primary one included. API: `EniQuantity`. */
  readonly eniQuantity: number;
  /** Private IPv4 addresses per ENI, its primary one included. API: `EniPrivateIpAddressQuantity`. */
  readonly eniPrivateIpAddressQuantity: number;
  /** IPv6 addresses per ENI; 0: the type has no IPv6; absent: as many as of IPv4. API: `EniIpv6AddressQuantity`. */
  readonly eniIpv6AddressQuantity?: number | undefined;
};

/** IPv6 addresses that an ENI of such an instance may have. */
export function ipv6Quantity(limits: InstanceTypeLimits): number {
  return limits.eniIpv6AddressQuantity ?? limits.eniPrivateIpAddressQuantity;
}

/** Family g7, from the public table of instance families. */
const G7: Readonly<Record<string, readonly [enis: number, addresses: number]>> = {
  large: [3, 6],
  xlarge: [4, 15],
  "2xlarge": [4, 15],
  "3xlarge": [8, 15],
  "4xlarge": [8, 30],
  "6xlarge": [8, 30],
  "8xlarge": [8, 30],
  "16xlarge": [8, 30],
  "32xlarge": [15, 30],
};

/** The c7, g7 and r7 families, which have the same limits size by size. */
export const BUNDLED_INSTANCE_TYPES: Readonly<Record<string, InstanceTypeLimits>> = Object.fromEntries(
  ["c7", "g7", "r7"].flatMap((family) =>
    Object.entries(G7).map(([size, [eniQuantity, eniPrivateIpAddressQuantity]]) => [
      `ecs.${family}.${size}`,
      { eniQuantity, eniPrivateIpAddressQuantity },
    ]),
  ),
);
