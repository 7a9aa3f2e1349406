/**
 * What is left over, missing or waiting, where nothing has gone wrong for a while: empty once everything has settled.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { type Pool } from "../../daemon/core/pool/model.ts";
import { countOf, idleTotal, podsPerEni, sizeOf } from "../../daemon/core/pool/pairs.ts";
import { type CloudState } from "../../sim/model/state.ts";
import { type Tables } from "./kernel-tables.ts";
import { type Sandbox } from "./runtime.ts";
import { unknownAttachment } from "../../daemon/core/rebuild/rebuild.ts";
import { type World } from "./world.ts";

export function unsettled(world: World): readonly string[] {
  const { cloud, spool, runtime, node } = world;
  const pool = node.pool();
  const waiting = [...runtime.sandboxes].flatMap(({ phase, attachment }) =>
    phase === "running" ? [] : [`${attachmentKey(attachment)} is ${phase}`],
  );
  const kept = spool.kept() > 0 ? [`${spool.kept()} DELs are in the spool`] : [];
  if (pool === undefined || node.serving() === undefined) return [...waiting, ...kept, "no agent serves"];
  const state = cloud.model.state(cloud.nowMs());
  const broken = state.broken.map(({ invariant, detail }) => `${invariant}: ${detail}`);
  return [
    ...waiting,
    ...kept,
    ...broken,
    ...cloudDifferences(world, pool, state),
    ...nodeDifferences(world, pool),
    ...idleDifferences(pool, state),
  ];
}

/** Every ENI and address of ours in the cloud is known, and the other way round. */
function cloudDifferences({ foreign }: World, pool: Pool, { enis }: CloudState): readonly string[] {
  const ours = enis.filter(({ type, id }) => type === "Secondary" && !foreign.has(id));
  const known = new Map([...pool.enis.values()].map((eni) => [eni.facts?.id, eni]));
  const there = new Set(ours.map(({ id }) => id));
  return [
    ...[...foreign].flatMap((id) =>
      enis.some((eni) => eni.id === id) ? [] : [`the foreign ENI ${id} was deleted`],
    ),
    ...[...pool.enis.values()].flatMap(({ slot, facts, state }) => {
      if (state.kind !== "ready") return [`the ENI in slot ${slot} is ${state.kind}`];
      return facts !== undefined && there.has(facts.id) ? [] : [`slot ${slot} has an ENI that is gone`];
    }),
    ...ours.flatMap(({ id, status, addresses, ipv6Addresses }) => {
      const eni = known.get(id);
      if (eni === undefined) return [`leak: the ENI ${id} (${status}) is in the cloud, and nobody knows it`];
      if (status !== "InUse") return [`${id} is ${status}`];
      const held = [...eni.addresses.keys()].map(String).sort().join();
      const real = [...addresses, ...ipv6Addresses].map(String).sort().join();
      return held === real ? [] : [`leak: ${id} has ${real}, the pool knows ${held}`];
    }),
  ];
}

/** Store and kernel have what pods that run have, and no more. */
function nodeDifferences({ runtime, store, kernel }: World, pool: Pool): readonly string[] {
  const rows = store.rows();
  const { tables } = kernel;
  const running = [...runtime.sandboxes].filter(({ phase }) => phase === "running");
  const names = new Set(running.map(({ hostName }) => hostName));
  const keyOf = ({ attachment, hostName, mayBeUnknown }: Sandbox): string => {
    const key = attachmentKey(attachment);
    return mayBeUnknown && !rows.leases.has(key) ? attachmentKey(unknownAttachment(hostName)) : key;
  };
  const keys = new Set(running.map(keyOf));
  return [
    ...[...tables.links.keys()].flatMap((name) => (names.has(name) ? [] : [`leak: link ${name}`])),
    ...[...names].flatMap((name) => {
      const link = tables.links.get(name);
      return link !== undefined && kernel.isPassing(link) ? [] : [`link ${name} is gone`];
    }),
    ...leftovers(tables),
    ...[...rows.leases.keys()].flatMap((key) => (keys.has(key) ? [] : [`leak: lease of ${key}`])),
    ...[...keys].flatMap((key) => (rows.leases.has(key) ? [] : [`the lease of ${key} is gone`])),
    ...[...rows.enis.keys()].flatMap((slot) => (pool.enis.has(slot) ? [] : [`leak: record of slot ${slot}`])),
    ...[...tables.eniRoutes.keys()].flatMap((slot) =>
      pool.enis.has(slot) ? [] : [`leak: routes of slot ${slot}`],
    ),
    // The chain of an ENI that never came is empty; a lost database forgets it until the slot has another one.
    ...[...tables.eniRules].flatMap((slot) =>
      pool.enis.has(slot) || isLedTo(tables, slot) ? [] : [`leak: rule of slot ${slot}`],
    ),
    ...[...pool.enis.keys()].flatMap((slot) =>
      tables.eniRules.has(slot) && tables.eniRoutes.has(slot) ? [] : [`slot ${slot} has no rule or route`],
    ),
    // One that is free is remembered for the ENI that may still come, and holds nothing.
    ...[...pool.unplaced].flatMap(([address, { state }]) =>
      state.kind === "idle" ? [] : [`${address} has no ENI`],
    ),
  ];
}

/** By an element that is allowed to be left. */
function isLedTo({ elements, torn }: Tables, slot: number): boolean {
  return [...elements.values()].some((element) => element.slot === slot && torn.has(element.index));
}

/** Elements of a link that an operator deleted stay until the agent's next start, where its pod was made again meanwhile. */
function leftovers({ links, elements, torn }: Tables): readonly string[] {
  const indexes = new Set(links.values().map(({ index }) => index));
  return [...elements.values()].flatMap(({ index, address }) =>
    indexes.has(index) || torn.has(index) ? [] : [`leak: an element of ${address}`],
  );
}

/** Idle addresses between the bounds, as far as the cloud has some. */
function idleDifferences(pool: Pool, state: CloudState): readonly string[] {
  const { idleMin, idleMax } = pool.settings;
  const idle = idleTotal(pool);
  let idlePrimaries = 0;
  const free = (id: string): number => state.vSwitches.find((vSwitch) => vSwitch.id === id)?.available ?? 0;
  let canGrow =
    pool.enis.size + pool.foreign < pool.limits.enisMax &&
    pool.vSwitches.some(({ view }) => free(view.id) > 0);
  for (const eni of pool.enis.values()) {
    const { facts, addresses } = eni;
    const isPrimaryIdle = facts !== undefined && addresses.get(facts.primary)?.kind === "idle";
    if (isPrimaryIdle && countOf(eni, "used", "ipv4") > 0) idlePrimaries += 1;
    canGrow ||= sizeOf(eni, "ipv4") < podsPerEni(pool) && free(eni.vSwitch) > 0;
    if ([...addresses.values()].some(({ kind }) => kind === "cooling" || kind === "unassigning"))
      return [`addresses of slot ${eni.slot} are on their way`];
  }
  return [
    ...(idle > Math.max(idleMax, idlePrimaries) ? [`promise 6: ${idle} idle, ${idleMax} at most`] : []),
    ...(idle < idleMin && canGrow ? [`promise 6: ${idle} idle, ${idleMin} at least`] : []),
  ];
}
