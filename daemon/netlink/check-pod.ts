/**
 * How a pod's network differs from what `attachPod` made. Only single things are asked for, so that it takes as long with
 * many pods as with one. What other plugins added, or made smaller (the MTU of the pod's end), is none of our business.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { ok, type Result } from "../../proto/result.ts";
import { LOOPBACK_INDEX } from "../core/datapath/layout.ts";
import { planPod } from "../core/datapath/pod-plan.ts";
import { placeOf, type Plan } from "../core/datapath/thing.ts";
import { type PodInterfaces, type PodLink } from "../core/kernel.ts";
import { type Client } from "./client.ts";
import { decodeLink, getLink, type Link } from "./codec/link.ts";
import { differences } from "./differ.ts";
import { checkLimits } from "./limits.ts";
import { type Inside, type KnownLink, lookAt } from "./look.ts";
import { openNetns } from "./netns.ts";
import { limitsOf } from "./pods.ts";

export type CheckedPod = PodLink & Pick<PodInterfaces, "hostMac" | "podMac"> & { readonly mtuMax?: number };

/** See `Kernel.checkPod`. */
export async function checkPod(
  client: Client,
  nodeNetns: string | undefined,
  pod: CheckedPod,
): Promise<Result<readonly string[]>> {
  const opened = openNetns(pod.netns, nodeNetns);
  using netns = opened.ok ? opened.value : undefined;
  const inside = netns === undefined ? undefined : { netnsFd: netns.fd, name: pod.netns };
  const [hosts, pods] = await Promise.all([
    lookAt(client, `ip link show dev ${pod.hostName}`, [getLink({ name: pod.hostName })], linkIn),
    inside === undefined ? ok([]) : podLinks(client, pod, inside),
  ]);
  if (!hosts.ok) return hosts;
  const entered = pods.ok || !isWrongKind(pods.fault) ? pods : ok([]);
  if (!entered.ok) return entered;
  const links: Links = { host: hosts.value[0], end: entered.value[0], loopback: entered.value[1] };
  const [found, limits] = await Promise.all([
    differences(client, planOf(pod, links), inside, knownOf(links)),
    links.host === undefined
      ? ok([])
      : checkLimits(client, limitsOf(asMade(pod, links.host), links.host.index)),
  ]);
  if (!found.ok) return found;
  if (!limits.ok) return limits;
  const isInside = entered.value.length > 0;
  return ok([
    ...(links.host === undefined ? [`device ${pod.hostName} is missing`] : []),
    ...(isInside ? [] : [lostNamespace(pod, opened.ok ? undefined : opened.fault)]),
    ...(isInside && links.end === undefined ? [`device ${pod.ifName} in ${pod.netns} is missing`] : []),
    ...found.value.map(({ line }) => line),
    ...mtuLines(pod, links.end),
    ...limits.value,
  ]);
}

/** The limits fit the MTU that the link was made with; its ENI's may be another one by now. */
function asMade(pod: CheckedPod, { mtu = pod.mtu }: Link): CheckedPod {
  return { ...pod, mtu };
}

function mtuLines({ ifName, netns, mtuMax }: CheckedPod, end: Link | undefined): readonly string[] {
  const mtu = end?.mtu ?? 0;
  return mtuMax === undefined || mtu <= mtuMax
    ? []
    : [
        `device ${ifName} in ${netns} has the mtu ${mtu}, more than the ${mtuMax} of what its packets leave by`,
      ];
}

/** Those that are there. */
type Links = {
  readonly host: Link | undefined;
  readonly end: Link | undefined;
  readonly loopback: Link | undefined;
};

/** What can be looked at: of a device that is missing nothing can be there, and nobody has to be told so line by line. */
function planOf(pod: CheckedPod, { host, end, loopback }: Links): Plan {
  const ends = {
    hostIndex: host?.index ?? 0,
    hostMac: pod.hostMac,
    podIndex: end?.index ?? 0,
    podMac: pod.podMac,
  };
  // The node's end has to take what the pod's end sends.
  const plan = planPod({ ...pod, mtu: end?.mtu ?? 0 }, ends);
  return plan.filter((thing) => {
    if (thing.kind === "element") return host !== undefined;
    if (thing.kind === "veth") return host !== undefined && end !== undefined;
    const isLoopback = thing.kind === "settings" && thing.device.ifIndex === LOOPBACK_INDEX;
    return (isLoopback ? loopback : placeOf(thing) === "pod" ? end : host) !== undefined;
  });
}

function knownOf({ host, end, loopback }: Links): readonly KnownLink[] {
  return [
    ...(host === undefined ? [] : [{ place: "node", link: host } as const]),
    ...[end, loopback].flatMap((link) => (link === undefined ? [] : [{ place: "pod", link } as const])),
  ];
}

function linkIn({ payload }: { readonly payload: Uint8Array }): Link {
  return decodeLink(payload);
}

/** The pod's end and its `lo`. */
function podLinks(
  client: Client,
  { ifName }: CheckedPod,
  { netnsFd }: Inside,
): Promise<Result<readonly (Link | undefined)[]>> {
  const requests = [getLink({ name: ifName }), getLink({ index: LOOPBACK_INDEX })];
  return lookAt(client, `ip link show dev ${ifName} in the pod`, requests, linkIn, { netnsFd });
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
