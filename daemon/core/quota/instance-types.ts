/**
 * What is known about ECS instance types without asking: DescribeInstanceTypes is not among the actions that the product's
 * RAM policy grants.
 *
 * @module
 */
import { type TypeLimits } from "../config/type-limits.ts";

/** By size; the same for general purpose, compute and memory, and the same number for both families. Source: ECS documentation, instance families g7, c7, r7. */
const GENERATION_7: Readonly<Record<string, TypeLimits>> = {
  large: { eni: 3, ip: 6, ipv6: 6 },
  xlarge: { eni: 4, ip: 15, ipv6: 15 },
  "2xlarge": { eni: 4, ip: 15, ipv6: 15 },
  "3xlarge": { eni: 8, ip: 15, ipv6: 15 },
  "4xlarge": { eni: 8, ip: 30, ipv6: 30 },
  "6xlarge": { eni: 8, ip: 30, ipv6: 30 },
  "8xlarge": { eni: 8, ip: 30, ipv6: 30 },
  "16xlarge": { eni: 8, ip: 30, ipv6: 30 },
  "32xlarge": { eni: 15, ip: 30, ipv6: 30 },
};

/** A type whose size says nothing. */
const UNKNOWN_SIZE: TypeLimits = { eni: 4, ip: 15 };

/** What the type allows, where it is known for sure. */
export function knownType(instanceType: string): TypeLimits | undefined {
  const { family, size } = partsOf(instanceType);
  return /^[gcr]7$/.test(family) ? GENERATION_7[size] : undefined;
}

/**
 * What a type probably allows, by its size. Most families have as much as generation 7, or less; what is too much is learnt
 * from the cloud's refusals, what is too little would stay unused.
 */
export function guessType(instanceType: string): TypeLimits {
  return GENERATION_7[partsOf(instanceType).size] ?? UNKNOWN_SIZE;
}

/** "ecs.g7.xlarge" is family "g7", size "xlarge". */
function partsOf(instanceType: string): { readonly family: string; readonly size: string } {
  const [, family = "", size = ""] = instanceType.split(".");
  return { family, size };
}
