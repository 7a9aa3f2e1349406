/**
 * Making pods' links, and saying which there are.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { addressesOfAlias, GROUP, podAlias, PROTOCOL, TABLE } from "../core/datapath/layout.ts";
import {
  type PodEnds,
  POD_ENDS_BYTES,
  podElements,
  podEnds,
  podInterfaces,
  planPod,
  planPodAgain,
} from "../core/datapath/pod-plan.ts";
import { familiesOf, type HostFacts } from "../core/datapath/host-plan.ts";
import { type Thing } from "../core/datapath/thing.ts";
import { planVethLimits } from "../core/datapath/traffic.ts";
import { type PodInterfaces, type PodLink, type PodTrace } from "../core/kernel.ts";
import { isIpv6 } from "../../proto/addr6.ts";
import { type Applied, applyPlan, removePlan } from "./apply.ts";
import { answerFault, type Client } from "./client.ts";
import { dumpLinks } from "./codec/dump.ts";
import { AF } from "./codec/ip.ts";
import { decodeLinkLabel, getLink, type Link, type LinkKey, type LinkLabel, setLink } from "./codec/link.ts";
import { type Route } from "./codec/route.ts";
import { arePeers } from "./differ-link.ts";
import { type Limits, makeLimits, mendLimits } from "./limits.ts";
import { routesOf } from "./table.ts";
import { openNetns } from "./netns.ts";
import { linkOf } from "./removal.ts";
import { repairPlan } from "./repair.ts";

/** How often a link is tried with other numbers, where the ones chosen were taken. */
const INDEX_TRIES = 4;

export type PodPorts = {
  readonly client: Client;
  /** The node's namespace where it is not the process's. */
  readonly nodeNetns: string | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Takes away a link that could not be made whole. */
  readonly remove: (pod: PodLink) => Promise<Result<void>>;
  /** Deletes links of pods that are gone, which may have a name that is wanted. */
  readonly deleteDoomed: () => Promise<Result<void>>;
};

/** See `Kernel.attachPod`. */
export async function attachPod(ports: PodPorts, pod: PodLink): Promise<Result<PodInterfaces>> {
  const opened = openNetns(pod.netns, ports.nodeNetns);
  if (!opened.ok) return opened;
  using netns = opened.value;
  let fault: Fault | undefined;
  for (let tries = 1; tries <= INDEX_TRIES; tries++) {
    const ends = podEnds(ports.randomBytes(POD_ENDS_BYTES));
    const applied = await applyPlan(ports.client, planPod(pod, ends), netns.fd);
    if (applied.ok) return await limited(ports, pod, ends, makeLimits);
    ({ fault } = applied);
    if (isThere("veth", applied)) {
      const there = await findPod(ports.client, pod, netns.fd);
      if (!there.ok) return there;
      if (there.value.kind === "pod") return await attachAgain(ports, pod, there.value.ends, netns.fd);
      if (there.value.kind === "renamed") {
        const named = await rename(ports.client, there.value.hostIndex, pod.hostName);
        if (!named.ok) return named;
        continue;
      }
      const deleted = there.value.kind === "doomed" ? await ports.deleteDoomed() : there;
      if (!deleted.ok) return deleted;
    } else if (isThere("element", applied)) {
      // An element that leads elsewhere outlived its pod, whose namespace went without a DEL, and whose number was drawn again.
      const host = { name: pod.hostName, ifIndex: ends.hostIndex };
      await removePlan(ports.client, podElements(pod, host));
    } else return failed(await asBadNetns(ports.client, pod, netns.fd, fault));
  }
  return failed(fault ?? { kind: "internal", reason: "no try was made" });
}

/** The link is there: what of all that hangs on it differs is made again. Where that fails it stays as it is: its pod may run. */
async function attachAgain(
  ports: PodPorts,
  pod: PodLink,
  ends: PodEnds,
  netnsFd: number,
): Promise<Result<PodInterfaces>> {
  const inside = { netnsFd, name: pod.netns };
  const repaired = await repairPlan(ports.client, planPodAgain(pod, ends), inside);
  return repaired.ok ? limited(ports, pod, ends, mendLimits) : repaired;
}

/** The link is whole. A new one is taken away again where its limits cannot be had; that of a running pod stays. */
async function limited(
  ports: PodPorts,
  pod: PodLink,
  ends: PodEnds,
  make: typeof makeLimits | typeof mendLimits,
): Promise<Result<PodInterfaces>> {
  const made = await make(ports.client, limitsOf(pod, ends.hostIndex));
  if (made.ok) return ok(podInterfaces(pod, ends));
  if (make === makeLimits) await ports.remove(pod);
  return made;
}

/** `ip link set DEV name NAME`. */
async function rename(client: Client, index: number, name: string): Promise<Result<void>> {
  const answers = await client.ask([{ family: "route", requests: [setLink({ index, name })], ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  if (answer?.kind === "done") return ok(undefined);
  return failed(answerFault(`ip link set ${index} name ${name}`, answer));
}

/** The limits at the host's end. */
export function limitsOf({ hostName, mtu, bandwidth = {} }: PodLink, hostIndex: number): Limits {
  const device = { name: hostName, ifIndex: hostIndex };
  return { device, plan: planVethLimits({ place: "node", device, mtu, group: GROUP.pods }, bandwidth) };
}

/** Whether the thing was refused because something has its place already. */
function isThere(kind: Thing["kind"], { thing, fault }: Extract<Applied, { readonly ok: false }>): boolean {
  return thing.kind === kind && fault.kind === "kernel" && fault.errno === "EEXIST";
}

/** Who has the names of a link that could not be made. */
type Found =
  /** Nobody: it was a number that was taken. */
  | { readonly kind: "nobody" }
  /** This very pod. */
  | { readonly kind: "pod"; readonly ends: PodEnds }
  /** This very pod, whose host's end has another name. */
  | { readonly kind: "renamed"; readonly hostIndex: number }
  /** A pod that is gone, whose link is to be deleted. */
  | { readonly kind: "doomed" };

/** A fault where something else has one of the names. */
async function findPod(client: Client, pod: PodLink, podFd: number): Promise<Result<Found>> {
  const [host, inPod] = await Promise.all([
    lookUp(client, { name: pod.hostName }),
    lookUp(client, { name: pod.ifName }, podFd),
  ]);
  if (!host.ok) return host;
  if (!inPod.ok) return inPod;
  const [hostLink, podLink] = [host.value, inPod.value];
  if (hostLink === undefined && podLink === undefined) return ok({ kind: "nobody" });
  if (hostLink?.group === GROUP.doomed) return ok({ kind: "doomed" });
  if (podLink === undefined)
    return failed({ kind: "interface-exists", ifName: pod.hostName, netns: "the node's namespace" });
  const other = await lookUp(client, { index: podLink.link ?? 0 });
  if (!other.ok) return other;
  if (other.value?.group === GROUP.doomed && arePeers(other.value, podLink)) return ok({ kind: "doomed" });
  if (other.value === undefined) {
    // The link of a pod that is gone may have been deleted since the first question.
    const still = await lookUp(client, { name: pod.ifName }, podFd);
    if (!still.ok) return still;
    if (still.value?.index !== podLink.index) return ok({ kind: "doomed" });
  }
  const alias = podAlias(pod.addresses);
  // Somebody has renamed it.
  if (hostLink === undefined && isOurs(other.value, alias) && arePeers(other.value, podLink))
    return ok({ kind: "renamed", hostIndex: other.value.index });
  const taken: Fault = { kind: "interface-exists", ifName: pod.ifName, netns: pod.netns };
  if (hostLink?.address === undefined || podLink.address === undefined) return failed(taken);
  const ends: PodEnds = {
    hostIndex: hostLink.index,
    hostMac: hostLink.address,
    podIndex: podLink.index,
    podMac: podLink.address,
  };
  const same = isOurs(hostLink, alias) && arePeers(hostLink, podLink);
  return same ? ok({ kind: "pod", ends }) : failed(taken);
}

/** Without an alias: its making was cut short right behind its birth. */
function isOurs(link: Link | undefined, alias: string): link is Link {
  return link?.group === GROUP.pods && (link.alias ?? alias) === alias;
}

async function lookUp(client: Client, key: LinkKey, netnsFd?: number): Promise<Result<Link | undefined>> {
  const answers = await client.ask([
    {
      ...(netnsFd !== undefined && { netnsFd }),
      family: "route",
      requests: [getLink(key)],
      ack: "each",
    },
  ]);
  return answers.ok ? ok(linkOf(answers.value[0]?.[0])) : answers;
}

/** A namespace of another kind is refused as EINVAL, among much else: only one of network can be entered. */
async function asBadNetns(client: Client, pod: PodLink, podFd: number, fault: Fault): Promise<Fault> {
  const entered = await lookUp(client, { name: "lo" }, podFd);
  return entered.ok ? fault : { kind: "bad-netns", path: pod.netns, reason: "it is not a network namespace" };
}

/** See `Kernel.podTraces`. A route may be gone by somebody's mistake: the link says for whom it was made. */
export async function podTraces(client: Client, host: HostFacts): Promise<Result<readonly PodTrace[]>> {
  const links = await vethLabels(client);
  if (!links.ok) return links;
  const routes = await routesAmong(client, host, links.value);
  if (!routes.ok) return routes;
  const traces = [
    ...routes.value.map(({ address, hostName }) => ({ address, hostName })),
    ...links.value.flatMap(({ group, alias = "", name = "" }) =>
      group === GROUP.pods ? addressesOfAlias(alias).map((address) => ({ address, hostName: name })) : [],
    ),
  ];
  return ok([...new Map(traces.map((trace) => [`${trace.hostName} ${trace.address}`, trace])).values()]);
}

/** A pod's route, with the device it leads to. */
export type PodRoute = PodTrace & { readonly ifIndex: number };

/** Routes of pods. */
export async function podRoutes(client: Client, host: HostFacts): Promise<Result<readonly PodRoute[]>> {
  const links = await vethLabels(client);
  return links.ok ? routesAmong(client, host, links.value) : links;
}

function vethLabels(client: Client): Promise<Result<readonly LinkLabel[]>> {
  return client.dump("ip link show", dumpLinks({ kind: "veth" }), decodeLinkLabel);
}

async function routesAmong(
  client: Client,
  host: HostFacts,
  links: readonly LinkLabel[],
): Promise<Result<readonly PodRoute[]>> {
  const families = familiesOf(host).map((family) => (family === "ip" ? AF.INET : AF.INET6));
  const routes: Route[] = [];
  for (const family of families) {
    const found = await routesOf(client, { table: TABLE.pods, family });
    if (!found.ok) return found;
    routes.push(...found.value);
  }
  const names = await namesOf(client, links, new Set(routes.flatMap(({ oif }) => oif ?? [])));
  if (!names.ok) return names;
  return ok(
    routes.flatMap(({ dst, oif, protocol }) => {
      const isHost = dst?.bits === (dst !== undefined && isIpv6(dst.ip) ? 128 : 32);
      const hostName = oif === undefined ? undefined : names.value.get(oif);
      return dst === undefined ||
        !isHost ||
        oif === undefined ||
        hostName === undefined ||
        protocol !== PROTOCOL
        ? []
        : [{ address: dst.ip, hostName, ifIndex: oif }];
    }),
  );
}

/** Of pods' links and, where routes lead there, of the node's slaves of ENIs: one for many pods, so they are asked for one by one. */
async function namesOf(
  client: Client,
  links: readonly LinkLabel[],
  wanted: ReadonlySet<number>,
): Promise<Result<ReadonlyMap<number, string | undefined>>> {
  const names = new Map(links.map(({ index, name }) => [index, name]));
  for (const index of wanted) {
    const link = names.has(index) ? ok(undefined) : await lookUp(client, { index });
    if (!link.ok) return link;
    if (link.value?.info?.kind === "ipvlan") names.set(index, link.value.name);
  }
  return ok(names);
}
