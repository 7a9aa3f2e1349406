/**
 * For tests: what a node has done wrong, or left undone, once nothing goes wrong any more.
 *
 * @module
 */
import { type VSwitchId } from "../../../proto/ids.ts";
import { wantsPairs } from "../ip-stack.ts";
import { type FakeCloud } from "./fake-cloud.ts";
import { type FakeNode } from "./fake-node.ts";
import { type Eni, type Pool } from "./model.ts";
import { countOf, idleTotal, incompleteOf, limitOf, sizeOf } from "./pairs.ts";

/** Replies that were lost are followed by the same token; tokens that were answered are not used again. */
export function tokenOffences(node: FakeNode): string[] {
  const params = new Map<string, string>();
  return node.calls.flatMap((call) => {
    if (call.kind !== "create-eni" && call.kind !== "assign") return [];
    const token = call.kind === "assign" ? call.token : call.request.token;
    const text =
      call.kind === "assign" ? `${call.eni} ${call.family} ${call.count}` : JSON.stringify(call.request);
    const known = params.get(token);
    params.set(token, text);
    return known === undefined || known === text ? [] : [`${token} is used for two things`];
  });
}

/** Too many idle, too few although more can be had, or idle ones that nobody can use. */
export function idleOffences(node: FakeNode, cloud: FakeCloud): string[] {
  const { pool } = node;
  const { idleMin, idleMax } = pool.settings;
  const idle = idleTotal(pool);
  let idlePrimaries = 0;
  let canGrow =
    pool.enis.size < pool.limits.enisMax && cloud.vpc.vSwitches.some((id) => freeOf(cloud, id) > 0);
  for (const eni of pool.enis.values()) {
    const { facts, addresses } = eni;
    const isPrimaryIdle = facts !== undefined && addresses.get(facts.primary)?.kind === "idle";
    if (isPrimaryIdle && countOf(eni, "used", "ipv4") > 0) idlePrimaries += 1;
    canGrow ||= canTakeMore(pool, eni, freeOf(cloud, eni.vSwitch));
  }
  return [
    ...(idle > Math.max(idleMax, idlePrimaries) ? [`${idle} idle, at most ${idleMax} wanted`] : []),
    ...(idle < idleMin && canGrow ? [`${idle} idle, at least ${idleMin} wanted`] : []),
    ...(idle < idleMin ? [] : [...pool.enis.values()].flatMap((eni) => oddOffences(pool, eni))),
    ...[...pool.enis.values()].flatMap(({ slot, unassigning }) =>
      unassigning === undefined ? [] : [`addresses of slot ${slot} are being given back without end`],
    ),
  ];
}

function canTakeMore({ settings, limits }: Pool, eni: Eni, free: number): boolean {
  const canTake4 = sizeOf(eni, "ipv4") < limits.addressesPerEni && free > 0;
  if (!wantsPairs(settings.ipStack)) return canTake4;
  const has4 = canTake4 || incompleteOf(eni) > 0;
  return has4 && (sizeOf(eni, "ipv6") < limitOf(limits, "ipv6") || incompleteOf(eni) < 0);
}

/** Idle addresses of one family without those of the other to go with: given back, but for primary ones. */
function oddOffences({ settings }: Pool, eni: Eni): string[] {
  const odd = wantsPairs(settings.ipStack) ? incompleteOf(eni) : -countOf(eni, "idle", "ipv6");
  const isPrimaryIdle = eni.facts !== undefined && eni.addresses.get(eni.facts.primary)?.kind === "idle";
  if (odd > (isPrimaryIdle ? 1 : 0)) return [`${odd} idle IPv4 addresses of slot ${eni.slot} are incomplete`];
  return odd < 0 ? [`${-odd} IPv6 addresses of slot ${eni.slot} are of no use`] : [];
}

function freeOf(cloud: FakeCloud, id: VSwitchId): number {
  return cloud.vpc.free.get(id)?.length ?? 0;
}
