/**
 * How many ENIs and addresses the node may use: from the configuration, the Node's annotation, what is known about the
 * instance type, or a guess, in this order; never more than the cloud's refusals taught.
 *
 * @module
 */
import * as z from "zod";
import { type EniConf } from "../config/eni-conf.ts";
import { type PoolBounds, poolBounds } from "../config/pool-bounds.ts";
import { type TypeLimits } from "../config/type-limits.ts";
import { type Limits } from "../pool/model.ts";
import { guessType, knownType } from "./instance-types.ts";

/** Where the limits of the instance type come from. */
export type LimitsSource = "configuration" | "annotation" | "table" | "guess";

/** The InstanceType object of DescribeInstanceTypes. */
const ANNOTATION = z.object({
  InstanceTypeId: z.string(),
  EniQuantity: z.int().min(1),
  EniPrivateIpAddressQuantity: z.int().min(1),
  EniIpv6AddressQuantity: z.exactOptional(z.int().min(0)),
});

/** What the instance type allows, the primary ENI and the primary addresses included, and who says so. */
export function decideType(input: {
  readonly instanceType: string;
  /** `instance_type_limits` of the configuration. */
  readonly configured: Readonly<Record<string, TypeLimits>>;
  /** Value of the Node annotation `alibabacloud.com/instance-type-info` (JSON); counts only if it is about this type. */
  readonly annotation?: string;
}): { readonly type: TypeLimits; readonly source: LimitsSource } {
  const { instanceType } = input;
  const configured = input.configured[instanceType];
  if (configured !== undefined) return { type: configured, source: "configuration" };
  const annotated =
    input.annotation === undefined ? undefined : annotatedType(input.annotation, instanceType);
  if (annotated !== undefined) return { type: annotated, source: "annotation" };
  const known = knownType(instanceType);
  if (known !== undefined) return { type: known, source: "table" };
  return { type: guessType(instanceType), source: "guess" };
}

/**
 * The bounds of the pool. `learnt` lowers them, and the idle addresses with them so far as they no longer fit. What the
 * configuration says about the type is believed: then nothing that was learnt before counts.
 */
export function decideBounds(input: {
  readonly config: EniConf;
  readonly instanceType: string;
  readonly annotation?: string;
  readonly learnt?: Partial<Limits>;
}): PoolBounds & { readonly source: LimitsSource } {
  const { config, learnt = {} } = input;
  const { type, source } = decideType({ ...input, configured: config.instanceTypeLimits });
  const bounds = poolBounds(config, type);
  if (source === "configuration") return { ...bounds, source };
  const enisMax = Math.min(bounds.enisMax, learnt.enisMax ?? bounds.enisMax);
  const addressesPerEni = Math.min(bounds.addressesPerEni, learnt.addressesPerEni ?? bounds.addressesPerEni);
  const { addresses6PerEni: most6 } = bounds;
  const six =
    most6 === undefined ? {} : { addresses6PerEni: Math.min(most6, learnt.addresses6PerEni ?? most6) };
  const capacity = enisMax * Math.min(addressesPerEni, six.addresses6PerEni ?? addressesPerEni);
  const idleMin = Math.min(bounds.idleMin, capacity);
  return { enisMax, addressesPerEni, ...six, idleMin, idleMax: Math.min(bounds.idleMax, capacity), source };
}

function annotatedType(annotation: string, instanceType: string): TypeLimits | undefined {
  let value: unknown;
  try {
    value = JSON.parse(annotation);
  } catch {
    return undefined;
  }
  const parsed = ANNOTATION.safeParse(value);
  if (!parsed.success || parsed.data.InstanceTypeId !== instanceType) return undefined;
  const { EniQuantity: eni, EniPrivateIpAddressQuantity: ip, EniIpv6AddressQuantity: ipv6 } = parsed.data;
  return { eni, ip, ...(ipv6 !== undefined && { ipv6 }) };
}
