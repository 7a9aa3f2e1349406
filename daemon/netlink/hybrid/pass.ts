/**
 * One pass over the hybrid network: a look at all of it, or only what another desired network changes in what the last look
 * has seen.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { NFT_FAMILIES, nftStructures } from "../../core/hybrid/nft-text.ts";
import { type Change, changesOf, type HybridPlan, planHybrid } from "../../core/hybrid/plan.ts";
import { type HybridThing, type NftFamily } from "../../core/hybrid/things.ts";
import { type Client } from "../client.ts";
import { carryOut, type Failure } from "./change.ts";
import { mendDevices, type SeenDevices } from "./device.ts";
import { mendForwarding, restoreForwarding } from "./forwarding.ts";
import { mendTables } from "./nat.ts";
import { readThings } from "./read.ts";

export type PassPorts = { readonly client: Client; readonly nodeNetns: string | undefined };

/** What is known of the kernel, and what it was made for. */
export type Model = {
  readonly desired: HybridDesired;
  readonly devices: SeenDevices;
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
export async function look({ client, nodeNetns }: PassPorts, desired: HybridDesired): Promise<Result<Pass>> {
  const devices = await mendDevices(client, desired);
  if (!devices.ok) return devices;
  const structures = nftStructures(desired);
  const unwanted = NFT_FAMILIES.filter((family) => !structures.some((one) => one.family === family));
  const restored = await restoreForwarding(client, unwanted);
  if (!restored.ok) return restored;
  const tables = await mendTables(client, nodeNetns, structures);
  const families = tables.ok ? structures.map(({ family }) => family) : [];
  const forwarding = tables.ok ? await mendForwarding(client, desired, devices.value) : tables;
  const fault = forwarding.ok ? {} : { fault: forwarding.fault };
  const actual = await readThings(client, devices.value, families);
  if (!actual.ok) return actual;
  const plan = withoutTables(planHybrid(desired, devices.value), families);
  const model = { desired, devices: devices.value, plan, actual: actual.value };
  const carried = await carryChanges(client, changesOf(plan.things, actual.value, desired.complete), model);
  if (!carried.ok) return carried;
  const loaded = (tables.ok ? tables.value : []).map((family) => `nft table ${family}`);
  const settings = forwarding.ok ? forwarding.value : [];
  return ok({ ...carried.value, ...fault, mended: [...devices.value.mended, ...loaded, ...settings] });
}

/** What `desired` changes in what is known. Only for a network whose devices and tables stay as they are; see `isSmall`. */
export async function follow(
  { client }: PassPorts,
  known: Model,
  desired: HybridDesired,
): Promise<Result<Pass>> {
  const plan = planHybrid(desired, known.devices, known.plan);
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
function withoutTables(plan: HybridPlan, families: readonly NftFamily[]): HybridPlan {
  const things = [...plan.things].filter(
    ([, thing]) => thing.kind !== "node-element" || families.includes(thing.family),
  );
  return things.length === plan.things.size ? plan : { ...plan, things: new Map(things) };
}
