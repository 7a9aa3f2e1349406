/**
 * The frame around every message: `struct nlmsghdr` of <linux/netlink.h>, 16 bytes, and the splitting of what a socket
 * received into messages.
 *
 *     0          4        6         8       12      16
 *     | nlmsg_len | type    | flags   | seq   | port  | payload ... | zeros up to a multiple of 4
 *
 * @module
 */
import { align4, DecodeError, spanOf } from "./wire.ts";

/** NLMSG_HDRLEN, bytes. */
export const HEADER_BYTES = 16;

/** NLMSG_*: the types that belong to no family. */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** NLM_F_*. The same bit means different things in requests that get, that make, and in answers. */
export const NLM_F = {
  REQUEST: 0x1,
  /** Part of a dump; NLMSG_DONE ends it. */
  MULTI: 0x2,
  /** Wants an answer also on success. */
  ACK: 0x4,
  /** Wants the object that was made, as a notification. */
  ECHO: 0x8,
  /** In an answer: the dump changed under the reader and is not one moment's picture. Ask again. */
  DUMP_INTR: 0x10,
  /** In an answer: the kernel did filter as asked. */
  DUMP_FILTERED: 0x20,
  /** NLM_F_ROOT | NLM_F_MATCH, of requests that get. */
  DUMP: 0x300,
  /** Of requests that make. */
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** In an error: the request that follows is its header only. */
  CAPPED: 0x100,
  /** In an error: attributes follow (NETLINK_EXT_ACK). */
  ACK_TLVS: 0x200,
} as const;

/** `struct nlmsghdr` without the length. */
export type Header = {
  readonly type: number;
  /** NLM_F_*. */
  readonly flags: number;
  /** What an answer is matched by. 0 in notifications. */
  readonly seq: number;
  /** Of a request: 0, the kernel fills it in. Of a message from the kernel: the socket it is for. */
  readonly port: number;
};

/** A message that was received and not yet decoded. */
export type RawMessage = Header & {
  /** A window of the received bytes, not a copy. All decoders copy what they keep. */
  readonly payload: Uint8Array;
};

/** `port` of the first message. */
export function portOf(bytes: Uint8Array): number {
  return spanOf(bytes).view.getUint32(12, true);
}

/** One message, padded to a multiple of 4 so that another may follow. */
export function frame(
  header: Omit<Header, "port"> & { readonly port?: number },
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(align4(HEADER_BYTES + payload.length));
  putHeader(spanOf(bytes).view, 0, payload.length, header);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Writes the 16 bytes at `at` of a message with so many bytes of payload. */
export function putHeader(
  view: DataView,
  at: number,
  payloadBytes: number,
  header: Omit<Header, "port"> & { readonly port?: number },
): void {
  view.setUint32(at, HEADER_BYTES + payloadBytes, true);
  view.setUint16(at + 4, header.type, true);
  view.setUint16(at + 6, header.flags, true);
  view.setUint32(at + 8, header.seq, true);
  view.setUint32(at + 12, header.port ?? 0, true);
}

/**
 * The messages in what was received, one by one, so that the ones before a bad one are not lost and a large dump can be
 * worked off in slices. DecodeError where a length runs past the end, which a truncated receive (MSG_TRUNC) does.
 */
export function* messagesOf(bytes: Uint8Array): Generator<RawMessage, void, undefined> {
  const { view } = spanOf(bytes);
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HEADER_BYTES) throw new DecodeError("message header cut off", at);
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > bytes.length)
      throw new DecodeError(`message length ${length} of ${bytes.length - at} left`, at);
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      port: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    };
    at += align4(length);
  }
}
