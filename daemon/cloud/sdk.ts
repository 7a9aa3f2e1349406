/**
 * The parts of Alibaba Cloud's SDK that the agent uses, with their names made straight.
 *
 * Only the model file of each action is loaded, never the client of the whole product: that one is a single class
 * that pulls in more than two thousand files (0.7 s and 90 MB at start). A model knows the wire names of an action's
 * parameters; `openapi-core` flattens, signs (ACS3-HMAC-SHA256) and sends them. The packages are CommonJS without an
 * `exports` map, hence the full file names and the double `default`.
 *
 * @module
 */
import * as core from "@alicloud/openapi-core";

// The names of the IPv6 files have a small a, the classes a capital one.
export { AssignIpv6AddressesRequest } from "@alicloud/ecs20140526/dist/models/AssignIpv6addressesRequest.js";
export { AssignPrivateIpAddressesRequest } from "@alicloud/ecs20140526/dist/models/AssignPrivateIpAddressesRequest.js";
export { AttachNetworkInterfaceRequest } from "@alicloud/ecs20140526/dist/models/AttachNetworkInterfaceRequest.js";
export {
  CreateNetworkInterfaceRequest,
  CreateNetworkInterfaceRequestTag,
} from "@alicloud/ecs20140526/dist/models/CreateNetworkInterfaceRequest.js";
export { DeleteNetworkInterfaceRequest } from "@alicloud/ecs20140526/dist/models/DeleteNetworkInterfaceRequest.js";
export { DescribeInstanceAttributeRequest } from "@alicloud/ecs20140526/dist/models/DescribeInstanceAttributeRequest.js";
export {
  DescribeNetworkInterfacesRequest,
  DescribeNetworkInterfacesRequestTag,
} from "@alicloud/ecs20140526/dist/models/DescribeNetworkInterfacesRequest.js";
export { DetachNetworkInterfaceRequest } from "@alicloud/ecs20140526/dist/models/DetachNetworkInterfaceRequest.js";
export { ModifyNetworkInterfaceAttributeRequest } from "@alicloud/ecs20140526/dist/models/ModifyNetworkInterfaceAttributeRequest.js";
export { UnassignIpv6AddressesRequest } from "@alicloud/ecs20140526/dist/models/UnassignIpv6addressesRequest.js";
export { UnassignPrivateIpAddressesRequest } from "@alicloud/ecs20140526/dist/models/UnassignPrivateIpAddressesRequest.js";
// The file's name has a small s, the class a capital one.
export { DescribeVSwitchesRequest } from "@alicloud/vpc20160428/dist/models/DescribeVswitchesRequest.js";

const { default: module } = core;
/** The generic client: `callApi` signs and sends one request. Some loaders unwrap the inner `default`, some do not. */
export const OpenApiClient = "default" in module ? module.default : module;
export const { OpenApiRequest, Config, Params } = core.$OpenApiUtil;
/** Flattens a model's parameters into wire form: `Tag.1.Key`, `SecurityGroupIds.1`. */
export const flatten = (parameters: Record<string, unknown>): Record<string, string> =>
  core.OpenApiUtil.query(parameters);

/** What every request model can do. */
export type RequestModel = { toMap(): Record<string, unknown> };
