/**
 * The API actions that the simulated cloud knows, with their product and version.
 *
 * @module
 */

/** Product of each action. Source: the API references of ECS (2014-05-26) and VPC (2016-04-28). */
const PRODUCT = {
  CreateNetworkInterface: "ecs",
  AttachNetworkInterface: "ecs",
  DescribeNetworkInterfaces: "ecs",
  AssignPrivateIpAddresses: "ecs",
  UnassignPrivateIpAddresses: "ecs",
  AssignIpv6Addresses: "ecs",
  UnassignIpv6Addresses: "ecs",
  DetachNetworkInterface: "ecs",
  DeleteNetworkInterface: "ecs",
  ModifyNetworkInterfaceAttribute: "ecs",
  DescribeInstanceAttribute: "ecs",
  DescribeInstances: "ecs",
  DescribeInstanceTypes: "ecs",
  DescribeVSwitches: "vpc",
} as const;

/** API name: `"CreateNetworkInterface"`. */
export type Action = keyof typeof PRODUCT;
/** The part before the colon in a RAM policy. */
export type Product = "ecs" | "vpc";

/** Every action. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table above, by construction
export const ACTIONS = Object.keys(PRODUCT) as readonly Action[];

/** API versions by product. */
const VERSION_PRODUCT: ReadonlyMap<string, Product> = new Map([
  ["2014-05-26", "ecs"],
  ["2016-04-28", "vpc"],
]);

export function productOf(action: Action): Product {
  return PRODUCT[action];
}

/** True where the simulated cloud has an action of this name. */
export function isAction(name: string): name is Action {
  return Object.hasOwn(PRODUCT, name);
}

/** The product that has this API version (`x-acs-version`, `Version`). */
export function productOfVersion(version: string): Product | undefined {
  return VERSION_PRODUCT.get(version);
}
