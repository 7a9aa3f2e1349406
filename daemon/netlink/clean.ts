/**
 * Removing everything of ours that no pod uses: what an uninstallation does after the last pod, and what is left of pods
 * whose set-up or removal was cut short.
 *
 * @module
 */
import { parseIpv4, type Ipv4 } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { nftCleanText } from "../core/datapath/host-plan.ts";
import { eniChain, eniTable, GROUP, PROTOCOL, SLOT_MAX } from "../core/datapath/layout.ts";
import { type Step } from "../core/datapath/step.ts";
import { limitedIndex } from "../core/datapath/traffic.ts";
import { applyAll } from "./apply.ts";
import { type Client } from "./client.ts";
import { dumpLinks, dumpNeighbours, dumpRoutes, dumpRules } from "./codec/dump.ts";
import { decodeLink } from "./codec/link.ts";
import { decodeNeighbour } from "./codec/neighbour.ts";
import { decodeSetElements, dumpElements, NFT_ELEMENT } from "./codec/nft-element.ts";
import { decodeRoute } from "./codec/route.ts";
import { decodeRule } from "./codec/rule.ts";
import { forgetEni, type EniPorts } from "./eni.ts";
import { POD_MAP } from "./encode-step.ts";
import { runNft } from "./nft.ts";
import { podRoutes } from "./pods.ts";
import { isPodLink } from "./removal.ts";

/** See `Kernel.cleanHost`. Goes on past failures; the first of them is the result. */
export async function cleanHost(ports: EniPorts): Promise<Result<void>> {
  const { client, nodeNetns } = ports;
  // The links first: a pod's link and its route are made in one go, so none of these is of a pod that is being made.
  const links = await client.dump("ip link show", dumpLinks(), decodeLink);
  if (!links.ok) return links;
  const pods = await podRoutes(client);
  if (!pods.ok) return pods;
  const used = new Set(pods.value.map(({ ifIndex }) => ifIndex));
  const isUsed = (index: number): boolean => used.has(index) || used.has(limitedIndex(index) ?? -1);
  const abandoned = links.value.filter((link) => isPodLink(link) && !isUsed(link.index));
  const first = await applyAll(
    client,
    abandoned.map(({ index, name }) => ({ op: "delete-link", name: name ?? String(index) })),
  );
  const rest =
    pods.value.length > 0
      ? await cleanUnused(ports, new Set(pods.value.map(({ address }) => address)))
      : both(
          await applyAll(client, [
            ...(await allOfOurs(client)),
            ...links.value
              .filter(({ group }) => group === GROUP.enis)
              .map(({ index }) => ({ op: "set-link", where: "node", ifIndex: index, group: 0 }) as const),
          ]),
          await runNft(nftCleanText(), nodeNetns),
        );
  if (pods.value.length === 0) ports.chains.clear();
  return both(first, rest);
}

function both(a: Result<void>, b: Result<void>): Result<void> {
  return a.ok ? b : a;
}

/** ENIs that no pod's element leads to, and elements without a pod. */
async function cleanUnused(ports: EniPorts, addresses: ReadonlySet<Ipv4>): Promise<Result<void>> {
  const elements = await podElements(ports.client);
  if (!elements.ok) return elements;
  const stale = elements.value.filter(({ address }) => !addresses.has(address));
  let result = await applyAll(
    ports.client,
    stale.map(({ address }) => ({ op: "unmap-pod", address })),
  );
  const chains = new Set(
    elements.value.filter(({ address }) => addresses.has(address)).map(({ chain }) => chain),
  );
  const rules = await ports.client.dump("ip rule show", dumpRules(), decodeRule);
  if (!rules.ok) return rules;
  const tables = new Set(
    rules.value.filter(({ protocol }) => protocol === PROTOCOL).map(({ table }) => table),
  );
  for (let slot = 0; slot <= SLOT_MAX; slot++) {
    if (!tables.has(eniTable(slot)) || chains.has(eniChain(slot))) continue;
    result = both(result, await forgetEni(ports, slot));
  }
  return result;
}

type PodElement = { readonly address: Ipv4; readonly chain: string };

async function podElements(client: Client): Promise<Result<readonly PodElement[]>> {
  const answers = await client.ask([
    { family: "netfilter", requests: [dumpElements(POD_MAP)], ack: "as-is" },
  ]);
  if (!answers.ok) return answers;
  const [answer] = answers.value[0] ?? [];
  if (answer?.kind !== "done") {
    const fault: Fault = { kind: "kernel", op: "nft list map ip terway pod_eni", errno: "ENOENT" };
    return failed(fault);
  }
  return ok(
    answer.messages
      .filter(({ type }) => type === NFT_ELEMENT.NEW)
      .flatMap(({ payload }) => decodeSetElements(payload, { key: ["ip"] }).elements)
      .flatMap(({ key: [key], data }) => {
        const address = key?.kind === "ip" ? parseIpv4(key.ip) : undefined;
        return address !== undefined && data?.kind === "verdict" && "chain" in data
          ? [{ address, chain: data.chain }]
          : [];
      }),
  );
}

/** Rules, routes and neighbours that bear our protocol number. What cannot be read is left. */
async function allOfOurs(client: Client): Promise<readonly Step[]> {
  const rules = await client.dump("ip rule show", dumpRules(), decodeRule);
  const routes = await client.dump("ip route show proto 84", dumpRoutes({ protocol: PROTOCOL }), decodeRoute);
  const neighbours = await client.dump("ip neighbour show", dumpNeighbours(), decodeNeighbour);
  return [
    ...(rules.ok ? rules.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .map(
        ({ priority = 0, table, fwmark }) =>
          ({ op: "delete-rule", priority, table, ...(fwmark !== undefined && { mark: fwmark }) }) as const,
      ),
    ...(routes.ok ? routes.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .map(({ table, oif, dst }) => {
        const to = dst === undefined ? undefined : parseIpv4(dst.ip);
        return {
          op: "delete-route",
          table,
          ...(oif !== undefined && { ifIndex: oif }),
          ...(to !== undefined && { to }),
        } as const;
      }),
    ...(neighbours.ok ? neighbours.value : [])
      .filter(({ protocol }) => protocol === PROTOCOL)
      .flatMap(({ index, dst }) => {
        const address = dst === undefined ? undefined : parseIpv4(dst);
        return address === undefined ? [] : [{ op: "delete-neighbour", ifIndex: index, address } as const];
      }),
  ];
}
