/**
 * For tests: a node whose calls of one kind go wrong as listed.
 *
 * @module
 */
import { vSwitchId } from "../../../proto/ids.ts";
import { type FailureClass } from "../cloud.ts";
import {
  type CloudCall,
  fakeCloud,
  type FakeCloud,
  type FakeCloudOptions,
  type Trouble,
} from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";
import { type Limits, type PoolSettings } from "./model.ts";

/** The only vSwitch, of 1,000 addresses. */
export const A = vSwitchId("vsw-a");

/** The call has its effect, its reply is lost. */
export const LOST = { kind: "lose", applied: true } as const;
/** Neither the one nor the other. */
export const NEVER_SENT = { kind: "lose", applied: false } as const;

/** A node whose calls of `kind` go wrong as listed, in order, and succeed after that. */
export function nodeWith(
  kind: CloudCall["kind"],
  troubles: readonly (Trouble | undefined)[],
  more: {
    readonly settings?: Partial<PoolSettings>;
    readonly limits?: Limits;
    readonly cloud?: Partial<FakeCloudOptions>;
  } = {},
): { readonly node: FakeNode; readonly cloud: FakeCloud } {
  let calls = 0;
  const cloud = fakeCloud({
    enisMax: 3,
    addressesPerEni: 15,
    vSwitches: [{ id: A, size: 1_000 }],
    trouble: (call) => (call.kind === kind ? troubles[calls++] : undefined),
    ...more.cloud,
  });
  const node = fakeNode({
    cloud,
    ...(more.settings === undefined ? {} : { settings: more.settings }),
    ...(more.limits === undefined ? {} : { limits: more.limits }),
  });
  node.run(1_000);
  return { node, cloud };
}

/** Refused with this class. */
export function refuse(failure: FailureClass): Trouble {
  return { kind: "refuse", class: failure };
}

/** The calls after the first `from`, the survey. */
export function kinds(node: FakeNode, from = 1): string[] {
  return node.calls.slice(from).map(({ kind }) => kind);
}

/** The tokens of all calls that carry one. */
export function tokens(node: FakeNode): string[] {
  return node.calls.flatMap((call) => {
    if (call.kind === "create-eni") return [call.request.token];
    return call.kind === "assign" ? [call.token] : [];
  });
}

/** What was done wrong, and what is in the cloud that the pool does not know, or the other way round. */
export function mistakes(node: FakeNode, cloud: FakeCloud): string[] {
  const known = new Set<string>(node.pool.enis.values().map(({ facts }) => facts?.id ?? "being created"));
  const there = new Set<string>(cloud.vpc.enis.keys());
  const odd = [...known, ...there]
    .filter((id) => !known.has(id) || !there.has(id))
    .map((id) => `${id} is known or there, not both`);
  return [...node.offences, ...cloud.offences, ...odd];
}
