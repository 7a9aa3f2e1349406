/**
 * An operator, or another program, takes away what is ours. What cannot be made whole for a pod marks its sandbox as
 * damaged: nothing is promised about it any more but that its DEL works.
 *
 * @module
 */
import { type Tampering } from "./operations.ts";
import { type World } from "./world.ts";

export function tamper(world: World, what: Tampering, which: number): void {
  const { kernel, cloud, promises } = world;
  switch (what) {
    case "eni": {
      const enis = ownEnis(world);
      const eni = enis[which % Math.max(1, enis.length)];
      if (eni === undefined) return;
      damage(world, eni.addresses);
      for (const address of eni.addresses) promises.taken.set(address, "gone");
      cloud.model.happen({ kind: "deleteEni", eni: eni.id }, cloud.nowMs());
      return;
    }
    case "address": {
      const pairs = ownEnis(world).flatMap(({ id, addresses }) =>
        addresses.slice(1).map((address) => ({ id, address })),
      );
      const pair = pairs[which % Math.max(1, pairs.length)];
      if (pair === undefined) return;
      damage(world, [pair.address]);
      promises.taken.set(pair.address, "going");
      const parameters = { NetworkInterfaceId: pair.id, "PrivateIpAddress.1": pair.address };
      cloud.submit("UnassignPrivateIpAddresses", parameters, () => undefined);
      return;
    }
    case "link":
    case "route": {
      const links = [...kernel.tables.links.values()];
      const link = links[which % Math.max(1, links.length)];
      const [address] = link?.addresses ?? [];
      if (link === undefined || address === undefined) return;
      damage(world, link.addresses);
      kernel.tamper(what === "link" ? { kind: "link", hostName: link.hostName } : { kind: "route", address });
      return;
    }
    case "rule": {
      const slots = [...kernel.tables.eniRules];
      const slot = slots[which % Math.max(1, slots.length)];
      if (slot !== undefined) kernel.tamper({ kind: "eni-rule", slot });
      return;
    }
    default:
      what satisfies never;
  }
}

function ownEnis({ cloud, foreign }: World) {
  return cloud.model
    .state(cloud.nowMs())
    .enis.filter(({ type, id, status }) => type === "Secondary" && !foreign.has(id) && status === "InUse");
}

/** Whoever has one of these addresses, or may be about to be told of it. */
function damage({ runtime, kernel }: World, addresses: readonly string[]): void {
  for (const sandbox of runtime.sandboxes) {
    const link = kernel.tables.links.get(sandbox.hostName);
    if (link === undefined || link.addresses.some((address) => addresses.includes(address)))
      sandbox.damaged = true;
  }
}
