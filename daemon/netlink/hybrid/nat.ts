/**
 * Our tables of nftables: whether they are as the plan has them, and loading them where they are not.
 *
 * @module
 */
import { ok, type Result } from "../../../proto/result.ts";
import {
  NFT_FAMILIES,
  nftRemovalText,
  type NftStructure,
  TABLE_FAMILIES,
  UNKNOWN_COUNTER,
} from "../../core/hybrid/nft-text.ts";
import { REDIRECT_MAPS } from "../../core/hybrid/redirect-text.ts";
import { HYBRID_TABLE, type TableFamily } from "../../core/hybrid/things.ts";
import { type Client, GONE } from "../client.ts";
import { decodeNftCounter, getNftCounter } from "../codec/nft-counter.ts";
import { decodeSetElements, dumpElements } from "../codec/nft-element.ts";
import {
  decodeNftTable,
  dumpNftRules,
  getNftSet,
  getNftTable,
  NFT_TABLE_DORMANT,
  type TableKey,
} from "../codec/nft-structure.ts";
import { type NftType } from "../codec/nft-value.ts";
import { lookAt } from "../look.ts";
import { runNft } from "../nft.ts";
import { NFT_PROTO, nodeSet } from "./encode.ts";

/** `struct nfgenmsg`. */
const NFGENMSG_BYTES = 4;
const SETS_OF: Readonly<Record<TableFamily, readonly string[]>> = {
  ip: ["vteps", "direct", "forwarding", "exempt"],
  ip6: ["vteps", "direct", "forwarding", "exempt"],
  netdev: Object.values(REDIRECT_MAPS),
};

const NETFILTER = { family: "netfilter" } as const;

/**
 * What a table held right after it was loaded: rules, and destinations that are not translated. A rule that was replaced is
 * told by this alone. Of a table that another agent loaded nothing is known, so the first look loads it anew.
 */
export type LoadedTables = Map<TableFamily, string>;

/** Whom to ask, and what is known of former loads. */
export type TablePorts = {
  readonly client: Client;
  readonly nodeNetns: string | undefined;
  readonly loaded: LoadedTables;
};

/** Loads what is missing or other than wanted, and removes the table of a family that is not wanted. Which were loaded. */
export async function mendTables(
  ports: TablePorts,
  wanted: readonly NftStructure[],
): Promise<Result<readonly TableFamily[]>> {
  const { client, nodeNetns, loaded: known } = ports;
  const loaded: TableFamily[] = [];
  for (const family of TABLE_FAMILIES) {
    const structure = wanted.find((one) => one.family === family);
    const state = await tableState(ports, family, structure);
    if (!state.ok) return state;
    const text = structure === undefined ? nftRemovalText(family) : structure.text;
    const isRight = structure === undefined ? state.value === "missing" : state.value === "right";
    if (isRight) continue;
    known.delete(family);
    // A dormant table is woken only by being made anew.
    const whole = state.value === "dormant" ? `${nftRemovalText(family)}${text}` : text;
    const done = await runNft(whole, nodeNetns);
    if (!done.ok) return done;
    if (structure === undefined) continue;
    const content = await contentOf(client, family);
    if (!content.ok) return content;
    if (content.value !== undefined) known.set(family, content.value);
    loaded.push(family);
  }
  return ok(loaded);
}

/** Takes all of ours away; no failure where there is nothing. */
export async function removeTables(client: Client, nodeNetns: string | undefined): Promise<Result<void>> {
  for (const family of TABLE_FAMILIES) {
    const table = await tableOf(client, family);
    if (!table.ok) return table;
    const removed =
      table.value === undefined ? ok(undefined) : await runNft(nftRemovalText(family), nodeNetns);
    if (!removed.ok) return removed;
  }
  return ok(undefined);
}

/** Packets of VXLAN that no known node sent, since the table was made. */
export async function unknownSenders(client: Client): Promise<Result<bigint>> {
  let sum = 0n;
  for (const family of NFT_FAMILIES) {
    const request = getNftCounter(keyOfTable(family), UNKNOWN_COUNTER);
    const looked = await lookAt(
      client,
      "nft list counter",
      [request],
      ({ payload }) => decodeNftCounter(payload),
      NETFILTER,
    );
    if (!looked.ok) return looked;
    sum += looked.value[0]?.packets ?? 0n;
  }
  return ok(sum);
}

type TableState = "missing" | "dormant" | "other" | "right";

async function tableState(
  { client, loaded }: TablePorts,
  family: TableFamily,
  wanted: NftStructure | undefined,
): Promise<Result<TableState>> {
  const table = await tableOf(client, family);
  if (!table.ok) return table;
  if (table.value === undefined) return ok("missing");
  if (((table.value.flags ?? 0) & NFT_TABLE_DORMANT) !== 0) return ok("dormant");
  if (wanted === undefined) return ok("other");
  const version = await elementsOf(client, "version", "mark", family);
  if (!version.ok) return version;
  const [number] = version.value;
  if (number?.kind !== "mark" || number.mark !== wanted.version) return ok("other");
  const content = await contentOf(client, family);
  if (!content.ok) return content;
  return ok(content.value !== undefined && content.value === loaded.get(family) ? "right" : "other");
}

/** All that the text made, as one text; `undefined`: a set is missing. */
async function contentOf(client: Client, family: TableFamily): Promise<Result<string | undefined>> {
  const sets = await lookAt(
    client,
    "nft list sets",
    SETS_OF[family].map((set) => getNftSet(keyOfTable(family), set)),
    () => true,
    NETFILTER,
  );
  if (!sets.ok) return sets;
  if (sets.value.includes(undefined)) return ok(undefined);
  const rules = await client.dump("nft list table", dumpNftRules(keyOfTable(family)), bodyOf, NETFILTER);
  if (!rules.ok) return rules;
  if (family === "netdev") return ok(rules.value.join(" "));
  const request = dumpElements(nodeSet(family, "exempt"));
  const exempt = await client.dump("nft list set exempt", request, bodyOf, NETFILTER);
  return exempt.ok ? ok([...rules.value, ...exempt.value].join(" ")) : exempt;
}

/** Without `struct nfgenmsg`, which counts the changes of all tables. A rule that was replaced has another handle. */
function bodyOf(payload: Uint8Array): string {
  return Buffer.from(payload.subarray(NFGENMSG_BYTES)).toString("base64");
}

function keyOfTable(family: TableFamily): TableKey {
  return { family: NFT_PROTO[family], table: HYBRID_TABLE };
}

async function tableOf(
  client: Client,
  family: TableFamily,
): Promise<Result<{ readonly flags?: number } | undefined>> {
  const request = getNftTable(keyOfTable(family));
  const looked = await lookAt(
    client,
    "nft list tables",
    [request],
    ({ payload }) => decodeNftTable(payload),
    NETFILTER,
  );
  return looked.ok ? ok(looked.value[0]) : looked;
}

type Value = NonNullable<ReturnType<typeof decodeSetElements>["elements"][number]["key"][number]>;

/** The elements of a set; none where there is no set. */
export async function elementsOf(
  client: Client,
  set: "version" | "forwarding",
  type: NftType,
  family: TableFamily,
): Promise<Result<readonly Value[]>> {
  const decode = (payload: Uint8Array): readonly Value[] =>
    decodeSetElements(payload, { key: [type] }).elements.flatMap(({ key }) => key);
  const dumped = await client.dump(
    `nft list set ${set}`,
    dumpElements(nodeSet(family, set)),
    decode,
    NETFILTER,
  );
  if (dumped.ok) return ok(dumped.value.flat());
  return dumped.fault.kind === "kernel" && GONE.has(dumped.fault.errno) ? ok([]) : dumped;
}
