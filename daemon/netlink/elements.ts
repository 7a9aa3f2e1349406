/**
 * Elements of the maps of our nftables tables: which there are, and taking away those that no pod's link stands behind.
 *
 * @module
 */
import { type IpAddress } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { FORMER_MAP, NFT, type NftFamily } from "../core/datapath/layout.ts";
import { podElement } from "../core/datapath/pod-plan.ts";
import { type ElementThing } from "../core/datapath/thing.ts";
import { removePlan } from "./apply.ts";
import { answerFault, type Client, GONE } from "./client.ts";
import { decodeLink, getLink } from "./codec/link.ts";
import { decodeSetElements, dumpElements, NFT_ELEMENT, type SetElement } from "./codec/nft-element.ts";
import { type NftType } from "./codec/nft-value.ts";
import { mapOf } from "./encode-thing.ts";
import { lookAt } from "./look.ts";

/** Which chain packets from an address went to in former versions. */
export type FormerElement = { readonly address: IpAddress; readonly chain: string };

/** The elements of a family's map; none where there is no map. Their devices are named by their index. */
export async function elementsOf(
  client: Client,
  family: NftFamily,
): Promise<Result<readonly ElementThing[]>> {
  const found = await dumpMap(client, family, NFT.map, ["ifindex", addressType(family)]);
  if (!found.ok) return found;
  return ok(
    found.value.flatMap(({ key: [link, source], data }) =>
      link?.kind === "ifindex" && source?.kind === "ip"
        ? [podElement({ name: String(link.ifIndex), ifIndex: link.ifIndex }, source.ip, chainOf(data))]
        : [],
    ),
  );
}

/** The elements of the map of former versions; `undefined` where there is no such map. */
export async function formerElements(
  client: Client,
  family: NftFamily,
): Promise<Result<readonly FormerElement[]>> {
  const found = await dumpMap(client, family, FORMER_MAP, [addressType(family)]);
  if (!found.ok) return found;
  return ok(
    found.value.flatMap(({ key: [source], data }) => {
      const chain = chainOf(data);
      return source?.kind === "ip" && chain !== undefined ? [{ address: source.ip, chain }] : [];
    }),
  );
}

/**
 * Of these addresses the elements whose link is not there: with its namespace went its index, which alone tells them. An
 * element of another pod that has the address by now stays.
 */
export async function removeOrphans(
  client: Client,
  addresses: ReadonlySet<IpAddress>,
): Promise<Result<void>> {
  const families = new Set([...addresses].map((address) => (address.includes(":") ? "ip6" : "ip")));
  const elements: ElementThing[] = [];
  for (const family of families) {
    const found = await elementsOf(client, family);
    if (!found.ok) return found;
    elements.push(...found.value.filter(({ key }) => addresses.has(key)));
  }
  const links = await lookAt(
    client,
    "ip link show",
    elements.map(({ device }) => getLink({ index: device.ifIndex })),
    ({ payload }) => decodeLink(payload),
  );
  if (!links.ok) return links;
  return removePlan(
    client,
    elements.filter((_, at) => links.value[at] === undefined),
  );
}

function addressType(family: NftFamily): NftType {
  return family === "ip" ? "ip" : "ip6";
}

function chainOf(data: SetElement["data"]): string | undefined {
  return data?.kind === "verdict" && "chain" in data ? data.chain : undefined;
}

async function dumpMap(
  client: Client,
  family: NftFamily,
  map: string,
  key: readonly NftType[],
): Promise<Result<readonly SetElement[]>> {
  const { table } = NFT;
  const answers = await client.ask([
    { family: "netfilter", requests: [dumpElements(mapOf({ family, table, map }))], ack: "as-is" },
  ]);
  if (!answers.ok) return answers;
  const [answer] = answers.value[0] ?? [];
  if (answer?.kind === "refused" && GONE.has(answer.errno)) return ok([]);
  if (answer?.kind !== "done") return failed(answerFault(`nft list map ${family} ${table} ${map}`, answer));
  return ok(
    answer.messages
      .filter(({ type }) => type === NFT_ELEMENT.NEW)
      .flatMap(({ payload }) => decodeSetElements(payload, { key }).elements),
  );
}
