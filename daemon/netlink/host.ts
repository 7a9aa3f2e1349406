/**
 * What all pods of the node share, made at the agent's start and whenever something of it is missing. Pods that run keep
 * their packets meanwhile: those of former versions too, whose nftables map was another one.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  eniSources,
  familiesOf,
  type HostFacts,
  nftForgetFormerText,
  nftHostText,
  nftMapText,
  planHost,
} from "../core/datapath/host-plan.ts";
import { FORMER_MAP, GROUP, nftFamily, type NftFamily } from "../core/datapath/layout.ts";
import { HOST_END_IPV4, podElement } from "../core/datapath/pod-plan.ts";
import { type Device, type ElementThing, type Ipv4Settings, type Plan } from "../core/datapath/thing.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { type Client } from "./client.ts";
import { dumpLinks } from "./codec/dump.ts";
import { decodeLinkLabel, type LinkLabel } from "./codec/link.ts";
import { getNftSet } from "./codec/nft-structure.ts";
import { tableKeyOf } from "./encode-thing.ts";
import { elementsOf, formerElements } from "./elements.ts";
import { type EniPorts } from "./eni.ts";
import { lookAt } from "./look.ts";
import { factsNow } from "./node-facts.ts";
import { runNft } from "./nft.ts";
import { podRoutes } from "./pods.ts";

type Ports = Pick<EniPorts, "client" | "nodeNetns" | "host">;

/** The first part of `Kernel.prepareHost`. */
export async function prepareHost(ports: Ports): Promise<Result<void>> {
  const { client, nodeNetns, host } = ports;
  const facts = await factsNow(client, host);
  if (!facts.ok) return facts;
  const former = await takeOver(ports);
  if (!former.ok) return former;
  // The elements first: a pod's element is made after its link, so none of these is of a link that is being made.
  const elements = await allElements(client, host);
  if (!elements.ok) return elements;
  const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
  if (!links.ok) return links;
  // ENIs that serve already: the mark is there before it is asked for, and is asked for no more before it goes.
  const isMarked = facts.value.checksSources === true;
  const before = isMarked ? ok(undefined) : await setEnis(client, facts.value, links.value);
  if (!before.ok) return before;
  const structure = await runNft(nftHostText(facts.value), nodeNetns);
  if (!structure.ok) return structure;
  const after = isMarked ? await setEnis(client, facts.value, links.value) : ok(undefined);
  if (!after.ok) return after;
  const applied = await applyPlan(client, planHost(host));
  if (!applied.ok) return failed(applied.fault);
  const known = new Set(links.value.map(({ index }) => index));
  const swept = await removePlan(
    client,
    elements.value.filter(({ device }) => !known.has(device.ifIndex)),
  );
  if (!swept.ok || former.value.families.length === 0) return swept;
  return finish(ports, former.value);
}

/** Those whose link is gone are left of pods that went without a DEL: who got the link's number might use their addresses. */
async function allElements(client: Client, host: HostFacts): Promise<Result<readonly ElementThing[]>> {
  const elements: ElementThing[] = [];
  for (const family of familiesOf(host)) {
    const found = await elementsOf(client, family);
    if (!found.ok) return found;
    elements.push(...found.value);
  }
  return ok(elements);
}

/** What of a former version is there. */
type Former = { readonly families: readonly NftFamily[]; readonly links: readonly Device[] };

/**
 * Every pod of a former version gets its elements, in a map that no rule looks into yet. A pod without an element (of a
 * block of the node) was accepted as it was, and is so again.
 */
async function takeOver({ client, nodeNetns, host }: Ports): Promise<Result<Former>> {
  const families: NftFamily[] = [];
  for (const family of familiesOf(host)) {
    const place = { family: "netfilter" } as const;
    const asked = [getNftSet(tableKeyOf(family), FORMER_MAP)];
    const map = await lookAt(client, `nft list map ${FORMER_MAP}`, asked, () => true, place);
    if (!map.ok) return map;
    if (map.value[0] === true) families.push(family);
  }
  if (families.length === 0) return ok({ families, links: [] });
  const pods = await podRoutes(client, host);
  if (!pods.ok) return pods;
  const chains = new Map<string, string>();
  for (const family of families) {
    const found = await formerElements(client, family);
    if (!found.ok) return found;
    for (const { address, chain } of found.value) chains.set(address, chain);
  }
  const made = await runNft(nftMapText(host), nodeNetns);
  if (!made.ok) return made;
  const taken = pods.value.filter(({ address }) => families.includes(nftFamily(address)));
  const applied = await applyPlan(
    client,
    taken.map(({ address, hostName, ifIndex }) =>
      podElement({ name: hostName, ifIndex }, address, chains.get(address)),
    ),
  );
  if (!applied.ok) return failed(applied.fault);
  return ok({ families, links: taken.map(({ hostName, ifIndex }) => ({ name: hostName, ifIndex })) });
}

/** The former map goes last: as long as it is there, all of this is done again. */
async function finish({ client, nodeNetns }: Ports, { families, links }: Former): Promise<Result<void>> {
  const applied = await applyPlan(client, settingsOf(links, HOST_END_IPV4));
  return applied.ok ? runNft(nftForgetFormerText(families), nodeNetns) : failed(applied.fault);
}

async function setEnis(client: Client, facts: HostFacts, links: readonly LinkLabel[]): Promise<Result<void>> {
  const enis = links
    .filter(({ group }) => group === GROUP.enis)
    .map(({ index, name }) => ({ name: name ?? String(index), ifIndex: index }));
  const applied = await applyPlan(client, settingsOf(enis, eniSources(facts)));
  return applied.ok ? ok(undefined) : failed(applied.fault);
}

function settingsOf(devices: readonly Device[], ipv4: Ipv4Settings): Plan {
  return devices.map((device) => ({ kind: "settings", place: "node", device, settings: { ipv4 } }));
}
