/**
 * Removing everything of ours that no pod uses: what an uninstallation does after the last pod, and what is left of pods
 * whose set-up or removal was cut short.
 *
 * @module
 */
import { networkOf } from "../../proto/cidr6.ts";
import { parseIp } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { familiesOf, nftCleanText, NO_MAC, planEniForget } from "../core/datapath/host-plan.ts";
import {
  eniChain,
  eniTable,
  GROUP,
  type NftFamily,
  PROTOCOL,
  SLOT_MAX,
  slaveName,
} from "../core/datapath/layout.ts";
import { type Device, type ElementThing, type Plan, type Thing } from "../core/datapath/thing.ts";
import { type Kernel } from "../core/kernel.ts";
import { limitedIndex } from "../core/datapath/traffic.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { type Client } from "./client.ts";
import { dumpLinks, dumpNeighbours, dumpRoutes, dumpRules } from "./codec/dump.ts";
import { AF } from "./codec/ip.ts";
import { decodeLinkLabel, deleteLink, type LinkLabel } from "./codec/link.ts";
import { decodeNeighbour } from "./codec/neighbour.ts";
import { decodeRoute } from "./codec/route.ts";
import { decodeRule } from "./codec/rule.ts";
import { elementsOf, formerElements } from "./elements.ts";
import { type EniPorts } from "./eni.ts";
import { type IpvlanUse } from "./ipvlan-node.ts";
import { runNft } from "./nft.ts";
import { type PodRoute, podRoutes } from "./pods.ts";
import { askAll, isPodLink } from "./removal.ts";

/** See `Kernel.cleanHost`. Goes on past failures; the first of them is the result. */
export async function cleanHost(
  ports: EniPorts,
  enis: Pick<Kernel, "forgetEni">,
  ipvlan: Pick<IpvlanUse, "leave">,
): Promise<Result<void>> {
  const { client, nodeNetns, host } = ports;
  // The links first: a pod's link and its route are made in one go, so none of these is of a pod that is being made.
  const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
  if (!links.ok) return links;
  const pods = await podRoutes(client, host);
  if (!pods.ok) return pods;
  const used = new Set(pods.value.map(({ ifIndex }) => ifIndex));
  const isUsed = (index: number): boolean => used.has(index) || used.has(limitedIndex(index) ?? -1);
  const abandoned = links.value.filter((link) => isPodLink(link) && !isUsed(link.index));
  const first = await askAll(
    client,
    "delete the link of a pod that is gone",
    abandoned.map(({ index }) => deleteLink({ index })),
  );
  if (pods.value.length > 0) return both(first, await cleanUnused(ports, enis, pods.value));
  const left = await ipvlan.leave();
  const removed = await removePlan(client, await allOfOurs(ports));
  const given = await giveBackEnis(client, links.value);
  const cleaned = await runNft(nftCleanText(host), nodeNetns);
  ports.chains.clear();
  return [first, left, removed, given, cleaned].find((result) => !result.ok) ?? ok(undefined);
}

/** Devices of ENIs are the cloud's: they only leave our group. */
async function giveBackEnis(client: Client, links: readonly LinkLabel[]): Promise<Result<void>> {
  const plan = links
    .filter(({ group }) => group === GROUP.enis)
    .flatMap((link) => planEniForget(deviceOf(link)));
  const applied = await applyPlan(client, plan);
  return applied.ok ? ok(undefined) : failed(applied.fault);
}

function deviceOf({ index, name }: LinkLabel): Device {
  return { name: name ?? String(index), ifIndex: index };
}

function both(a: Result<void>, b: Result<void>): Result<void> {
  return a.ok ? b : a;
}

/** ENIs that no pod's element leads to, elements of former versions among them, and elements without a pod. */
async function cleanUnused(
  ports: EniPorts,
  enis: Pick<Kernel, "forgetEni">,
  pods: readonly PodRoute[],
): Promise<Result<void>> {
  const { client, host } = ports;
  const slaves = new Set(pods.map(({ hostName }) => hostName));
  const elements: ElementThing[] = [];
  const chains = new Set<string>();
  const tables = new Set<number>();
  for (const family of familiesOf(host)) {
    const found = await elementsOf(client, family);
    if (!found.ok) return found;
    elements.push(...found.value);
    const former = await formerElements(client, family);
    if (!former.ok) return former;
    for (const { address, chain } of former.value)
      if (pods.some((pod) => pod.address === address)) chains.add(chain);
    const rules = await client.dump("ip rule show", dumpRules({ family: numberOf(family) }), decodeRule);
    if (!rules.ok) return rules;
    for (const { protocol, table } of rules.value) if (protocol === PROTOCOL) tables.add(table);
  }
  const isUsed = ({ device, key }: ElementThing): boolean =>
    pods.some(({ address, ifIndex }) => address === key && ifIndex === device.ifIndex);
  let result = await removePlan(
    client,
    elements.filter((element) => !isUsed(element)),
  );
  for (const element of elements)
    if (element.chain !== undefined && isUsed(element)) chains.add(element.chain);
  for (let slot = 0; slot <= SLOT_MAX; slot++) {
    if (!tables.has(eniTable(slot)) || chains.has(eniChain(slot)) || slaves.has(slaveName(slot))) continue;
    result = both(result, await enis.forgetEni(slot));
  }
  return result;
}

/** Rules, routes and neighbours that bear our protocol number. What cannot be read is left. */
async function allOfOurs({ client, host }: EniPorts): Promise<Plan> {
  const things = await Promise.all(familiesOf(host).map((family) => oursOf(client, family)));
  return things.flat();
}

/** In the order of their making: they are removed from the end. */
async function oursOf(client: Client, of: NftFamily): Promise<readonly Thing[]> {
  const family = numberOf(of);
  const [rules, routes, neighbours] = await Promise.all([
    client.dump("ip rule show", dumpRules({ family }), decodeRule),
    client.dump("ip route show proto 84", dumpRoutes({ family, protocol: PROTOCOL }), decodeRoute),
    client.dump("ip neighbour show", dumpNeighbours({ family }), decodeNeighbour),
  ]);
  const any = of === "ip" ? "0.0.0.0" : "::";
  return [
    ...(neighbours.ok ? neighbours.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .flatMap(({ index, dst, lladdr = NO_MAC }): readonly Thing[] =>
        dst === undefined
          ? []
          : [{ kind: "neighbour", place: "node", device: nameless(index), address: dst, mac: lladdr }],
      ),
    ...(routes.ok ? routes.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .flatMap(({ table, oif, dst, gateway }): readonly Thing[] => {
        const ip = dst?.ip ?? parseIp(any);
        return ip === undefined
          ? []
          : [
              {
                kind: "route",
                place: "node",
                table,
                to: networkOf(ip, dst?.bits ?? 0),
                ...(oif !== undefined && { device: nameless(oif) }),
                ...(gateway !== undefined && { via: gateway }),
              },
            ];
      }),
    ...(rules.ok ? rules.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .map(({ priority = 0, table, fwmark, fwmask, iifName }): Thing => ({
        kind: "rule",
        family: of === "ip" ? 4 : 6,
        priority,
        ...(table !== 0 && { table }),
        ...(iifName !== undefined && { iif: iifName }),
        ...(fwmark !== undefined && { mark: { value: fwmark, mask: fwmask ?? 0xffff_ffff } }),
      })),
  ];
}

function numberOf(family: NftFamily): number {
  return family === "ip" ? AF.INET : AF.INET6;
}

function nameless(ifIndex: number): Device {
  return { name: String(ifIndex), ifIndex };
}
