/**
 * One pass over the hybrid network: a look at all of it, or only what another desired network changes in what the last look
 * has seen.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { type NftFacts, nftFamilies, NFT_FAMILIES, nftStructures } from "../../core/hybrid/nft-text.ts";
import { type Change, changesOf, type HybridPlan, planHybrid } from "../../core/hybrid/plan.ts";
import { redirects } from "../../core/hybrid/redirect-text.ts";
import { type HybridThing, type TableFamily } from "../../core/hybrid/things.ts";
import { type Client } from "../client.ts";
import { carryOut, type Failure } from "./change.ts";
import { mendDevices, type SeenDevices } from "./device.ts";
import { mendForwarding, restoreForwarding } from "./forwarding.ts";
import { type LoadedTables, mendTables } from "./nat.ts";
import { readThings } from "./read.ts";
import { type Tracking } from "./tracking.ts";

/** How a line of `mended` begins that is about a table of nftables. */
export const TABLE_MENDED = "nft table";

/** ARPHRD_ETHER of <linux/if_arp.h>. */
const ARPHRD_ETHER = 1;

export type PassPorts = {
  readonly client: Client;
  readonly nodeNetns: string | undefined;
  /** Whether somebody else was seen to have connections tracked. */
  readonly tracking: Tracking;
  /** What tables of ours held after they were loaded. */
  readonly loaded: LoadedTables;
};

/** What is known of the kernel, and what it was made for. */
export type Model = {
  readonly desired: HybridDesired;
  readonly devices: SeenDevices;
  /** Of the tables that are there. */
  readonly families: readonly TableFamily[];
  readonly plan: HybridPlan;
  /** Kept up to date by what is carried out. */
  readonly actual: Map<string, HybridThing>;
};

export type Pass = {
  readonly model: Model;
  readonly changes: readonly Change[];
  readonly failures: readonly Failure[];
  /** What was put right beside `changes`: devices, tables, settings. */
  readonly mended: readonly string[];
  readonly messages: number;
  /** The tables of nftables could not be made; all else was. */
  readonly fault?: Fault;
};

/** Asks the kernel for everything and puts right what is wrong. A fault: nothing can be said of the network as a whole. */
export async function look(ports: PassPorts, desired: HybridDesired): Promise<Result<Pass>> {
  const { client } = ports;
  const devices = await mendDevices(client, desired);
  if (!devices.ok) return devices;
  const wanted = nftFamilies(desired);
  const unwanted = NFT_FAMILIES.filter((family) => !wanted.includes(family));
  const restored = await restoreForwarding(client, unwanted);
  if (!restored.ok) return restored;
  const tables = await mendAllTables(ports, desired, devices.value);
  const families = tables.ok ? tables.value.families : [];
  const forwarding = tables.ok ? await mendForwarding(client, desired, devices.value) : tables;
  const fault = forwarding.ok ? {} : { fault: forwarding.fault };
  const actual = await readThings(client, devices.value, families);
  if (!actual.ok) return actual;
  const plan = withoutTables(planHybrid(desired, devices.value), families);
  const model = { desired, devices: devices.value, families, plan, actual: actual.value };
  const carried = await carryChanges(client, changesOf(plan.things, actual.value, desired.complete), model);
  if (!carried.ok) return carried;
  const loaded = (tables.ok ? tables.value.loaded : []).map((family) => `${TABLE_MENDED} ${family}`);
  const settings = forwarding.ok ? forwarding.value : [];
  return ok({ ...carried.value, ...fault, mended: [...devices.value.mended, ...loaded, ...settings] });
}

type Tables = { readonly families: readonly TableFamily[]; readonly loaded: readonly TableFamily[] };

/** Where packets cannot be redirected (a kernel before 5.16, an uplink without Ethernet), they are translated. */
async function mendAllTables(
  ports: PassPorts,
  desired: HybridDesired,
  devices: SeenDevices,
): Promise<Result<Tables>> {
  const tracked = await ports.tracking.look(ports.client);
  if (!tracked.ok) return tracked;
  const mend = async (facts: NftFacts): Promise<Result<Tables>> => {
    const structures = nftStructures(desired, facts);
    const loaded = await mendTables(ports, structures);
    return loaded.ok
      ? ok({ families: structures.map(({ family }) => family), loaded: loaded.value })
      : loaded;
  };
  const facts = { tracked: tracked.value };
  if (!redirects(desired) || devices.uplinkLink.deviceType !== ARPHRD_ETHER) return mend(facts);
  const { overlay, uplink } = devices;
  const redirected = await mend({
    ...facts,
    redirect: { uplink, ...(overlay !== undefined && { overlay }) },
  });
  return redirected.ok ? redirected : mend(facts);
}

/** What `desired` changes in what is known. Only for a network whose devices and tables stay as they are; see `isSmall`. */
export async function follow(
  { client }: PassPorts,
  known: Model,
  desired: HybridDesired,
): Promise<Result<Pass>> {
  const plan = withoutTables(planHybrid(desired, known.devices, known.plan), known.families);
  const model = { ...known, desired, plan };
  const carried = await carryChanges(client, changesOf(plan.things, known.actual, desired.complete), model);
  return carried.ok ? ok({ ...carried.value, mended: [] }) : carried;
}

/** Whether only peers differ. */
export function isSmall(known: HybridDesired, desired: HybridDesired): boolean {
  return frameOf(known) === frameOf(desired);
}

function frameOf({ uplink, blocks, overlay, sourceNat }: HybridDesired): string {
  return JSON.stringify([uplink, blocks, overlay, sourceNat.enabled, sourceNat.exempt]);
}

async function carryChanges(
  client: Client,
  changes: readonly Change[],
  model: Model,
): Promise<Result<Omit<Pass, "mended" | "fault">>> {
  const carried = await carryOut(client, changes, model.actual);
  return carried.ok ? ok({ model, changes, ...carried.value }) : failed(carried.fault);
}

/** Without tables their elements would all be refused. */
function withoutTables(plan: HybridPlan, families: readonly TableFamily[]): HybridPlan {
  const things = [...plan.things].filter(
    ([, thing]) => thing.kind !== "node-element" || families.includes(thing.family),
  );
  return things.length === plan.things.size ? plan : { ...plan, things: new Map(things) };
}
