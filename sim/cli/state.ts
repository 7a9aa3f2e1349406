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
    }),
  ),
  broken: z.array(z.looseObject({ invariant: z.string(), detail: z.string() })),
  fabric: z.looseObject({ spoofedPackets: z.number(), spoofedArp: z.number(), ipv6Packets: z.number() }),
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

/** Three tables and a verdict. */
export function stateText({ vSwitches, instances, enis, broken, fabric }: StateView): string {
  const nameOf = (owner: string): string => instances.find(({ id }) => id === owner)?.name ?? owner;
  const eniTable = table(
    ["ENI", "TYPE", "STATUS", "OWNER", "LINK", "MAC", "VSWITCH", "ADDRESSES"],
    enis.map(({ id, type, status, owner, link, mac, vSwitch, addresses }) => [
      id,
      type,
      status,
      nameOf(owner),
      link ? "yes" : "no",
      mac,
      vSwitch,
      addressesText(addresses),
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
  const { spoofedPackets, spoofedArp, ipv6Packets } = fabric;
  const refused = `refused by the VPC: ${spoofedPackets} spoofed packets, ${spoofedArp} spoofed ARP messages, ${ipv6Packets} IPv6 packets (noise)`;
  const verdict =
    broken.length === 0
      ? "nothing is broken"
      : `BROKEN:\n${broken.map(({ invariant, detail }) => `  ${invariant}: ${detail}`).join("\n")}`;
  return `${eniTable}\n${vSwitchTable}\n${refused}\n${verdict}\n`;
}

function addressesText(addresses: readonly string[]): string {
  const [primary = "", ...more] = addresses;
  return more.length === 0 ? primary : `${primary} and ${more.length} more`;
}
