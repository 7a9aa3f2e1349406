/**
 * Checks what arrives: the agent trusts nobody who can open the socket to know the contract.
 *
 * @module
 */
import { type Attachment } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { PROTOCOL } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AttachmentRequest, type CallMessage } from "./contract.ts";

/** One ADD, DEL or CHECK as the agent handles it. */
export type PodCall = {
  readonly attachment: Attachment;
  /** CNI_NETNS; may be empty for DEL. */
  readonly netns: string;
  /** CNI_ARGS as pairs: K8S_POD_NAME, K8S_POD_NAMESPACE, … */
  readonly args: Readonly<Record<string, string>>;
  /** Milliseconds that the caller waits, counted from now. */
  readonly deadlineMs: number;
  readonly traceparent: string;
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

export function checkPodCall(request: AttachmentRequest, netnsNeeded: boolean): Result<PodCall> {
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
  const asked = call.value.deadlineMs;
  return ok({
    attachment: { network, containerId, ifName: ifname },
    netns: request.netns,
    args: parseArgs(request.cniArgs),
    deadlineMs: asked === 0 ? DEFAULT_DEADLINE_MS : Math.min(asked, LONGEST_DEADLINE_MS),
    traceparent: call.value.traceparent,
  });
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
