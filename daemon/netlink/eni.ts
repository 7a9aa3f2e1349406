/**
 * Bringing ENIs up, and forgetting them.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { parseIpv4 } from "../../proto/addr.ts";
import {
  nftEniText,
  nftForgetEniText,
  planEniLink,
  planEniRoutes,
  planEniUnlink,
  planForgetEni,
} from "../core/datapath/host-plan.ts";
import { eniTable } from "../core/datapath/layout.ts";
import { type EniLink } from "../core/kernel.ts";
import { applyAll, applySteps } from "./apply.ts";
import { answerFault, type Client } from "./client.ts";
import { getLink, type Link } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { askGateway } from "./gateway.ts";
import { runNft } from "./nft.ts";
import { linkOf } from "./removal.ts";
import { routesOf } from "./table.ts";
import { type SocketThread } from "./socket.ts";

export type EniPorts = {
  readonly client: Client;
  readonly thread: SocketThread;
  readonly nodeNetns: string | undefined;
  /** How long the gateway has to answer. */
  readonly gatewayPatienceMs: number | undefined;
  /** Slots whose nftables chain was made ahead, for the next `configureEni`; a later one makes it again. */
  readonly chains: Map<number, Promise<Result<void>>>;
};

/** The chain of a slot. nft(8) is a process of 15 to 40 ms, so it is made while the device is awaited. */
export async function prepareEni({ chains, nodeNetns }: EniPorts, slot: number): Promise<Result<void>> {
  const made = chains.get(slot) ?? runNft(nftEniText(slot), nodeNetns);
  chains.set(slot, made);
  const outcome = await made;
  if (!outcome.ok) chains.delete(slot);
  return outcome;
}

async function removeChain({ chains, nodeNetns }: EniPorts, slot: number): Promise<Result<void>> {
  await chains.get(slot);
  chains.delete(slot);
  return runNft(nftForgetEniText(slot), nodeNetns);
}

/** See `Kernel.configureEni`. A device that was down is down again after a failure. */
export async function configureEni(ports: EniPorts, eni: EniLink): Promise<Result<void>> {
  const found = await findDevice(ports.client, eni);
  if (!found.ok) return found;
  const wasUp = (found.value.flags & IFF.UP) !== 0;
  const result = await bringUp(ports, eni, wasUp);
  if (!result.ok && !wasUp) await applyAll(ports.client, planEniUnlink(eni.ifIndex));
  return result;
}

async function bringUp(ports: EniPorts, eni: EniLink, wasUp: boolean): Promise<Result<void>> {
  const { client, thread, gatewayPatienceMs } = ports;
  const preparing = prepareEni(ports, eni.slot);
  const up = await applySteps(client, planEniLink(eni));
  const gateway = up.ok ? await askGateway(thread, eni, gatewayPatienceMs) : failed(up.fault);
  const chain = await preparing;
  ports.chains.delete(eni.slot);
  if (!gateway.ok) {
    if (!wasUp) await removeChain(ports, eni.slot);
    return gateway;
  }
  if (!chain.ok) return chain;
  const routes = await applySteps(client, planEniRoutes(eni, gateway.value));
  if (routes.ok) return ok(undefined);
  if (!wasUp) await removeChain(ports, eni.slot);
  return failed(routes.fault);
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

/** See `Kernel.forgetEni`. */
export async function forgetEni(ports: EniPorts, slot: number): Promise<Result<void>> {
  const routes = await routesOf(ports.client, eniTable(slot));
  if (!routes.ok) return routes;
  const [route] = routes.value;
  const gateway = route?.gateway === undefined ? undefined : parseIpv4(route.gateway);
  const device =
    route?.oif === undefined || gateway === undefined ? undefined : { ifIndex: route.oif, gateway };
  const forgotten = await applyAll(ports.client, planForgetEni(slot, device));
  const chain = await removeChain(ports, slot);
  const gone = !chain.ok && chain.fault.kind === "kernel" && chain.fault.errno === "ENOENT";
  return !forgotten.ok || chain.ok || gone ? forgotten : chain;
}
