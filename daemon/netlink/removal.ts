/**
 * Taking pods away, many at a time: what is asked for while some are being taken away goes together. In the end nobody can
 * reach or use their addresses; their links are doomed, and deleted later (`doomed.ts`).
 *
 * That a process which lives on in the pod can do no harm with its link rests on the element of its link: without one
 * nothing that it sends passes, and nothing at all from a doomed link.
 *
 * @module
 */
import { isIpv6 } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { hasHostLinkPrefix } from "../core/datapath/link-name.ts";
import { addressesOf, GROUP, podAlias, PROTOCOL, TABLE } from "../core/datapath/layout.ts";
import { podElements } from "../core/datapath/pod-plan.ts";
import { ifbName } from "../core/datapath/traffic.ts";
import { type PodAddresses } from "../core/kernel.ts";
import { removePlan } from "./apply.ts";
import { type Answer, answerFault, type Client, GONE, REQUESTS_MAX } from "./client.ts";
import { hostPrefix } from "./codec/ip.ts";
import { dumpLinks } from "./codec/dump.ts";
import { decodeLink, decodeLinkLabel, getLink, type Link, RTM_LINK, setLink } from "./codec/link.ts";
import { deleteNeighbour } from "./codec/neighbour.ts";
import { nftBatch } from "./codec/nft-element.ts";
import { type Request } from "./codec/request.ts";
import { deleteRoute } from "./codec/route.ts";
import { forgetConnections, type Stale } from "./connections.ts";
import { type Doomed } from "./doomed.ts";
import { removeOrphans } from "./elements.ts";
import { removeMessages } from "./encode-thing.ts";

export type Leaving = { readonly hostName: string; readonly addresses: PodAddresses };

export type Removal = {
  /** Resolves when the link is doomed, and its route and all that was said of the address are gone, whoever removed them. */
  remove(pod: Leaving): Promise<Result<void>>;
};

/** Six requests each in one send: routes and neighbours of both families, the group of the link and of what delays for it. */
const PODS_MAX = Math.floor(REQUESTS_MAX / 6);

/** More than any node has pods: whoever asks for more asks for the same ones again and again. */
const WAITING_MAX = 4096;

export function openRemoval(client: Client, doomed: Pick<Doomed, "add">, stale: Pick<Stale, "add">): Removal {
  type Waiter = { readonly pod: Leaving; readonly settle: (result: Result<void>) => void };
  let waiting: Waiter[] = [];
  let running: Promise<void> | undefined;

  /** Everything that waits, a bulk at a time, until nothing does. */
  async function run(): Promise<void> {
    // Calls of the same tick are to share the first bulk.
    await Promise.resolve();
    while (waiting.length > 0) {
      const bulk = waiting.slice(0, PODS_MAX);
      waiting = waiting.slice(PODS_MAX);
      const result = await removeAll(bulk.map(({ pod }) => pod));
      for (const { settle } of bulk) settle(result);
    }
    running = undefined;
  }

  /** Goes on past failures; the first of them is the result. */
  async function removeAll(pods: readonly Leaving[]): Promise<Result<void>> {
    const addresses = pods.flatMap((pod) => addressesOf(pod.addresses));
    const later = addresses.filter(isIpv6);
    stale.add(later);
    const links = await ourLinks(client, pods);
    // The thread works in the order of the calls: connections last, when no packet can make a new one.
    const [unmapped, cut, forgotten] = await Promise.all([
      links.ok ? unmap(client, pods, links.value.links) : links,
      links.ok ? cutOff(links.value) : links,
      forgetConnections(
        client,
        addresses.filter((address) => !isIpv6(address)),
      ),
    ]);
    // The deletion of links takes their connections along.
    if (later.length > 0) doomed.add(later.length);
    return [unmapped, cut, forgotten].find(({ ok }) => !ok) ?? ok(undefined);
  }

  /** The routes first: what is sent to the pod from now on is told that it is unreachable. */
  async function cutOff({ links, ifbs }: OurLinks): Promise<Result<void>> {
    if (links.length + ifbs.length === 0) return ok(undefined);
    const cut = await askAll(client, "delete a pod's route", [
      ...links.flatMap(({ index, addresses }) =>
        addressesOf(addresses).map((address) =>
          deleteRoute({ table: TABLE.pods, protocol: PROTOCOL, oif: index, dst: hostPrefix(address) }),
        ),
      ),
      ...links.flatMap(({ index, addresses }) =>
        addressesOf(addresses).map((dst) => deleteNeighbour({ index, dst })),
      ),
      // By name: the index may be another link's by now.
      ...links.map(({ name }) => setLink({ name, group: GROUP.doomed })),
      ...ifbs.map((name) => setLink({ name, group: GROUP.doomed })),
    ]);
    doomed.add(links.length + ifbs.length);
    return cut;
  }

  return {
    remove(pod) {
      if (waiting.length >= WAITING_MAX)
        return Promise.resolve(
          failed({ kind: "not-ready", reason: `${WAITING_MAX} pods are waiting for their removal` }),
        );
      return new Promise((settle) => {
        waiting.push({ pod, settle });
        running ??= run();
      });
    },
  };
}

type OurLink = { readonly index: number; readonly name: string; readonly addresses: PodAddresses };

/** `ifbs`: names of devices that pods' packets are delayed on; such a device outlives a link that went with its namespace. */
type OurLinks = { readonly links: readonly OurLink[]; readonly ifbs: readonly string[] };

/** Those of the pods' links that are there, and are ours; whoever has none by its name is looked for. */
async function ourLinks(client: Client, pods: readonly Leaving[]): Promise<Result<OurLinks>> {
  const [links, ifbs]: [OurLink[], string[]] = [[], []];
  const wanted = pods.flatMap((pod) => [
    { pod, name: pod.hostName, isIfb: false },
    { pod, name: ifbName(pod.hostName), isIfb: true },
  ]);
  const requests = wanted.map(({ name }) => getLink({ name }));
  const answers = await askEach(client, requests);
  if (!answers.ok) return answers;
  for (const [at, { pod, name, isIfb }] of wanted.entries()) {
    const answer = answers.value[at];
    const link = linkOf(answer);
    if (link === undefined && answer?.kind === "refused" && !GONE.has(answer.errno))
      return failed(answerFault(`ip link show ${name}`, answer));
    if (link === undefined || !isPodLink(link)) continue;
    if (isIfb) ifbs.push(name);
    else links.push({ index: link.index, name, addresses: pod.addresses });
  }
  const named = new Set(links.map(({ addresses }) => addresses));
  const nameless = pods.filter(({ addresses }) => !named.has(addresses));
  if (nameless.length === 0) return ok({ links, ifbs });
  const renamed = await renamedLinks(client, nameless);
  return renamed.ok ? ok({ links: [...links, ...renamed.value], ifbs }) : renamed;
}

/** Links that somebody gave another name: their alias says for whom they were made. One with a name of ours is another pod's. */
async function renamedLinks(client: Client, pods: readonly Leaving[]): Promise<Result<readonly OurLink[]>> {
  const labels = await client.dump("ip link show", dumpLinks({ kind: "veth" }), decodeLinkLabel);
  if (!labels.ok) return labels;
  const wanted = new Map(pods.map(({ addresses }) => [podAlias(addresses), addresses]));
  return ok(
    labels.value.flatMap(({ index, name, group, alias }) => {
      const addresses = alias === undefined ? undefined : wanted.get(alias);
      const isForeign = name !== undefined && !hasHostLinkPrefix(name);
      return addresses !== undefined && isForeign && group === GROUP.pods ? [{ index, name, addresses }] : [];
    }),
  );
}

/** Ours, also where its pod is gone already. */
export function isPodLink(link: Link): boolean {
  return link.group === GROUP.pods || link.group === GROUP.doomed;
}

/** The link of an answer to `getLink`; `undefined` where there is none. */
export function linkOf(answer: Answer | undefined): Link | undefined {
  if (answer?.kind !== "done") return undefined;
  const message = answer.messages.find(({ type }) => type === RTM_LINK.NEW);
  return message === undefined ? undefined : decodeLink(message.payload);
}

/**
 * All elements in one batch; where one of them is not there the kernel refuses the batch, and they go one by one. Those of
 * pods without a link are looked for.
 */
async function unmap(
  client: Client,
  pods: readonly Leaving[],
  links: readonly OurLink[],
): Promise<Result<void>> {
  const there = new Set(links.map(({ addresses }) => addresses));
  const orphans = pods.filter(({ addresses }) => !there.has(addresses));
  const [unmapped, removed] = await Promise.all([
    unmapLinks(client, links),
    orphans.length === 0
      ? ok(undefined)
      : removeOrphans(client, new Set(orphans.flatMap(({ addresses }) => addressesOf(addresses)))),
  ]);
  return unmapped.ok ? removed : unmapped;
}

async function unmapLinks(client: Client, links: readonly OurLink[]): Promise<Result<void>> {
  const elements = links.flatMap(({ index, name, addresses }) =>
    podElements({ addresses }, { name, ifIndex: index }),
  );
  if (elements.length === 0) return ok(undefined);
  const deletes = elements
    .flatMap(removeMessages)
    .flatMap((message) => (message.kind === "request" ? [message.request] : []));
  const answers = await client.ask([{ family: "netfilter", requests: nftBatch(deletes), ack: "as-is" }]);
  if (!answers.ok) return answers;
  const refused = answers.value[0]?.some(({ kind }) => kind === "refused");
  return refused === true ? removePlan(client, elements) : ok(undefined);
}

/** One send, whatever is refused; the first refusal that does not mean "gone already" is the fault. */
export async function askAll(
  client: Client,
  op: string,
  requests: readonly Request[],
): Promise<Result<void>> {
  if (requests.length === 0) return ok(undefined);
  const answers = await askEach(client, requests);
  if (!answers.ok) return answers;
  const refused = answers.value.find((answer) => answer.kind === "refused" && !GONE.has(answer.errno));
  return refused === undefined ? ok(undefined) : failed(answerFault(op, refused));
}

async function askEach(client: Client, requests: readonly Request[]): Promise<Result<readonly Answer[]>> {
  const answers = await client.ask([{ family: "route", requests, ack: "each" }]);
  return answers.ok ? ok(answers.value[0] ?? []) : answers;
}
