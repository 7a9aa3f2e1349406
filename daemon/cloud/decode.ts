/**
 * From the JSON of an answer to what the core knows. An answer that lacks what it must have is a failure that names
 * the field, never an exception and never a half-filled view.
 *
 * The SDK's response models are not used: they drop what they do not know and throw a bare `Error` where a list
 * arrives as something else.
 *
 * @module
 */
import { type Ipv4, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { parseCidr6 } from "../../proto/cidr6.ts";
import { eniId, instanceId, securityGroupId, vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type EniStatus, type EniView, type InstanceView, type VSwitchView } from "../core/cloud.ts";

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;
/** A value, or which field makes no sense. */
export type Decoded<Value> = Result<Value, string>;

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The field as a text that is not empty. */
export function textField(json: Json, name: string): string | undefined {
  const value = json[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The field as an integer of 0 or more; the API writes some numbers as texts. */
export function countField(json: Json, name: string): number | undefined {
  const value = json[name];
  const count = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

/**
 * A list in the API's wrapping, `{"Tags": {"Tag": [...]}}`. Absent counts as empty, as does a wrapper without its
 * list; anything else there is an error.
 */
export function listField(json: Json, wrapper: string, name: string): Decoded<readonly unknown[]> {
  const outer = json[wrapper] ?? {};
  if (!isJson(outer)) return failed(wrapper);
  const list = outer[name] ?? [];
  return Array.isArray(list) ? ok(list) : failed(`${wrapper}.${name}`);
}

/** As `listField`, but a wrapper that is absent is an error: "nothing there" must be said, not left out. */
export function requiredList(json: Json, wrapper: string, name: string): Decoded<readonly unknown[]> {
  return json[wrapper] === undefined ? failed(wrapper) : listField(json, wrapper, name);
}

const STATUS: Readonly<Record<string, EniStatus>> = {
  Available: "Available",
  Attaching: "Attaching",
  InUse: "InUse",
  Detaching: "Detaching",
  Deleting: "Deleting",
};

/** One `NetworkInterfaceSet` of DescribeNetworkInterfaces, or the answer of CreateNetworkInterface. */
export function decodeEni(value: unknown): Decoded<EniView> {
  if (!isJson(value)) return failed("NetworkInterfaceSet");
  const id = textField(value, "NetworkInterfaceId");
  const mac = parseMac(textField(value, "MacAddress") ?? "");
  const status = STATUS[textField(value, "Status") ?? ""];
  const vSwitch = textField(value, "VSwitchId");
  if (id === undefined) return failed("NetworkInterfaceId");
  if (mac === undefined) return failed(`MacAddress of ${id}`);
  if (status === undefined) return failed(`Status of ${id}`);
  if (vSwitch === undefined) return failed(`VSwitchId of ${id}`);
  const addresses = decodeAddresses(value);
  if (!addresses.ok) return failed(`${addresses.fault} of ${id}`);
  const groups = listField(value, "SecurityGroupIds", "SecurityGroupId");
  if (!groups.ok) return failed(`${groups.fault} of ${id}`);
  const tags = decodeTags(value);
  if (!tags.ok) return failed(`${tags.fault} of ${id}`);
  const attachment = value["Attachment"];
  // An ENI that is just being attached has it in one of the two places only; without one it is an empty text.
  const instance =
    textField(value, "InstanceId") ?? (isJson(attachment) ? textField(attachment, "InstanceId") : undefined);
  const type = textField(value, "Type") ?? "Secondary";
  return ok({
    id: eniId(id),
    mac,
    status,
    type: type === "Primary" || type === "Secondary" ? type : "Other",
    vSwitch: vSwitchId(vSwitch),
    ...(instance === undefined ? {} : { instance: instanceId(instance) }),
    ...addresses.value,
    securityGroups: groups.value.filter((group) => typeof group === "string").map(securityGroupId),
    tags: tags.value,
    serviceManaged: value["ServiceManaged"] === true,
  });
}

function decodeAddresses(eni: Json): Decoded<Pick<EniView, "primary" | "addresses" | "addresses6">> {
  const sets = listField(eni, "PrivateIpSets", "PrivateIpSet");
  if (!sets.ok) return sets;
  let primary = parseIpv4(textField(eni, "PrivateIpAddress") ?? "");
  const others: Ipv4[] = [];
  for (const set of sets.value) {
    const address = isJson(set) ? parseIpv4(textField(set, "PrivateIpAddress") ?? "") : undefined;
    if (!isJson(set) || address === undefined) return failed("PrivateIpSet");
    if (set["Primary"] === true) primary = address;
    else others.push(address);
  }
  if (primary === undefined) return failed("PrivateIpAddress");
  const sets6 = listField(eni, "Ipv6Sets", "Ipv6Set");
  if (!sets6.ok) return sets6;
  const addresses6 = decodeAll(sets6.value, decodeIpv6Set);
  if (!addresses6.ok) return addresses6;
  return ok({ primary, addresses: [...new Set([primary, ...others])], addresses6: addresses6.value });
}

function decodeIpv6Set(set: unknown): Decoded<Ipv6> {
  const address = isJson(set) ? parseIpv6(textField(set, "Ipv6Address") ?? "") : undefined;
  return address === undefined ? failed("Ipv6Set") : ok(address);
}

function decodeTags(eni: Json): Decoded<Readonly<Record<string, string>>> {
  const list = listField(eni, "Tags", "Tag");
  if (!list.ok) return list;
  const tags = new Map<string, string>();
  for (const tag of list.value) {
    const key = isJson(tag) ? textField(tag, "TagKey") : undefined;
    if (!isJson(tag) || key === undefined) return failed("Tag");
    tags.set(key, textField(tag, "TagValue") ?? "");
  }
  return ok(Object.fromEntries(tags));
}

/** The answer of AssignPrivateIpAddresses: one address or more. */
export function decodeAssigned(json: Json): Decoded<readonly Ipv4[]> {
  const outer = json["AssignedPrivateIpAddressesSet"];
  if (!isJson(outer)) return failed("AssignedPrivateIpAddressesSet");
  const list = listField(outer, "PrivateIpSet", "PrivateIpAddress");
  if (!list.ok) return list;
  const addresses = list.value.map((text) => (typeof text === "string" ? parseIpv4(text) : undefined));
  const valid = addresses.filter((address) => address !== undefined);
  return valid.length > 0 && valid.length === addresses.length
    ? ok(valid)
    : failed("PrivateIpSet.PrivateIpAddress");
}

/** The answer of AssignIpv6Addresses: one address or more. */
export function decodeAssigned6(json: Json): Decoded<readonly Ipv6[]> {
  const list = listField(json, "Ipv6Sets", "Ipv6Address");
  if (!list.ok) return list;
  const addresses = list.value.map((text) => (typeof text === "string" ? parseIpv6(text) : undefined));
  const valid = addresses.filter((address) => address !== undefined);
  return valid.length > 0 && valid.length === addresses.length ? ok(valid) : failed("Ipv6Sets.Ipv6Address");
}

/** One `VSwitch` of DescribeVSwitches. */
export function decodeVSwitch(value: unknown): Decoded<VSwitchView> {
  if (!isJson(value)) return failed("VSwitch");
  const id = textField(value, "VSwitchId");
  const vpc = textField(value, "VpcId");
  const zone = textField(value, "ZoneId");
  const cidr = parseCidr(textField(value, "CidrBlock") ?? "");
  const availableAddresses = countField(value, "AvailableIpAddressCount");
  if (id === undefined) return failed("VSwitchId");
  if (vpc === undefined) return failed(`VpcId of ${id}`);
  if (zone === undefined) return failed(`ZoneId of ${id}`);
  if (cidr === undefined) return failed(`CidrBlock of ${id}`);
  if (availableAddresses === undefined) return failed(`AvailableIpAddressCount of ${id}`);
  const ipv6 = textField(value, "Ipv6CidrBlock");
  const cidr6 = ipv6 === undefined ? undefined : parseCidr6(ipv6);
  if (ipv6 !== undefined && cidr6 === undefined) return failed(`Ipv6CidrBlock of ${id}`);
  const common = { id: vSwitchId(id), vpc, zone, cidr, availableAddresses };
  // A block that is being taken away may still be named.
  return ok(cidr6 === undefined || value["EnabledIpv6"] === false ? common : { ...common, cidr6 });
}

/** The answer of DescribeInstanceAttribute. */
export function decodeInstance(json: Json): Decoded<InstanceView> {
  const attributes = json["VpcAttributes"];
  const network = isJson(attributes) ? attributes : {};
  const id = textField(json, "InstanceId");
  const type = textField(json, "InstanceType");
  const zone = textField(json, "ZoneId");
  const vpc = textField(network, "VpcId");
  const vSwitch = textField(network, "VSwitchId");
  const groups = listField(json, "SecurityGroupIds", "SecurityGroupId");
  if (id === undefined) return failed("InstanceId");
  if (type === undefined) return failed("InstanceType");
  if (zone === undefined) return failed("ZoneId");
  if (vpc === undefined) return failed("VpcAttributes.VpcId");
  if (vSwitch === undefined) return failed("VpcAttributes.VSwitchId");
  if (!groups.ok) return groups;
  const securityGroups = groups.value.filter((group) => typeof group === "string").map(securityGroupId);
  return ok({ id: instanceId(id), type, zone, vpc, vSwitch: vSwitchId(vSwitch), securityGroups });
}

/** Decodes each of a list; the first that makes no sense decides. */
export function decodeAll<Value>(
  list: readonly unknown[],
  decode: (item: unknown) => Decoded<Value>,
): Decoded<readonly Value[]> {
  const values: Value[] = [];
  for (const item of list) {
    const decoded = decode(item);
    if (!decoded.ok) return decoded;
    values.push(decoded.value);
  }
  return ok(values);
}
