/**
 * How what all pods share differs from what `prepareHost` and `configureEni` made. What is asked for grows with the ENIs,
 * not with the pods.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import {
  eniRule,
  familiesOf,
  type GatewayMacs,
  type HostFacts,
  planEniLink,
  planEniRoutes,
  planHost,
} from "../core/datapath/host-plan.ts";
import { type Plan } from "../core/datapath/thing.ts";
import { type EniLink } from "../core/kernel.ts";
import { nftLines } from "./check-nft.ts";
import { type Client } from "./client.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { decodeNeighbour, getNeighbour } from "./codec/neighbour.ts";
import { differences } from "./differ.ts";
import { forwardingRefusal } from "./ipv6.ts";
import { lookAt } from "./look.ts";
import { factsNow } from "./node-facts.ts";

/** See `Kernel.checkNode`. */
export async function checkNode(
  client: Client,
  kernel: HostFacts,
  enis: readonly EniLink[],
): Promise<Result<readonly string[]>> {
  const facts = await factsNow(client, kernel);
  if (!facts.ok) return facts;
  const host = facts.value;
  const [links, ...tables] = await Promise.all([
    lookAt(
      client,
      "ip link show",
      enis.map(({ ifIndex }) => getLink({ index: ifIndex })),
      ({ payload }) => decodeLink(payload),
    ),
    ...familiesOf(host).map((family) => nftLines(client, family, host, enis)),
  ]);
  if (!links.ok) return links;
  const macs = await Promise.all(enis.map((eni) => gatewayMacs(client, eni)));
  const parts: Part[] = [];
  for (const [at, eni] of enis.entries()) {
    const known = macs[at] ?? ok({});
    if (!known.ok) return known;
    parts.push(partOf(eni, links.value[at], host, known.value));
  }
  const known = links.value.flatMap((link) => (link === undefined ? [] : [{ place: "node", link } as const]));
  const plans = [planHost(host), ...parts.map(({ plan }) => plan)];
  const found = await differences(client, plans.flat(), undefined, known);
  if (!found.ok) return found;
  const linesOf = (plan: Plan): readonly string[] =>
    found.value.filter(({ thing }) => plan.includes(thing)).map(({ line }) => line);
  const [shared = [], ...each] = plans.map(linesOf);
  const refusal = enis.some(({ v6 }) => v6 !== undefined) ? forwardingRefusal() : undefined;
  const nft: string[] = [];
  for (const table of tables) {
    if (!table.ok) return table;
    nft.push(...table.value);
  }
  return ok([
    ...shared,
    ...nft,
    ...each.flatMap((lines, at) => [...(parts[at]?.lines ?? []), ...lines]),
    ...(refusal === undefined ? [] : [refusal]),
  ]);
}

/** Which MACs its gateways have is known to the neighbours alone: that they are there, and permanent, is what is looked at. */
export async function gatewayMacs(
  client: Client,
  { ifIndex, gateway, v6 }: EniLink,
): Promise<Result<GatewayMacs>> {
  const found = await lookAt(
    client,
    `ip neighbour get ${gateway}`,
    [gateway, ...(v6 === undefined ? [] : [v6.gateway])].map((dst) => getNeighbour({ index: ifIndex, dst })),
    ({ payload }) => decodeNeighbour(payload),
  );
  if (!found.ok) return found;
  const [first, second] = found.value.map((neighbour) => neighbour?.lladdr);
  return ok({ ...(first !== undefined && { v4: first }), ...(second !== undefined && { v6: second }) });
}

/** What can be looked at of an ENI; `lines` where its device is not there. */
type Part = { readonly plan: Plan; readonly lines: readonly string[] };

function partOf(eni: EniLink, link: Link | undefined, host: HostFacts, macs: GatewayMacs): Part {
  const { slot, ifIndex, mac } = eni;
  if (link === undefined || link.address !== mac)
    return {
      plan: (eni.v6 === undefined ? ["ip" as const] : familiesOf(host)).map((family) =>
        eniRule(slot, family),
      ),
      lines: [`device ${ifIndex} with the MAC ${mac} of the ENI of slot ${slot} is missing`],
    };
  const device = { name: link.name ?? String(ifIndex), ifIndex };
  return { plan: [...planEniLink(eni, device, host), ...planEniRoutes(eni, device, macs, host)], lines: [] };
}
