/**
 * Checks what arrives: the agent trusts nobody who can open the socket to know the contract.
 *
 * @module
 */
import { type Attachment } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { PROTOCOL } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { bandwidthRequest } from "../core/datapath/bandwidth-request.ts";
import { type Bandwidth } from "../core/kernel.ts";
import { type AttachmentRequest, type CallMessage, type GcRequest } from "./contract.ts";

/** One ADD or DEL as the agent handles it. */
export type PodCall = {
  readonly attachment: Attachment;
  /** CNI_NETNS; may be empty for DEL. */
  readonly netns: string;
  /** CNI_ARGS as pairs: K8S_POD_NAME, K8S_POD_NAMESPACE, … */
  readonly args: Readonly<Record<string, string>>;
  /** Milliseconds that the caller waits, counted from now. */
  readonly deadlineMs: number;
  readonly traceparent: string;
  /** Fires when the caller is gone (its connection is closed) or its deadline has passed: nobody will read the answer. */
  readonly signal: AbortSignal;
};

/** ADD: with the limits that the runtime asks for. */
export type AddCall = PodCall & { readonly bandwidth: Bandwidth };

/** CHECK: `prevResult` is the result of ADD that the runtime kept, as it stands in the configuration. */
export type CheckCall = PodCall & { readonly prevResult: unknown };

/** GC of one network. */
export type GcCall = {
  readonly network: string;
  /** What the runtime says is in use; `undefined` where it gave no list. */
  readonly valid: readonly Attachment[] | undefined;
};

/** CNI SPEC.md 1.1.0: network names and container ids. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** IFNAMSIZ - 1, <linux/if.h>; no slash, colon or white space (dev_valid_name()). */
const IF_NAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
/** A caller that gives no deadline gets this one. */
const DEFAULT_DEADLINE_MS = 90_000;
const LONGEST_DEADLINE_MS = 600_000;

export function checkCall(call: CallMessage | null): Result<CallMessage> {
  if (call === null) return refuse({ kind: "bad-env", names: ["call"], reason: "missing in the request" });
  if (call.protocol !== PROTOCOL && call.protocol !== PROTOCOL - 1) {
    const reason = `the plugin speaks protocol ${call.protocol}, this agent ${PROTOCOL - 1} and ${PROTOCOL}`;
    return refuse({ kind: "agent-protocol", reason });
  }
  return ok(call);
}

/** Milliseconds that the caller waits. */
export function deadlineOf(call: CallMessage | null): number {
  const asked = call?.deadlineMs ?? 0;
  return asked === 0 ? DEFAULT_DEADLINE_MS : Math.min(asked, LONGEST_DEADLINE_MS);
}

export function checkPodCall(
  request: AttachmentRequest,
  netnsNeeded: boolean,
  signal: AbortSignal,
): Result<PodCall> {
  const call = checkCall(request.call);
  if (!call.ok) return call;
  const { network = "", containerId = "", ifname = "" } = request.attachment ?? {};
  const bad = [
    ...(NAME.test(network) ? [] : ["attachment.network"]),
    ...(NAME.test(containerId) ? [] : ["attachment.container_id"]),
    ...(IF_NAME.test(ifname) ? [] : ["attachment.ifname"]),
    ...(netnsNeeded && !request.netns.startsWith("/") ? ["netns"] : []),
  ];
  if (bad.length > 0)
    return refuse({ kind: "bad-env", names: bad, reason: "missing or malformed in the request" });
  return ok({
    attachment: { network, containerId, ifName: ifname },
    netns: request.netns,
    args: parseArgs(request.cniArgs),
    deadlineMs: deadlineOf(call.value),
    traceparent: call.value.traceparent,
    signal,
  });
}

export function checkAddCall(request: AttachmentRequest, signal: AbortSignal): Result<AddCall> {
  const call = checkPodCall(request, true, signal);
  if (!call.ok) return call;
  const bandwidth = bandwidthRequest(configOf(request.call?.config));
  return bandwidth.ok ? ok({ ...call.value, bandwidth: bandwidth.value }) : bandwidth;
}

/** CNI SPEC.md 1.1.0, section "CHECK": the configuration has to carry `prevResult`. */
export function checkCheckCall(request: AttachmentRequest, signal: AbortSignal): Result<CheckCall> {
  const call = checkPodCall(request, true, signal);
  if (!call.ok) return call;
  const prevResult = prevResultOf(request.call?.config);
  if (prevResult !== undefined) return ok({ ...call.value, prevResult });
  return refuse({ kind: "bad-config", key: "prevResult", reason: "CHECK needs the result of ADD in it" });
}

function prevResultOf(config: Uint8Array | undefined): unknown {
  const parsed = configOf(config);
  return typeof parsed === "object" && parsed !== null && "prevResult" in parsed
    ? (parsed.prevResult ?? undefined)
    : undefined;
}

/** `undefined` where it is no JSON: the plugin has read it already. */
function configOf(config: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(config));
  } catch {
    return undefined;
  }
}

/** A list with an entry that is no attachment is refused as a whole: what it means to spare would be removed. */
export function checkGcCall(request: GcRequest): Result<GcCall> {
  const call = checkCall(request.call);
  if (!call.ok) return call;
  const { network } = request;
  if (!NAME.test(network))
    return refuse({ kind: "bad-env", names: ["network"], reason: "missing or malformed in the request" });
  if (!request.attachmentsGiven) return ok({ network, valid: undefined });
  const bad = request.attachments.findIndex(
    ({ containerId, ifname }) => !NAME.test(containerId) || !IF_NAME.test(ifname),
  );
  if (bad >= 0) {
    const key = `cni.dev/valid-attachments[${bad}]`;
    return refuse({ kind: "bad-config", key, reason: "containerID or ifname is missing or malformed" });
  }
  const valid = request.attachments.map(({ containerId, ifname }) => ({
    network,
    containerId,
    ifName: ifname,
  }));
  return ok({ network, valid });
}

/** "K=V;K=V"; a pair without "=" was refused by the plugin and is left out here. */
function parseArgs(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(";").flatMap((pair): [string, string][] => {
    const at = pair.indexOf("=");
    return at > 0 ? [[pair.slice(0, at), pair.slice(at + 1)]] : [];
  });
  return Object.fromEntries(pairs);
}

function refuse(fault: Fault): { readonly ok: false; readonly fault: Fault } {
  return failed(fault);
}
