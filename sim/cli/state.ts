/**
 * `terway-sim state`: what the cloud holds, who has it, and what is wrong.
 *
 * @module
 */
import * as z from "zod";
import { ok } from "../../proto/result.ts";
import { NAME_OPTION, simulatorOf } from "./name.ts";
import { askOperator } from "./operator-client.ts";
import { jsonText, OUTPUT_OPTION, wantsJson } from "./output.ts";
import { table } from "./table.ts";
import { type Verb } from "./verb.ts";

/** The part of `GET /_sim/state` that the tables show. */
export const stateView = z.looseObject({
  vSwitches: z.array(
    z.looseObject({
      id: z.string(),
      zone: z.string(),
      cidr: z.string(),
      used: z.number(),
      held: z.number(),
      available: z.number(),
      drained: z.boolean(),
      ipv6: z.looseObject({ cidr: z.string(), used: z.number(), held: z.number() }).optional(),
    }),
  ),
  instances: z.array(z.looseObject({ id: z.string(), name: z.string() })),
  enis: z.array(
    z.looseObject({
      id: z.string(),
      mac: z.string(),
      type: z.string(),
      status: z.string(),
      vSwitch: z.string(),
      owner: z.string(),
      link: z.boolean(),
      addresses: z.array(z.string()),
      ipv6Addresses: z.array(z.string()),
    }),
  ),
  broken: z.array(z.looseObject({ invariant: z.string(), detail: z.string() })),
  fabric: z.looseObject({
    spoofedPackets: z.number(),
    spoofedArp: z.number(),
    spoofedIpv6: z.number(),
    ipv6Packets: z.number(),
  }),
});
/** See `stateView`. */
export type StateView = z.infer<typeof stateView>;

/** `state [-o json]`. Broken invariants are shown, and are no failure of the command. */
export const state: Verb = {
  name: "state",
  usage: "[--name N] [-o json]",
  summary: "show ENIs, addresses, owners, broken invariants, refused packets",
  options: { ...NAME_OPTION, ...OUTPUT_OPTION },
  run: async (line) => {
    const json = wantsJson(line);
    if (!json.ok) return json;
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    const answer = await askOperator(record.value.name, { method: "GET", path: "/_sim/state" }, stateView);
    if (!answer.ok) return answer;
    return ok(json.value ? jsonText(answer.value) : stateText(answer.value));
  },
};

/** Tables and a verdict; IPv6 only where a vSwitch has it. */
export function stateText({ vSwitches, instances, enis, broken, fabric }: StateView): string {
  const nameOf = (owner: string): string => instances.find(({ id }) => id === owner)?.name ?? owner;
  const has6 = vSwitches.some(({ ipv6 }) => ipv6 !== undefined);
  const eniTable = table(
    ["ENI", "TYPE", "STATUS", "OWNER", "LINK", "MAC", "VSWITCH", "ADDRESSES", ...(has6 ? ["IPV6"] : [])],
    enis.map(({ id, type, status, owner, link, mac, vSwitch, addresses, ipv6Addresses }) => [
      id,
      type,
      status,
      nameOf(owner),
      link ? "yes" : "no",
      mac,
      vSwitch,
      addressesText(addresses),
      ...(has6 ? [addressesText(ipv6Addresses)] : []),
    ]),
  );
  const vSwitchTable = table(
    ["VSWITCH", "ZONE", "CIDR", "USED", "RESTING", "FREE", ""],
    vSwitches.map(({ id, zone, cidr, used, held, available, drained }) => [
      id,
      zone,
      cidr,
      String(used),
      String(held),
      String(available),
      drained ? "drained" : "",
    ]),
  );
  const vSwitch6Table = table(
    ["VSWITCH", "IPV6 CIDR", "USED", "RESTING"],
    vSwitches.flatMap(({ id, ipv6 }) =>
      ipv6 === undefined ? [] : [[id, ipv6.cidr, String(ipv6.used), String(ipv6.held)]],
    ),
  );
  const { spoofedPackets, spoofedArp, spoofedIpv6, ipv6Packets } = fabric;
  const spoofed6 = has6 ? `${spoofedIpv6} spoofed IPv6 packets, ` : "";
  const refused = `refused by the VPC: ${spoofedPackets} spoofed packets, ${spoofedArp} spoofed ARP messages, ${spoofed6}${ipv6Packets} IPv6 packets (noise)`;
  const verdict =
    broken.length === 0
      ? "nothing is broken"
      : `BROKEN:\n${broken.map(({ invariant, detail }) => `  ${invariant}: ${detail}`).join("\n")}`;
  return `${eniTable}\n${vSwitchTable}\n${has6 ? `${vSwitch6Table}\n` : ""}${refused}\n${verdict}\n`;
}

function addressesText(addresses: readonly string[]): string {
  const [primary = "", ...more] = addresses;
  return more.length === 0 ? primary : `${primary} and ${more.length} more`;
}
