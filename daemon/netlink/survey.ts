/**
 * What the kernel has of pods and ENIs, whoever knows of them: for an agent whose database was lost.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { type IpAddress, parseIp } from "../../proto/addr6.ts";
import { ok, type Result } from "../../proto/result.ts";
import { familiesOf, type HostFacts } from "../core/datapath/host-plan.ts";
import {
  eniChain,
  eniTable,
  GROUP,
  POD_ALIAS,
  PROTOCOL,
  slaveName,
  SLOT_MAX,
} from "../core/datapath/layout.ts";
import { type KernelView, type PodTraces } from "../core/rebuild/rebuild.ts";
import { elementsOf, formerElements } from "./elements.ts";
import { type Client } from "./client.ts";
import { dumpLinks, dumpNeighbours, dumpRoutes, dumpRules } from "./codec/dump.ts";
import { AF } from "./codec/ip.ts";
import { decodeLinkLabel, type LinkLabel } from "./codec/link.ts";
import { decodeNeighbour, type Neighbour } from "./codec/neighbour.ts";
import { decodeRoute } from "./codec/route.ts";
import { decodeRule } from "./codec/rule.ts";
import { podRoutes } from "./pods.ts";

/** Changes nothing. Links that are doomed are of pods whose DEL was carried out, and are not in it. */
export async function surveyNode(client: Client, host: HostFacts): Promise<Result<KernelView>> {
  const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
  if (!links.ok) return links;
  const routes = await podRoutes(client, host);
  if (!routes.ok) return routes;
  const neighbours = await client.dump(
    "ip neighbour show",
    dumpNeighbours({ family: AF.UNSPEC }),
    decodeNeighbour,
  );
  if (!neighbours.ok) return neighbours;
  const rules = await client.dump("ip rule show", dumpRules({ family: AF.INET }), decodeRule);
  if (!rules.ok) return rules;
  const slots = await slotsOfAddresses(client, host);
  if (!slots.ok) return slots;
  const enis = await enisOf(client, links.value);
  if (!enis.ok) return enis;
  const ours = neighbours.value.filter(({ protocol }) => protocol === PROTOCOL);
  const pods = links.value
    .filter(({ group, info }) => group === GROUP.pods && info?.kind === "veth")
    .map((link) => {
      const routed = routes.value.filter(({ ifIndex }) => ifIndex === link.index);
      return podOf(link, {
        routed: routed.map(({ address }) => address),
        neighbours: ours,
        slots: slots.value,
      });
    });
  const wasUsed = rules.value.some(({ protocol }) => protocol === PROTOCOL);
  const nodeSlaves = new Map(Array.from({ length: SLOT_MAX + 1 }, (_, slot) => [slaveName(slot), slot]));
  const slaves = routes.value.flatMap(({ hostName, address }) => {
    const slot = nodeSlaves.get(hostName);
    return slot === undefined ? [] : [{ hostName, slot, address }];
  });
  return ok({ pods, slaves, enis: enis.value, wasUsed });
}

type Hanging = {
  readonly routed: readonly IpAddress[];
  readonly neighbours: readonly Neighbour[];
  readonly slots: ReadonlyMap<IpAddress, number>;
};

function podOf(link: LinkLabel, { routed, neighbours, slots }: Hanging): PodTraces {
  const alias = link.alias ?? "";
  const named = alias.startsWith(POD_ALIAS) ? alias.slice(POD_ALIAS.length).split(",") : [];
  const addresses = [...new Set([...routed, ...named.flatMap((text) => parseIp(text) ?? [])])];
  const slot = addresses.map((address) => slots.get(address)).find((found) => found !== undefined);
  const podMac = neighbours.find(({ index }) => index === link.index)?.lladdr;
  return {
    hostName: link.name ?? String(link.index),
    ...(link.address !== undefined && { hostMac: link.address }),
    addresses,
    ...(podMac !== undefined && { podMac }),
    ...(slot !== undefined && { slot }),
  };
}

/** By the nftables maps: which ENI's mark packets with this source get. */
async function slotsOfAddresses(
  client: Client,
  host: HostFacts,
): Promise<Result<ReadonlyMap<IpAddress, number>>> {
  const chains = new Map(Array.from({ length: SLOT_MAX + 1 }, (_, slot) => [eniChain(slot), slot]));
  const slots = new Map<IpAddress, number>();
  for (const family of familiesOf(host)) {
    const found = await elementsOf(client, family);
    if (!found.ok) return found;
    const former = await formerElements(client, family);
    if (!former.ok) return former;
    const current = found.value.map(({ key, chain }) => ({ address: key, chain }));
    for (const { address, chain } of [...former.value, ...current]) {
      const slot = chain === undefined ? undefined : chains.get(chain);
      if (slot !== undefined) slots.set(address, slot);
    }
  }
  return ok(slots);
}

/** Of devices that serve pods, or have. */
async function enisOf(client: Client, links: readonly LinkLabel[]): Promise<Result<KernelView["enis"]>> {
  const routes = await client.dump("ip route show", dumpRoutes({ family: AF.INET }), decodeRoute);
  if (!routes.ok) return routes;
  const macs = new Map<number, Mac>(
    links.flatMap(({ index, address, group }) =>
      address === undefined || group !== GROUP.enis ? [] : [[index, address] as const],
    ),
  );
  const slots = new Map(Array.from({ length: SLOT_MAX + 1 }, (_, slot) => [eniTable(slot), slot]));
  return ok(
    routes.value.flatMap(({ table, oif, protocol, dst }) => {
      const slot = slots.get(table);
      const mac = oif === undefined ? undefined : macs.get(oif);
      const isDefault = dst === undefined;
      return slot === undefined || mac === undefined || !isDefault || protocol !== PROTOCOL
        ? []
        : [{ slot, mac }];
    }),
  );
}
