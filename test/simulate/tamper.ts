/**
 * An operator, or another program, takes away what is ours. What cannot be made whole for a pod marks its sandbox as
 * damaged: nothing is promised about it any more but that its DEL works.
 *
 * @module
 */
import { isIpv6 } from "../../proto/addr6.ts";
import { attachmentKey } from "../../proto/attachment.ts";
import { type Tampering } from "./operations.ts";
import { type World } from "./world.ts";

export function tamper(world: World, what: Tampering, which: number): void {
  const { kernel, cloud, promises } = world;
  switch (what) {
    case "eni": {
      const enis = ownEnis(world);
      const eni = enis[which % Math.max(1, enis.length)];
      if (eni === undefined) return;
      const all = [...eni.addresses, ...eni.ipv6Addresses];
      damage(world, all);
      for (const address of all) promises.taken.set(address, "gone");
      cloud.model.happen({ kind: "deleteEni", eni: eni.id }, cloud.nowMs());
      return;
    }
    case "address": {
      const pairs = ownEnis(world).flatMap(({ id, addresses, ipv6Addresses }) =>
        [...addresses.slice(1), ...ipv6Addresses].map((address) => ({ id, address })),
      );
      const pair = pickOf(pairs, which);
      if (pair === undefined) return;
      const { id, address } = pair;
      damage(world, [address]);
      promises.taken.set(address, "going");
      const [action, list] = isIpv6(address)
        ? (["UnassignIpv6Addresses", "Ipv6Address.1"] as const)
        : (["UnassignPrivateIpAddresses", "PrivateIpAddress.1"] as const);
      cloud.submit(action, { NetworkInterfaceId: id, [list]: address }, () => undefined);
      return;
    }
    case "link": {
      const link = pickOf([...kernel.tables.links.values()], which);
      if (link === undefined) return;
      damage(world, link.addresses);
      kernel.tamper({ kind: "link", hostName: link.hostName });
      return;
    }
    case "down":
    case "route": {
      const link = pickOf([...kernel.tables.links.values()], which);
      const [address] = link?.addresses ?? [];
      if (link === undefined || address === undefined) return;
      expectMended(world, [link.hostName]);
      kernel.tamper(what === "down" ? { kind: "down", hostName: link.hostName } : { kind: "route", address });
      return;
    }
    case "rule": {
      const slot = pickOf([...kernel.tables.eniRules], which);
      if (slot !== undefined) kernel.tamper({ kind: "eni-rule", slot });
      return;
    }
    case "pods-rule":
      kernel.tamper({ kind: "pods-rule" });
      return;
    case "table":
      expectMended(world, [...kernel.tables.links.keys()]);
      kernel.tamper({ kind: "table" });
      return;
    default:
      what satisfies never;
  }
}

function pickOf<Item>(items: readonly Item[], which: number): Item | undefined {
  return items[which % Math.max(1, items.length)];
}

/** An agent that serves all the while makes it again within this time. */
const MEND_MS = 5_000;

/** Of pods that run. A pod whose ADD is under way is made whole by the look at all pods, minutes later. */
function expectMended(world: World, hostNames: readonly string[]): void {
  const { runtime, kernel, node, scheduler, promises } = world;
  const life = node.serving()?.life;
  const failures = kernel.failing.ordered;
  for (const sandbox of runtime.sandboxes) {
    const former = kernel.tables.links.get(sandbox.hostName);
    if (former === undefined || !hostNames.includes(sandbox.hostName)) continue;
    const { index } = former;
    sandbox.tampered = true;
    sandbox.damaged ||= sandbox.mayBeUnknown;
    // What netlink failed to mend is mended by the look at all pods.
    const isWhole = sandbox.phase === "running" && kernel.isPassing(former);
    if (!isWhole || life === undefined || kernel.failing.count > 0) continue;
    scheduler.after(MEND_MS, () => {
      const link = kernel.tables.links.get(sandbox.hostName);
      const isSame = node.serving()?.life === life && kernel.failing.ordered === failures;
      if (!isSame || link?.index !== index || sandbox.damaged || sandbox.phase !== "running") return;
      if (!kernel.isPassing(link))
        promises.add(`promise 7: ${link.hostName} is not mended ${MEND_MS} ms after it was tampered with`);
    });
  }
}

function ownEnis({ cloud, foreign }: World) {
  return cloud.model
    .state(cloud.nowMs())
    .enis.filter(({ type, id, status }) => type === "Secondary" && !foreign.has(id) && status === "InUse");
}

/** Whoever has one of these addresses, also unused beside its IPv6 address, or may be about to be told of it. */
function damage({ runtime, kernel, store }: World, addresses: readonly string[]): void {
  const { leases } = store.rows();
  for (const sandbox of runtime.sandboxes) {
    const link = kernel.tables.links.get(sandbox.hostName);
    const lease = leases.get(attachmentKey(sandbox.attachment));
    const kept: readonly string[] = [...(link?.addresses ?? []), lease?.address ?? "", lease?.address6 ?? ""];
    if (link === undefined || kept.some((address) => addresses.includes(address))) sandbox.damaged = true;
  }
}
