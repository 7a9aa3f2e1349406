/**
 * Asking a vSwitch's gateway for its MAC, in the name of an ENI, by a packet socket: by ARP or by neighbour discovery. The kernel could ask too, but only
 * with an address on the device, which would be an address of the node.
 *
 * @module
 */
import { read, writeSync } from "node:fs";
import { promisify } from "node:util";
import { type Mac } from "../../proto/addr.ts";
import { type Ipv6 } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type EniLink } from "../core/kernel.ts";
import { arpAnswer, arpRequest, ETH_P_ARP } from "./arp.ts";
import { jobFault } from "./client.ts";
import { type SocketOptions } from "./job.ts";
import { ETH_P_IPV6, linkLocal, neighbourAnswer, neighbourSolicitation } from "./ndp.ts";
import { errorCode } from "./netns.ts";
import { type SocketThread } from "./socket.ts";

/** How long the gateway has. A device that was just plugged in may need most of it to come up. */
const PATIENCE_MS = 2_000;
/** After this time without answer the question is repeated. */
const REPEAT_MS = 50;
const FRAME_BYTES_MAX = 2048;
/** AF_PACKET of <linux/socket.h> and SOCK_RAW. */
const [AF_PACKET, SOCK_RAW] = [17, 3];

/** A question, and how its answer is known. */
export type Conversation = {
  /** `"ARP for the gateway 10.0.0.253 from 10.0.0.10 on device 4 (00:16:…)"`. */
  readonly what: string;
  readonly ifIndex: number;
  /** ETH_P_*: of frames that are looked at. */
  readonly etherType: number;
  readonly request: Uint8Array;
  readonly answer: (frame: Uint8Array) => Mac | undefined;
};

/** From the ENI's primary address. */
export function arpConversation({ mac, primary, gateway, ifIndex }: EniLink): Conversation {
  const question = { senderMac: mac, sender: primary, target: gateway };
  return {
    what: `ARP for the gateway ${gateway} from ${primary} on device ${ifIndex} (${mac})`,
    ifIndex,
    etherType: ETH_P_ARP,
    request: arpRequest(question),
    answer: (frame) => arpAnswer(frame, question),
  };
}

/** From the link-local address that goes with the ENI's MAC. */
export function ndConversation({ mac, ifIndex }: EniLink, gateway: Ipv6): Conversation {
  const question = { senderMac: mac, target: gateway };
  return {
    what: `neighbour solicitation for the gateway ${gateway} from ${linkLocal(mac)} on device ${ifIndex} (${mac})`,
    ifIndex,
    etherType: ETH_P_IPV6,
    request: neighbourSolicitation(question),
    answer: (frame) => neighbourAnswer(frame, question),
  };
}

/** The MAC that answers for the gateway; the fault says that nobody does. `patienceMs` is for tests. */
export async function askGateway(
  thread: SocketThread,
  conversation: Conversation,
  patienceMs: number = PATIENCE_MS,
): Promise<Result<Mac>> {
  const opened = await thread.run({ kind: "open", socket: packetSocket(conversation) });
  if (opened.kind !== "opened") return failed(jobFault("asking the gateway", opened));
  try {
    return await converse(opened.fd, conversation, patienceMs);
  } finally {
    await thread.run({ kind: "close", fd: opened.fd });
  }
}

async function converse(
  fd: number,
  { what, request, answer }: Conversation,
  patienceMs: number,
): Promise<Result<Mac>> {
  const sinceMs = performance.now();
  let cause: string | undefined;
  let [askedMs, nowMs] = [-Infinity, sinceMs];
  for (; nowMs < sinceMs + patienceMs; nowMs = performance.now()) {
    if (nowMs >= askedMs + REPEAT_MS) {
      askedMs = nowMs;
      cause = written(fd, request);
    }
    const frame = await readFrame(fd);
    const mac = frame && answer(frame);
    if (mac !== undefined) return ok(mac);
  }
  const waitedMs = Math.round(nowMs - sinceMs);
  return failed({ kind: "deadline", what, waitedMs, ...(cause !== undefined && { cause }) });
}

/** `undefined`: sent. Else why not: the link may still be coming up (ENETDOWN), so it is tried again. */
function written(fd: number, frame: Uint8Array): string | undefined {
  try {
    writeSync(fd, frame);
    return undefined;
  } catch (error) {
    return errorCode(error);
  }
}

const readFile = promisify(read);

/** The next frame; `undefined` where there was none for a while. */
async function readFrame(fd: number): Promise<Uint8Array | undefined> {
  try {
    const { bytesRead, buffer } = await readFile(
      fd,
      new Uint8Array(FRAME_BYTES_MAX),
      0,
      FRAME_BYTES_MAX,
      null,
    );
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    // EAGAIN: the time is over. ENETDOWN: reported once when a link goes down.
    if (["EAGAIN", "ENETDOWN"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** Bound to the device and to what is looked at: `struct sockaddr_ll` of <linux/if_packet.h>. */
function packetSocket({ ifIndex, etherType }: Conversation): SocketOptions {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, etherType, false);
  view.setInt32(4, ifIndex, true);
  // Protocol 0 until it is bound: no frame of another device gets in before.
  return { domain: AF_PACKET, type: SOCK_RAW, protocol: 0, address, receiveTimeoutMs: REPEAT_MS };
}
