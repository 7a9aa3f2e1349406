/**
 * The limits of bandwidth of a device: made, changed, taken away, looked at.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Device } from "../core/datapath/thing.ts";
import { ifbOf, TC_OURS, type TrafficThing } from "../core/datapath/traffic.ts";
import { answerFault, type Client, GONE, type Place } from "./client.ts";
import { deleteLink } from "./codec/link.ts";
import { type Request } from "./codec/request.ts";
import { TC_H } from "./codec/tc.ts";
import { deleteFilter, ETH_P } from "./codec/tc-filter.ts";
import { decodeQdisc, deleteQdisc, getQdisc, RTM_QDISC } from "./codec/tc-qdisc.ts";
import { lookAtTraffic, makeTraffic } from "./traffic.ts";

/** What a device is to be limited to: a plan of `daemon/core/datapath/traffic.ts`. Empty: to nothing. */
export type Limits = { readonly device: Device; readonly plan: readonly TrafficThing[] };

/** For a device that has just been made, so that nothing has to be looked for. */
export async function makeLimits(client: Client, { plan }: Limits, podFd?: number): Promise<Result<void>> {
  if (plan.length === 0) return ok(undefined);
  const missing = plan.map((thing) => ({ thing, isMissing: true }));
  return makeTraffic(client, missing, podFd);
}

/** Whatever was there before: what is missing is made, what is another is changed, what nobody wants any more is taken away. */
export async function mendLimits(client: Client, limits: Limits, podFd?: number): Promise<Result<void>> {
  const { device, plan } = limits;
  const wrong = await lookAtTraffic(client, plan, podFd);
  if (!wrong.ok) return wrong;
  const made = await makeTraffic(client, wrong.value, podFd);
  if (!made.ok) return made;
  const isSentLimited = plan.some((thing) => thing.kind === "bucket" && thing.device === device);
  const isReceivedLimited = plan.some(({ kind }) => kind === "ifb");
  const place: Place = podFd === undefined ? {} : { netnsFd: podFd };
  const freed = isSentLimited ? ok(undefined) : await freeSent(client, device, place);
  if (!freed.ok) return freed;
  return isReceivedLimited ? ok(undefined) : freeReceived(client, device, place);
}

/** One line for each thing that is missing or another. What others added is none of our business. */
export async function checkLimits(
  client: Client,
  { plan }: Limits,
  podFd?: number,
): Promise<Result<readonly string[]>> {
  const wrong = await lookAtTraffic(client, plan, podFd);
  return wrong.ok ? ok(wrong.value.map(({ line }) => line)) : wrong;
}

/** The bucket at the root goes only if it is ours: a chained plugin may have put its own there. */
async function freeSent(client: Client, { ifIndex, name }: Device, place: Place): Promise<Result<void>> {
  const root = { index: ifIndex, parent: TC_H.ROOT };
  const answers = await client.ask([{ family: "route", ...place, requests: [getQdisc(root)], ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  const message =
    answer?.kind === "done" ? answer.messages.find(({ type }) => type === RTM_QDISC.NEW) : undefined;
  const isOurs = message !== undefined && decodeQdisc(message.payload).handle === TC_OURS * 0x1_0000;
  return isOurs
    ? forget(client, `tc qdisc delete dev ${name} root`, deleteQdisc(root), place)
    : ok(undefined);
}

/** The filter first: without it packets go straight on, while one that leads to no device would drop them. */
async function freeReceived(client: Client, device: Device, place: Place): Promise<Result<void>> {
  const ifb = ifbOf(device);
  const filter = deleteFilter({
    index: device.ifIndex,
    parent: TC_H.CLSACT_INGRESS,
    priority: TC_OURS,
    protocol: ETH_P.ALL,
  });
  const freed = await forget(client, `tc filter delete dev ${device.name} ingress`, filter, place);
  return freed.ok
    ? forget(client, `ip link delete ${ifb.name}`, deleteLink({ name: ifb.name }), place)
    : freed;
}

/** Gone already is gone. */
async function forget(client: Client, op: string, request: Request, place: Place): Promise<Result<void>> {
  const answers = await client.ask([{ family: "route", ...place, requests: [request], ack: "each" }]);
  if (!answers.ok) return answers;
  const answer = answers.value[0]?.[0];
  // A device without clsact answers EINVAL.
  const isGone = answer?.kind === "refused" && (GONE.has(answer.errno) || answer.errno === "EINVAL");
  return answer?.kind === "done" || isGone ? ok(undefined) : failed(answerFault(op, answer));
}
