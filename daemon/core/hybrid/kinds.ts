/**
 * The kinds of value that only the hybrid network's keys have.
 *
 * @module
 */
import * as z from "zod";
import { type Mac, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, parseIp } from "../../../proto/addr6.ts";
import { firstOf, type IpCidr, lastOf, networkOf, parseIpCidr } from "../../../proto/cidr6.ts";
import { type Context, ofKind, says, wants } from "../config/kinds.ts";
import { type HostAddress } from "./network.ts";

/** True or false. */
export function flag() {
  const wanted = "true or false";
  return ofKind(z.boolean({ error: wanted }), { type: "true or false", wanted });
}

/** An object whose members are checked by a table of their own. */
export function section(wanted: string) {
  return ofKind(z.record(z.string(), z.unknown(), { error: wanted }), { type: "object", wanted });
}

/** A list whose entries are checked one by one, by a table of their own. */
export function records(max: number, wanted: string) {
  return ofKind(z.array(z.unknown(), { error: wanted }).max(max, { error: wanted }), {
    type: "list of objects",
    range: `at most ${max}`,
    wanted,
  });
}

/** Name of a Node object. Source: Kubernetes, "Object Names and IDs": DNS subdomain names (RFC 1123). */
export function nodeName() {
  const wanted = "the name of a node (lower-case letters, digits, - and .)";
  const name = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
  return ofKind(z.string({ error: wanted }).regex(name, { error: wanted }).max(253, { error: wanted }), {
    type: "string",
    range: "lower-case letters, digits, - .",
    wanted,
    text: true,
  });
}

/** Networks of either family. */
export function networks({ min, sample }: { readonly min: number; readonly sample: string }) {
  const wanted = `a list of networks, such as ["${sample}"],`;
  const one = z.string({ error: `a network, such as "${sample}",` }).transform(networkOrIssue);
  return ofKind(z.array(one, { error: wanted }).min(min, { error: wanted }).max(64, { error: wanted }), {
    type: "list of networks",
    range: `${min} to 64`,
    wanted,
  });
}

function networkOrIssue(given: string, context: Context): IpCidr {
  const parsed = parseIpCidr(given.trim());
  if (parsed.ok) return parsed.value;
  if (parsed.fault.kind === "not-a-network")
    wants(context, 'a network, such as "10.245.0.0/16" or "fd00:1::/48",');
  else
    says(
      context,
      `is ${given}, an address inside a network and not a network`,
      `write ${parsed.fault.corrected}`,
    );
  return z.NEVER;
}

/** An address with the prefix length of its network, as the interface has it. */
export function hostAddress<Ip extends IpAddress>(isOne: (ip: IpAddress) => ip is Ip, sample: string) {
  const wanted = `an address with the prefix length of its network, such as "${sample}",`;
  const schema = z.string({ error: wanted }).transform((given, context): HostAddress<Ip> => {
    const [text = "", bits = "", ...rest] = given.trim().split("/");
    const ip = parseIp(text);
    const parsed = ip === undefined ? undefined : prefixed(ip, bits);
    if (parsed === undefined || ip === undefined || !isOne(ip) || rest.length > 0) {
      wants(context, wanted);
      return z.NEVER;
    }
    const fault = unusable(ip, parsed);
    if (fault !== undefined) says(context, fault);
    return { ip, prefixLength: parsed };
  });
  return ofKind(schema, { type: "address/prefix length", wanted, text: true });
}

/** The prefix length, where it is one of the address's family. */
function prefixed(ip: IpAddress, bits: string): number | undefined {
  const parsed = /^(?:0|[1-9]\d{0,2})$/.test(bits) ? Number(bits) : Number.NaN;
  return parsed >= 1 && parsed <= (ip.includes(":") ? 128 : 32) ? parsed : undefined;
}

/** Why no node can have this address. */
function unusable(ip: IpAddress, prefixLength: number): string | undefined {
  if (/^(?:0|127|22[4-9]|2[3-5]\d)\.|^169\.254\.|^fe[89ab]|^ff|^::1?$/.test(ip))
    return `is ${ip}, which no other node can reach`;
  const network = networkOf(ip, prefixLength);
  const isEnd = ip === firstOf(network) || (!ip.includes(":") && ip === lastOf(network));
  return isEnd && prefixLength < (ip.includes(":") ? 127 : 31)
    ? `is ${ip}/${prefixLength}, ${ip === firstOf(network) ? "the network" : "the broadcast address of the network"} and not a node in it`
    : undefined;
}

/** The MAC of one interface. */
export function unicastMac() {
  const wanted = 'a MAC, such as "0a:00:0a:0a:00:0b",';
  const schema = z.string({ error: wanted }).transform((given, context): Mac => {
    const mac = parseMac(given.trim());
    if (mac === undefined) {
      wants(context, wanted);
      return z.NEVER;
    }
    const isGroup = Number.parseInt(mac.slice(0, 2), 16) % 2 === 1;
    if (isGroup || mac === "00:00:00:00:00:00")
      says(context, `is ${mac}, which no interface can have`, "begin with 02, 06, 0a or 0e");
    return mac;
  });
  return ofKind(schema, { type: "MAC", wanted, text: true });
}

/** Any of a few words. */
export function words<const Word extends string>(known: readonly Word[]) {
  const range = known.map((word) => JSON.stringify(word)).join(", ");
  const word = z.enum(known, { error: `one of ${range}` });
  const wanted = `a list of ${range}`;
  return ofKind(z.array(word, { error: wanted }).max(known.length, { error: wanted }), {
    type: "list of words",
    range,
    wanted,
  });
}
