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
import { HYBRID_TABLE, type TableFamily } from "../../core/hybrid/things.ts";
import { type Client, GONE } from "../client.ts";
import { decodeNftCounter, getNftCounter } from "../codec/nft-counter.ts";
import { decodeSetElements, dumpElements } from "../codec/nft-element.ts";
import {
  decodeNftRule,
  decodeNftTable,
  dumpNftRules,
  getNftTable,
  NFT_TABLE_DORMANT,
  type TableKey,
} from "../codec/nft-structure.ts";
import { type NftType } from "../codec/nft-value.ts";
import { lookAt } from "../look.ts";
import { runNft } from "../nft.ts";
import { NFT_PROTO, nodeSet } from "./encode.ts";

const NETFILTER = { family: "netfilter" } as const;

/** Loads what is missing or other than wanted, and removes the table of a family that is not wanted. Which were loaded. */
export async function mendTables(
  client: Client,
  nodeNetns: string | undefined,
  wanted: readonly NftStructure[],
): Promise<Result<readonly TableFamily[]>> {
  const loaded: TableFamily[] = [];
  for (const family of TABLE_FAMILIES) {
    const structure = wanted.find((one) => one.family === family);
    const state = await tableState(client, family, structure);
    if (!state.ok) return state;
    const text = structure === undefined ? nftRemovalText(family) : structure.text;
    const isRight = structure === undefined ? state.value === "missing" : state.value === "right";
    if (isRight) continue;
    // A dormant table is woken only by being made anew.
    const whole = state.value === "dormant" ? `${nftRemovalText(family)}${text}` : text;
    const done = await runNft(whole, nodeNetns);
    if (!done.ok) return done;
    if (structure !== undefined) loaded.push(family);
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
  client: Client,
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
  const rules = await client.dump(
    "nft list table",
    dumpNftRules(keyOfTable(family)),
    decodeNftRule,
    NETFILTER,
  );
  if (!rules.ok) return rules;
  const right = Object.entries(wanted.rules).every(
    ([chain, count]) =>
      rules.value.filter((rule) => rule.table === HYBRID_TABLE && rule.chain === chain).length >= count,
  );
  return ok(right ? "right" : "other");
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
