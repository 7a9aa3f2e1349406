/**
 * Names that the cloud gives, each its own type, so that one cannot be passed for another. Made at the border
 * (configuration, cloud replies, metadata, store) by the functions below.
 *
 * @module
 */
import { type Brand } from "./addr.ts";

/** `eni-…` */
export type EniId = Brand<"EniId">;
/** `vsw-…` */
export type VSwitchId = Brand<"VSwitchId">;
/** `i-…` */
export type InstanceId = Brand<"InstanceId">;
/** `sg-…` */
export type SecurityGroupId = Brand<"SecurityGroupId">;

export const eniId = (text: string): EniId => text as EniId;
export const vSwitchId = (text: string): VSwitchId => text as VSwitchId;
export const instanceId = (text: string): InstanceId => text as InstanceId;
export const securityGroupId = (text: string): SecurityGroupId => text as SecurityGroupId;
