/**
 * Bringing ENIs up, and forgetting them.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  eniGuard,
  eniRule,
  familiesOf,
  gatewayThings,
  type HostFacts,
  nftEniText,
  nftForgetEniText,
  type GatewayMacs,
  planEniForget,
  planEniLink,
  planEniRoutes,
  planEniUnlink,
} from "../core/datapath/host-plan.ts";
import { eniTable, PROTOCOL, SLOT_MAX } from "../core/datapath/layout.ts";
import { mtuRefusal } from "../core/datapath/mtu.ts";
import { type Device, type Plan } from "../core/datapath/thing.ts";
import { type EniLink } from "../core/kernel.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { answerFault, type Client } from "./client.ts";
import { dumpRules } from "./codec/dump.ts";
import { AF } from "./codec/ip.ts";
import { getLink, type Link } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { decodeRule } from "./codec/rule.ts";
import { arpConversation, askGateway, ndConversation } from "./gateway.ts";
import { forwardingRefusal } from "./ipv6.ts";
import { runNft } from "./nft.ts";
import { type NftRun } from "./nft-together.ts";
import { factsNow } from "./node-facts.ts";
import { linkOf } from "./removal.ts";
import { routesOf } from "./table.ts";
import { type SocketThread } from "./socket.ts";

export type EniPorts = {
  readonly client: Client;
  readonly thread: SocketThread;
  readonly nodeNetns: string | undefined;
  readonly host: HostFacts;
  /** How long the gateway has to answer. */
  readonly gatewayPatienceMs: number | undefined;
  /** Slots whose nftables chain was made ahead, for the next `configureEni`; a later one makes it again. */
  readonly chains: Map<number, Promise<Result<void>>>;
  /** Makes chains of slots, those of many slots at once. */
  readonly addChains: NftRun;
  /** MACs of the gateways that are known, and are not asked. */
  readonly knownGateways: (eni: EniLink) => Promise<GatewayMacs | undefined>;
};

/** The chain of a slot. nft(8) is a process of 15 to 40 ms, so it is made while the device is awaited. */
export async function prepareEni(ports: EniPorts, slot: number): Promise<Result<void>> {
  const { chains, addChains, host } = ports;
  const made = chains.get(slot) ?? addChains(nftEniText(slot, host));
  chains.set(slot, made);
  const outcome = await made;
  if (!outcome.ok) chains.delete(slot);
  return outcome;
}

/** The chains of all families go together, or one by one where one of them is gone already. */
async function removeChain({ chains, nodeNetns, host }: EniPorts, slot: number): Promise<Result<void>> {
  await chains.get(slot);
  chains.delete(slot);
  const together = await runNft(nftForgetEniText(slot, familiesOf(host)), nodeNetns);
  if (!isGone(together)) return together;
  for (const family of familiesOf(host)) {
    const alone = await runNft(nftForgetEniText(slot, [family]), nodeNetns);
    if (!alone.ok && !isGone(alone)) return alone;
  }
  return ok(undefined);
}

function isGone(result: Result<void>): boolean {
  return !result.ok && result.fault.kind === "kernel" && result.fault.errno === "ENOENT";
}

/** See `Kernel.configureEni`. A device that was down is down again after a failure. */
export async function configureEni(ports: EniPorts, eni: EniLink): Promise<Result<void>> {
  const found = await findDevice(ports.client, eni);
  if (!found.ok) return found;
  const refusal = eni.v6 === undefined ? undefined : forwardingRefusal();
  if (refusal !== undefined) return failed({ kind: "kernel", op: refusal, errno: "EOPNOTSUPP" });
  const device = { name: found.value.name ?? String(eni.ifIndex), ifIndex: eni.ifIndex };
  const tooLarge = mtuRefusal(eni, { ...found.value, name: device.name });
  if (tooLarge !== undefined) return failed({ kind: "kernel", op: tooLarge, errno: "EINVAL" });
  const wasUp = (found.value.flags & IFF.UP) !== 0;
  const result = await bringUp(ports, eni, device, wasUp);
  if (!result.ok && !wasUp) await applyPlan(ports.client, planEniUnlink(device));
  return result;
}

async function bringUp(ports: EniPorts, eni: EniLink, device: Device, wasUp: boolean): Promise<Result<void>> {
  const { client, host } = ports;
  const preparing = prepareEni(ports, eni.slot);
  const facts = await factsNow(client, host);
  const up = facts.ok ? await applyPlan(client, planEniLink(eni, device, facts.value)) : facts;
  const macs = up.ok ? await askGateways(ports, eni) : failed(up.fault);
  const chain = await preparing;
  ports.chains.delete(eni.slot);
  if (!macs.ok) {
    if (!wasUp) await removeChain(ports, eni.slot);
    return macs;
  }
  if (!chain.ok) return chain;
  const routes = await applyPlan(client, planEniRoutes(eni, device, macs.value, host));
  if (routes.ok) return ok(undefined);
  if (!wasUp) await removeChain(ports, eni.slot);
  return failed(routes.fault);
}

/** Both at the same time. */
async function askGateways(
  { thread, gatewayPatienceMs, knownGateways }: EniPorts,
  eni: EniLink,
): Promise<Result<GatewayMacs>> {
  const known = await knownGateways(eni);
  if (known !== undefined) return ok(known);
  const [v4, v6] = await Promise.all([
    askGateway(thread, arpConversation(eni), gatewayPatienceMs),
    eni.v6 === undefined
      ? undefined
      : askGateway(thread, ndConversation(eni, eni.v6.gateway), gatewayPatienceMs),
  ]);
  if (!v4.ok) return v4;
  if (v6?.ok === false) return v6;
  return ok({ v4: v4.value, ...(v6 !== undefined && { v6: v6.value }) });
}

async function findDevice(client: Client, { ifIndex, mac }: EniLink): Promise<Result<Link>> {
  const answers = await client.ask([
    { family: "route", requests: [getLink({ index: ifIndex })], ack: "each" },
  ]);
  if (!answers.ok) return answers;
  const [answer] = answers.value[0] ?? [];
  const link = linkOf(answer);
  if (link === undefined) return failed(answerFault(`ip link show dev ${ifIndex}`, answer));
  const other: Fault = {
    kind: "kernel",
    op: `device ${ifIndex} has the MAC ${link.address}, not ${mac}`,
    errno: "ENODEV",
  };
  return link.address === mac ? ok(link) : failed(other);
}

/** See `Kernel.mtuOf`. */
export async function mtuOf(client: Client, ifIndex: number): Promise<Result<number>> {
  const answers = await client.ask([
    { family: "route", requests: [getLink({ index: ifIndex })], ack: "each" },
  ]);
  if (!answers.ok) return answers;
  const [answer] = answers.value[0] ?? [];
  const mtu = linkOf(answer)?.mtu;
  return mtu === undefined ? failed(answerFault(`ip link show dev ${ifIndex}`, answer)) : ok(mtu);
}

/** See `Kernel.forgetEni`. */
export async function forgetEni(ports: EniPorts, slot: number): Promise<Result<void>> {
  const { client, host } = ports;
  const plan: Plan[] = [];
  const devices = new Set<number>();
  for (const family of familiesOf(host)) {
    const routes = await routesOf(client, {
      table: eniTable(slot),
      family: family === "ip" ? AF.INET : AF.INET6,
    });
    if (!routes.ok) return routes;
    plan.push([eniGuard(slot, family), eniRule(slot, family)]);
    for (const { oif, gateway, protocol } of routes.value) {
      if (oif === undefined || gateway === undefined || protocol !== PROTOCOL) continue;
      devices.add(oif);
      plan.push(gatewayThings(slot, { name: String(oif), ifIndex: oif }, gateway));
    }
  }
  // The rule last: as long as anything of the slot is there, `eniSlots` tells of it.
  const chain = await removeChain(ports, slot);
  if (!chain.ok) return chain;
  const removed = await removePlan(client, plan.flat());
  for (const ifIndex of devices) await applyPlan(client, planEniForget({ name: String(ifIndex), ifIndex }));
  return removed;
}

/** See `Kernel.eniSlots`. */
export async function eniSlots({
  client,
  host,
}: Pick<EniPorts, "client" | "host">): Promise<Result<readonly number[]>> {
  const tables = new Set<number>();
  for (const family of familiesOf(host)) {
    const number = family === "ip" ? AF.INET : AF.INET6;
    const rules = await client.dump("ip rule show", dumpRules({ family: number }), decodeRule);
    if (!rules.ok) return rules;
    for (const { protocol, table } of rules.value) if (protocol === PROTOCOL) tables.add(table);
  }
  const slots = Array.from({ length: SLOT_MAX + 1 }, (_, slot) => slot);
  return ok(slots.filter((slot) => tables.has(eniTable(slot))));
}
