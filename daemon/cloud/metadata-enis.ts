/**
 * From the items of the metadata service to what it shows of the ENIs of the instance. An item that is missing or makes no sense
 * is a fault that names it: a list that could not be read must never look like "no addresses".
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { parseCidr6 } from "../../proto/cidr6.ts";
import { eniId, vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type MetadataEni } from "../core/metadata.ts";

/** Items are read in one go for each ENI, as many at once as there are connections. `undefined`: there is no such item (404). */
export type ReadItem = (path: string) => Promise<Result<string | undefined>>;

/** More than any instance type has: 15 in the documented families (`EniQuantity`, the primary one included). */
export const ENIS_MAX = 64;
const MACS = "network/interfaces/macs/";
const REQUIRED = [
  "network-interface-id",
  "vswitch-id",
  "vswitch-cidr-block",
  "primary-ip-address",
  "private-ipv4s",
] as const;
const OPTIONAL = ["ipv6s", "vswitch-ipv6-cidr-block"] as const;

type Item = (typeof REQUIRED)[number] | (typeof OPTIONAL)[number];
type Items = ReadonlyMap<Item, string>;

export async function readEnis(read: ReadItem): Promise<Result<readonly MetadataEni[]>> {
  const listed = await read(MACS);
  if (!listed.ok) return listed;
  // The primary ENI is always there: no list at all is no answer.
  const names = (listed.value ?? "").split("\n").flatMap((line) => line.trim().replace(/\/$/, "") || []);
  if (names.length === 0 || names.length > ENIS_MAX)
    return wrong(MACS, `${names.length} ENIs are listed, which cannot be`);
  const enis: MetadataEni[] = [];
  for (const name of names) {
    const mac = parseMac(name);
    if (mac === undefined) return wrong(MACS, `not a MAC address: ${name.slice(0, 80)}`);
    const items = await readItems(read, `${MACS}${name}/`);
    if (!items.ok) return items;
    const eni = eniOf(mac, items.value);
    if (!eni.ok) return eni;
    enis.push(eni.value);
  }
  return ok(enis);
}

async function readItems(read: ReadItem, directory: string): Promise<Result<Items>> {
  const paths: readonly Item[] = [...REQUIRED, ...OPTIONAL];
  const answers = await Promise.all(paths.map((path) => read(directory + path)));
  const items = new Map<Item, string>();
  for (const [index, path] of paths.entries()) {
    const answer = answers[index];
    if (answer?.ok === false) return answer;
    if (answer?.value !== undefined && answer.value !== "") items.set(path, answer.value);
  }
  const missing = REQUIRED.find((path) => !items.has(path));
  return missing === undefined
    ? ok(items)
    : wrong(directory + missing, "there is no such item, though its ENI is listed");
}

function eniOf(mac: Mac, items: Items): Result<MetadataEni> {
  const item = (path: Item): string => items.get(path) ?? "";
  const refuse = (path: Item): Result<never> =>
    wrong(`${MACS}${mac}/${path}`, `it makes no sense: ${item(path).slice(0, 80)}`);
  const primary = parseIpv4(item("primary-ip-address"));
  const addresses = addressesOf(item("private-ipv4s"), parseIpv4);
  const addresses6 = addressesOf(items.get("ipv6s") ?? "[]", parseIpv6);
  const cidr = parseCidr(item("vswitch-cidr-block"));
  const block6 = items.get("vswitch-ipv6-cidr-block");
  const cidr6 = block6 === undefined ? undefined : parseCidr6(block6);
  if (primary === undefined) return refuse("primary-ip-address");
  if (addresses === undefined || !addresses.includes(primary)) return refuse("private-ipv4s");
  if (addresses6 === undefined) return refuse("ipv6s");
  if (cidr === undefined) return refuse("vswitch-cidr-block");
  if (block6 !== undefined && cidr6 === undefined) return refuse("vswitch-ipv6-cidr-block");
  return ok({
    id: eniId(item("network-interface-id")),
    mac,
    vSwitch: vSwitchId(item("vswitch-id")),
    cidr,
    ...(cidr6 !== undefined && { cidr6 }),
    primary,
    addresses,
    addresses6,
  });
}

/** A list in brackets, with quotes (`private-ipv4s` is JSON) or without (`ipv6s` is not); `undefined` where it is none. */
function addressesOf<Address extends Ipv4 | Ipv6>(
  text: string,
  parse: (text: string) => Address | undefined,
): readonly Address[] | undefined {
  const inside = /^\[(.*)\]$/s.exec(text)?.[1]?.trim();
  if (inside === undefined) return undefined;
  if (inside === "") return [];
  const parsed = inside.split(",").map((part) => parse(part.trim().replace(/^"(.*)"$/, "$1")));
  const addresses = parsed.filter((address) => address !== undefined);
  return addresses.length === parsed.length ? addresses : undefined;
}

function wrong(path: string, reason: string): Result<never> {
  return failed({ kind: "metadata", path, reason });
}
