/**
 * How a pod's network differs from what `attachPod` made. Only single things are asked for, so that it takes as long with
 * many pods as with one. What other plugins added, or made smaller (the MTU of the pod's end), is none of our business.
 *
 * @module
 */
import { type Ipv4 } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { ok, type Result } from "../../proto/result.ts";
import { eniChain, GROUP, LOOPBACK_INDEX, POD_GATEWAY, podAlias, TABLE } from "../core/datapath/layout.ts";
import { addressOf } from "../core/datapath/pod-plan.ts";
import { type PodInterfaces, type PodLink } from "../core/kernel.ts";
import { type Client, type Place } from "./client.ts";
import { decodeAddress } from "./codec/address.ts";
import { dumpAddresses } from "./codec/dump.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { decodeNeighbour, getNeighbour, NUD } from "./codec/neighbour.ts";
import { decodeSetElements, getElement } from "./codec/nft-element.ts";
import { POD_MAP } from "./encode-step.ts";
import { checkLimits } from "./limits.ts";
import { lookAt, makesLinkLocal, together, wrongs } from "./look.ts";
import { arePeers, limitsOf } from "./pods.ts";
import { openNetns } from "./netns.ts";
import { routesOf } from "./table.ts";

export type CheckedPod = PodLink & Pick<PodInterfaces, "hostMac" | "podMac">;

/** See `Kernel.checkPod`. */
export async function checkPod(
  client: Client,
  nodeNetns: string | undefined,
  pod: CheckedPod,
): Promise<Result<readonly string[]>> {
  const opened = openNetns(pod.netns, nodeNetns);
  using netns = opened.ok ? opened.value : undefined;
  const inside = netns === undefined ? undefined : { netnsFd: netns.fd };
  const [hosts, pods, element] = await Promise.all([
    lookAt(client, `ip link show dev ${pod.hostName}`, [getLink({ name: pod.hostName })], linkIn),
    inside === undefined ? ok([]) : podLinks(client, pod, inside),
    elementLines(client, pod),
  ]);
  if (!hosts.ok) return hosts;
  const entered = pods.ok || !isWrongKind(pods.fault) ? pods : ok([]);
  if (!entered.ok) return entered;
  const [host] = hosts.value;
  const [end, lo] = entered.value;
  const parts = await Promise.all([
    hostLines(client, pod, host, end),
    entered.value.length === 0
      ? ok([lostNamespace(pod, opened.ok ? undefined : opened.fault)])
      : podLines(client, pod, end, lo, inside),
  ]);
  return together([...parts, element]);
}

function linkIn({ payload }: { readonly payload: Uint8Array }): Link {
  return decodeLink(payload);
}

/** The pod's end and its `lo`. */
function podLinks(
  client: Client,
  { ifName }: CheckedPod,
  inside: Place,
): Promise<Result<readonly (Link | undefined)[]>> {
  const requests = [getLink({ name: ifName }), getLink({ index: LOOPBACK_INDEX })];
  return lookAt(client, `ip link show dev ${ifName} in the pod`, requests, linkIn, inside);
}

/** What setns(2) says of a namespace that is none of network. */
function isWrongKind(fault: Fault): boolean {
  return fault.kind === "kernel" && fault.errno === "EINVAL";
}

function lostNamespace({ netns }: CheckedPod, fault: Fault | undefined): string {
  const reason = fault?.kind === "bad-netns" ? fault.reason : "it is not a network namespace";
  return reason === "it does not exist"
    ? `network namespace ${netns} is gone`
    : `network namespace ${netns}: ${reason}`;
}

async function elementLines(client: Client, pod: CheckedPod): Promise<Result<readonly string[]>> {
  const { slot } = pod;
  if (slot === undefined) return ok([]);
  const address = addressOf(pod);
  const request = getElement(POD_MAP, [{ kind: "ip", ip: address }]);
  const found = await lookAt(
    client,
    `nft get element ip terway pod_eni { ${address} }`,
    [request],
    ({ payload }) => decodeSetElements(payload, { key: ["ip"] }).elements[0]?.data,
    { family: "netfilter" },
  );
  if (!found.ok) return found;
  const [data] = found.value;
  const chain = eniChain(slot);
  if (data === undefined) return ok([`nft element { ${address} : goto ${chain} } is missing from pod_eni`]);
  const leads = data.kind === "verdict" && data.verdict === "goto" ? data.chain : undefined;
  return ok(
    leads === chain ? [] : [`nft element ${address} of pod_eni goes to ${leads ?? "no chain"}, not ${chain}`],
  );
}

async function hostLines(
  client: Client,
  pod: CheckedPod,
  link: Link | undefined,
  end: Link | undefined,
): Promise<Result<readonly string[]>> {
  const { hostName, hostMac, podMac } = pod;
  const address = addressOf(pod);
  if (link === undefined) return ok([`device ${hostName} is missing`]);
  const [routes, neighbour, limits] = await Promise.all([
    routesOf(client, TABLE.pods, link.index),
    neighbourLines(client, { device: hostName, index: link.index, dst: address, mac: podMac }),
    checkLimits(client, limitsOf(pod, link.index)),
  ]);
  if (!routes.ok) return routes;
  const conf = link.afSpec?.inet?.conf;
  const alias = podAlias(address);
  const wrong = wrongs([
    [link.group === GROUP.doomed, `device ${hostName} is about to be deleted`],
    [
      link.group !== GROUP.pods && link.group !== GROUP.doomed,
      `device ${hostName} is in group ${link.group ?? 0}, not ${GROUP.pods}`,
    ],
    [link.alias !== alias, `device ${hostName} has the alias "${link.alias ?? ""}", not "${alias}"`],
    [conf?.forwarding !== 1, `device ${hostName}: forwarding is off`],
    [conf?.rpFilter !== 1, `device ${hostName}: rp_filter is ${conf?.rpFilter ?? 0}, not 1`],
    [makesLinkLocal(link), `device ${hostName}: addrgenmode is not none`],
    [
      end !== undefined && !arePeers(link, end),
      `device ${hostName} is not the other end of ${pod.ifName} in ${pod.netns}`,
    ],
    [
      (link.mtu ?? 0) < (end?.mtu ?? 0),
      `device ${hostName} has the mtu ${link.mtu ?? 0}, less than ${end?.mtu ?? 0} in the pod`,
    ],
    [
      !routes.value.some(({ dst }) => dst?.ip === address && dst.bits === 32),
      `route ${address}/32 dev ${hostName} in table ${TABLE.pods} is missing`,
    ],
  ]);
  return together([ok([...linkLines(hostName, link, hostMac), ...wrong]), neighbour, limits]);
}

async function podLines(
  client: Client,
  pod: CheckedPod,
  link: Link | undefined,
  lo: Link | undefined,
  inside: Place | undefined,
): Promise<Result<readonly string[]>> {
  const { netns, hostMac, podMac } = pod;
  const address = addressOf(pod);
  const loopback = wrongs([[!isUp(lo), `device lo in ${netns} is down`]]);
  const device = `${pod.ifName} in ${netns}`;
  if (link === undefined) return ok([...loopback, `device ${device} is missing`]);
  const { index } = link;
  const [addresses, routes, neighbour] = await Promise.all([
    client.dump(`ip address show dev ${device}`, dumpAddresses({ index }), decodeAddress, inside),
    routesOf(client, TABLE.main, index, inside),
    neighbourLines(client, { device, index, dst: POD_GATEWAY, mac: hostMac }, inside),
  ]);
  if (!addresses.ok) return addresses;
  if (!routes.ok) return routes;
  const wrong = wrongs([
    [
      !addresses.value.some(({ local, prefixLength }) => local === address && prefixLength === 32),
      `address ${address}/32 dev ${device} is missing`,
    ],
    [
      !routes.value.some(({ dst }) => dst?.ip === POD_GATEWAY && dst.bits === 32),
      `route ${POD_GATEWAY}/32 dev ${device} is missing`,
    ],
    [
      !routes.value.some(({ dst, gateway }) => dst === undefined && gateway === POD_GATEWAY),
      `route default via ${POD_GATEWAY} dev ${device} is missing`,
    ],
  ]);
  return together([ok([...loopback, ...linkLines(device, link, podMac), ...wrong]), neighbour]);
}

function linkLines(device: string, link: Link, mac: string): readonly string[] {
  return wrongs([
    [!isUp(link), `device ${device} is down`],
    [link.address !== mac, `device ${device} has the MAC ${link.address ?? "of another form"}, not ${mac}`],
  ]);
}

type NeighbourKey = {
  readonly device: string;
  readonly index: number;
  readonly dst: Ipv4;
  readonly mac: string;
};

async function neighbourLines(
  client: Client,
  { device, index, dst, mac }: NeighbourKey,
  place?: Place,
): Promise<Result<readonly string[]>> {
  const what = `neighbour ${dst} dev ${device}`;
  const requests = [getNeighbour({ index, dst })];
  const found = await lookAt(client, what, requests, ({ payload }) => decodeNeighbour(payload), place);
  if (!found.ok) return found;
  const [entry] = found.value;
  if (entry === undefined) return ok([`${what} is missing`]);
  return ok(
    wrongs([
      [entry.lladdr !== mac, `${what} has the MAC ${entry.lladdr ?? "of nobody"}, not ${mac}`],
      [(entry.state & NUD.PERMANENT) === 0, `${what} is not permanent`],
    ]),
  );
}

function isUp(link: Link | undefined): boolean {
  return link !== undefined && (link.flags & IFF.UP) !== 0;
}
