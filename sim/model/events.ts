/**
 * What an operator can make happen at once.
 *
 * @module
 */
import * as z from "zod";
import { type EniId, eniId, instanceId, vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { changeEni, createEni, removeEni, setLink } from "./eni.ts";
import { availableCount } from "./pool.ts";
import { expireSessions } from "./role-credentials.ts";
import { type InstanceSpec } from "./topology.ts";
import { type World } from "./world.ts";

const text = z.string().min(1).max(200);

/** An event as the operator sends it (`POST /_sim/faults`). */
export const eventSchema = z.discriminatedUnion("kind", [
  /** The ENI is gone, with device and addresses, as if somebody else had deleted it. */
  z.strictObject({ kind: z.literal("deleteEni"), eni: text.transform(eniId) }),
  /** Somebody else has an ENI in the instance (InUse), or beside it (Available). */
  z.strictObject({
    kind: z.literal("foreignEni"),
    vSwitch: text.transform(vSwitchId),
    instance: text.transform(instanceId).optional(),
    serviceManaged: z.boolean().default(true),
    tags: z.array(z.strictObject({ key: text, value: z.string().max(200) })).default([]),
  }),
  /** The cloud's clock is ahead by so much (behind where negative); 0 puts it right. */
  z.strictObject({ kind: z.literal("clockSkew"), skewMs: z.number().int() }),
  /** The temporary credentials that were given out are expired. */
  z.strictObject({ kind: z.literal("stsExpiry") }),
  /** The tokens of the metadata service are expired. */
  z.strictObject({ kind: z.literal("metadataTokenExpiry") }),
]);

export type SimEvent = z.output<typeof eventSchema>;
/** As written by people: defaults may be left out. */
export type SimEventInput = z.input<typeof eventSchema>;

/** Carries an event out. The failure is a sentence for people. */
export function applyEvent(world: World, event: SimEvent): Result<{ readonly eni?: EniId }, string> {
  switch (event.kind) {
    case "deleteEni":
      if (!world.enis.has(event.eni)) return failed(`there is no ENI ${event.eni}`);
      removeEni(world, event.eni);
      return ok({ eni: event.eni });
    case "foreignEni":
      return addForeignEni(world, event);
    case "clockSkew":
      world.clockSkewMs = event.skewMs;
      return ok({});
    case "stsExpiry":
      expireSessions(world);
      return ok({});
    case "metadataTokenExpiry":
      world.metadataTokens.clear();
      return ok({});
    default:
      return event satisfies never;
  }
}

function addForeignEni(
  world: World,
  event: Extract<SimEvent, { kind: "foreignEni" }>,
): Result<{ readonly eni?: EniId }, string> {
  const pool = world.pools.get(event.vSwitch);
  const instance = event.instance === undefined ? undefined : world.instances.get(event.instance);
  if (pool === undefined) return failed(`there is no vSwitch ${event.vSwitch}`);
  if (event.instance !== undefined && instance === undefined)
    return failed(`there is no instance ${event.instance}`);
  if (instance !== undefined && instance.zone !== pool.spec.zone) {
    return failed(`${event.vSwitch} is in ${pool.spec.zone}, ${instance.id} in ${instance.zone}`);
  }
  if (availableCount(pool) === 0) return failed(`${event.vSwitch} has no free address`);
  const { id } = createEni(world, {
    vSwitch: pool.spec,
    type: "Secondary",
    serviceManaged: event.serviceManaged,
    name: "foreign",
    description: "not made by the caller of the API",
    securityGroups: foreignGroups(world, instance),
    tags: event.tags,
    sourceDestCheck: false,
    deleteOnRelease: true,
    resourceGroupId: "",
    primary: undefined,
    secondaryCount: 0,
    ipv6: { count: 0, named: [] },
  });
  if (instance !== undefined) {
    changeEni(world, id, { status: "InUse", instance: instance.id });
    setLink(world, id, true);
  }
  return ok({ eni: id });
}

function foreignGroups(world: World, instance: InstanceSpec | undefined): InstanceSpec["securityGroups"] {
  return instance?.securityGroups ?? [...world.securityGroups].slice(0, 1);
}
