/**
 * IPVLAN on this node: whether the kernel has it, what the node needs for it, and which ENI a pod is a slave of. An ENI with a
 * slave keeps all that `eni.ts` makes: pods that were connected by veth go on.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type IpCidr } from "../../proto/cidr6.ts";
import { familiesOf, type GatewayMacs, type HostFacts } from "../core/datapath/host-plan.ts";
import { eniNetworks, hostStackOverlaps } from "../core/datapath/host-stack.ts";
import { nftIpvlanCleanText, nftIpvlanText } from "../core/datapath/ipvlan-nft.ts";
import { type IpvlanEni, type IpvlanNode } from "../core/datapath/ipvlan-plan.ts";
import { GROUP, SLOT_MAX, slaveName } from "../core/datapath/layout.ts";
import { type Device } from "../core/datapath/thing.ts";
import { POD_INDEX_BYTES, podIndex } from "../core/datapath/pod-plan.ts";
import { type EniLink, type PodInterfaces, type PodLink } from "../core/kernel.ts";
import { ipvlanNftLines, isIpvlanNftThere } from "./check-ipvlan-nft.ts";
import { gatewayMacs } from "./check-node.ts";
import { answerFault, type Client } from "./client.ts";
import { dumpLinks } from "./codec/dump.ts";
import { createLink, decodeLink, decodeLinkLabel, getLink } from "./codec/link.ts";
import { IPVLAN_MODE } from "./codec/link-info.ts";
import {
  attachIpvlanPod,
  checkIpvlanEni,
  checkIpvlanPod,
  configureIpvlanEni,
  detachIpvlanPod,
  forgetIpvlanEni,
  type IpvlanPorts,
} from "./ipvlan.ts";
import { forwardUplink, restoreUplink, uplinkLines } from "./ipvlan-uplink.ts";
import { lookAt } from "./look.ts";
import { runNft } from "./nft.ts";
import { findPrimary } from "./primary.ts";

/** What the node's part follows from. */
export type IpvlanFacts = {
  /** MAC of the primary ENI, whose addresses are the node's. */
  readonly primaryMac: Mac;
  /** At most `HOST_STACK_MAX`. */
  readonly hostStack: readonly IpCidr[];
};

/** What the agent says about it, before it brings ENIs up. */
export type IpvlanUse = {
  /** Whether the kernel has IPVLAN; it loads the module where it can. Nothing is made. */
  readonly isThere: () => Promise<Result<boolean>>;
  /** From now on each ENI gets a slave of the node, and pods can be attached. */
  readonly use: (facts: IpvlanFacts) => Promise<Result<void>>;
  /** Takes all of it away that a former run has left, which had no ipvlan pods in the end. */
  readonly leave: () => Promise<Result<void>>;
};

/** See `Kernel`, whose calls go here for what concerns ipvlan. Where it is not used, nothing is made of ENIs and nothing missed. */
export type IpvlanKernel = IpvlanUse & {
  prepare(): Promise<Result<void>>;
  /** Why the ENI cannot have ipvlan pods: asked before it is brought up. */
  refusal(eni: EniLink): Fault | undefined;
  /** MACs of the gateways that need not be asked: an answer would reach the pod that has the ENI's primary address. */
  readonly knownGateways: (eni: EniLink) => Promise<GatewayMacs | undefined>;
  configure(eni: EniLink): Promise<Result<void>>;
  forget(slot: number): Promise<Result<void>>;
  attach(pod: PodLink): Promise<Result<PodInterfaces>>;
  detach(pod: PodLink): Promise<Result<void>>;
  check(pod: PodLink): Promise<Result<readonly string[]>>;
  checkNode(enis: readonly EniLink[]): Promise<Result<readonly string[]>>;
};

export type IpvlanNodePorts = Omit<IpvlanPorts, "newIndex"> & {
  readonly randomBytes: (count: number) => Uint8Array;
};

type OwnNode = IpvlanNode & { readonly uplink: Device };

/** An index that no device has. */
const NO_DEVICE = 0x7fff_ffff;

/** `randomBytes`: where the indexes of pods' devices come from. */
export function openIpvlan({ randomBytes, ...given }: IpvlanNodePorts): IpvlanKernel {
  const { client, nodeNetns, host } = given;
  const ports: IpvlanPorts = { ...given, newIndex: () => podIndex(randomBytes(POD_INDEX_BYTES)) };
  let node: OwnNode | undefined;
  const enis = new Map<number, IpvlanEni>();

  /** Of a pod's ENI, which is brought up before pods get its addresses; after a restart they are there earlier. */
  function placeOf({ slot }: PodLink): Result<{ readonly eni: IpvlanEni; readonly node: IpvlanNode }> {
    const eni = slot === undefined ? undefined : enis.get(slot);
    if (eni !== undefined && node !== undefined) return ok({ eni, node });
    return failed({ kind: "not-ready", reason: `the ENI of slot ${slot} is being brought up` });
  }

  async function prepare(): Promise<Result<void>> {
    if (node === undefined) return ok(undefined);
    const made = await runNft(nftIpvlanText(host), nodeNetns);
    return made.ok ? forwardUplink(client, nodeNetns, forwarded(node, host)) : made;
  }

  return {
    isThere: () => isThere(client),
    async use({ primaryMac, hostStack }) {
      const primary = await findPrimary(client, primaryMac, host);
      if (!primary.ok) return primary;
      const { device: uplink, addresses } = primary.value;
      node = { addresses, hostStack, uplink };
      return prepare();
    },
    async leave() {
      node = undefined;
      enis.clear();
      return leave(ports);
    },
    prepare,
    refusal: (eni) => (node === undefined ? undefined : refusalOf(eni, node)),
    async knownGateways(eni) {
      const { mac, gatewayMacs: former } = enis.get(eni.slot) ?? {};
      return (await knownGateways(client, eni)) ?? (mac === eni.mac ? former : undefined);
    },
    async configure(link) {
      if (node === undefined) return ok(undefined);
      const eni = await eniOf(client, link);
      if (!eni.ok) return eni;
      const configured = await configureIpvlanEni(ports, eni.value, node);
      if (configured.ok) enis.set(link.slot, eni.value);
      return configured;
    },
    async forget(slot) {
      enis.delete(slot);
      return forgetIpvlanEni(ports, slot);
    },
    async attach(pod) {
      const at = placeOf(pod);
      return at.ok ? attachIpvlanPod(ports, pod, at.value.eni, at.value.node) : at;
    },
    detach: (pod) => detachIpvlanPod(ports, pod),
    async check(pod) {
      const at = placeOf(pod);
      return at.ok ? checkIpvlanPod(ports, pod, at.value.eni, at.value.node) : at;
    },
    checkNode: async (links) => (node === undefined ? ok([]) : nodeLines(ports, node, enis, links)),
  };
}

/** Where the node has no address of IPv6, nobody asks a backend in its name by that. */
function forwarded({ addresses, uplink }: OwnNode, { ipv6 }: HostFacts) {
  return { uplink, families: familiesOf({ ipv6: ipv6 && addresses.v6 !== undefined }) };
}

/** What differs of the tables, of the uplink, and of each ENI. */
async function nodeLines(
  ports: IpvlanPorts,
  node: OwnNode,
  enis: ReadonlyMap<number, IpvlanEni>,
  links: readonly EniLink[],
): Promise<Result<readonly string[]>> {
  const { client, host } = ports;
  const parts = [ipvlanNftLines(client, host), uplinkLines(client, forwarded(node, host))];
  parts.push(
    ...links.map(async ({ slot }) => {
      const eni = enis.get(slot);
      return eni === undefined
        ? ok([`device ${slaveName(slot)} is missing`])
        : checkIpvlanEni(ports, eni, node);
    }),
  );
  const lines: string[] = [];
  for (const part of await Promise.all(parts)) {
    if (!part.ok) return part;
    lines.push(...part.value);
  }
  return ok(lines);
}

/** A slave of a device that is not there is asked for: a kind that the kernel knows is refused for its parent. */
async function isThere(client: Client): Promise<Result<boolean>> {
  const request = createLink({
    link: NO_DEVICE,
    name: slaveName(SLOT_MAX),
    info: { kind: "ipvlan", options: { mode: IPVLAN_MODE.L2, flags: 0 } },
  });
  const answers = await client.ask([{ family: "route", requests: [request], ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  if (answer?.kind === "refused" && answer.errno === "ENODEV") return ok(true);
  if (answer?.kind === "refused" && answer.errno === "EOPNOTSUPP") return ok(false);
  return failed(answerFault("ask the kernel for IPVLAN", answer));
}

async function leave(ports: IpvlanPorts): Promise<Result<void>> {
  const { client, host, nodeNetns } = ports;
  const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
  if (!links.ok) return links;
  const ours = new Set(links.value.flatMap(({ group, name }) => (group === GROUP.slaves ? [name] : [])));
  for (let slot = 0; slot <= SLOT_MAX; slot++) {
    const forgotten = ours.has(slaveName(slot)) ? await forgetIpvlanEni(ports, slot) : ok(undefined);
    if (!forgotten.ok) return forgotten;
  }
  const isLeft = await isIpvlanNftThere(client, host);
  if (!isLeft.ok) return isLeft;
  const restored = await restoreUplink(client, host);
  if (!restored.ok) return restored;
  return isLeft.value ? runNft(nftIpvlanCleanText(host), nodeNetns) : ok(undefined);
}

function refusalOf(eni: EniLink, { hostStack }: IpvlanNode): Fault | undefined {
  const owner = `the ENI of slot ${eni.slot}`;
  const networks = eniNetworks(eni).map((cidr) => ({ cidr, owner }));
  const [reason] = hostStackOverlaps(hostStack, networks);
  return reason === undefined
    ? undefined
    : { kind: "bad-config", key: "host_stack_cidrs, service_cidr", reason };
}

async function knownGateways(client: Client, eni: EniLink): Promise<GatewayMacs | undefined> {
  const slave = await lookAt(
    client,
    "ip link show",
    [getLink({ name: slaveName(eni.slot) })],
    ({ payload }) => decodeLink(payload),
  );
  if (!slave.ok || slave.value[0] === undefined) return undefined;
  const macs = await gatewayMacs(client, eni);
  if (!macs.ok) return undefined;
  const { v4, v6 } = macs.value;
  return v4 !== undefined && (eni.v6 === undefined || v6 !== undefined) ? macs.value : undefined;
}

/** With what the kernel knows of it. */
async function eniOf(client: Client, link: EniLink): Promise<Result<IpvlanEni>> {
  const { ifIndex } = link;
  const what = `ip link show dev ${ifIndex}`;
  const [found, macs] = await Promise.all([
    lookAt(client, what, [getLink({ index: ifIndex })], ({ payload }) => decodeLink(payload)),
    gatewayMacs(client, link),
  ]);
  if (!found.ok) return found;
  if (!macs.ok) return macs;
  const name = found.value[0]?.name;
  if (name === undefined) return failed({ kind: "kernel", op: what, errno: "ENODEV" });
  return ok({ ...link, device: { name, ifIndex }, gatewayMacs: macs.value });
}
