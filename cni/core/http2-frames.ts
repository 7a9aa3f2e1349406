/**
 * HTTP/2 frames: bytes to values and back, one frame at a time.
 * Source: RFC 9113 sections 4.1, 6 and 7.
 *
 * @module
 */
import { concatBytes, uint32At, uint32Bytes } from "./bytes.ts";

/** RFC 9113 section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** ACK and END_STREAM are the same bit, on different frames. */
export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

/** RFC 9113 section 6.5.2. */
export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** SETTINGS_MAX_FRAME_SIZE where nobody says otherwise: we do not, and the peer may only raise its own. */
export const FRAME_BYTES_MAX = 16_384;

const FRAME_HEADER_BYTES = 9;

/** `payload` is a view of the bytes that were given. */
export type Frame = {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
};

/**
 * What stands at the start of a buffer: a whole frame, the beginning of one, or one that is not allowed. `needBytes` is how
 * long the buffer has to be before there can be more to say.
 */
export type Taken =
  | { readonly kind: "frame"; readonly frame: Frame; readonly rest: Uint8Array }
  | { readonly kind: "short"; readonly needBytes: number }
  | { readonly kind: "too-long" };

/** Takes one frame off the start of `buffer`. */
export function takeFrame(buffer: Uint8Array): Taken {
  if (buffer.length < FRAME_HEADER_BYTES) return { kind: "short", needBytes: FRAME_HEADER_BYTES };
  const lengthAndType = uint32At(buffer, 0);
  const length = lengthAndType >>> 8;
  if (length > FRAME_BYTES_MAX) return { kind: "too-long" };
  const end = FRAME_HEADER_BYTES + length;
  if (buffer.length < end) return { kind: "short", needBytes: end };
  const frame = {
    type: lengthAndType & 0xff,
    flags: buffer[4] ?? 0,
    streamId: uint32At(buffer, 5) & 0x7f_ff_ff_ff,
    payload: buffer.subarray(FRAME_HEADER_BYTES, end),
  };
  return { kind: "frame", frame, rest: buffer.subarray(end) };
}

/** `payload` is at most `FRAME_BYTES_MAX` long. */
export function encodeFrame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const lengthAndType = uint32Bytes(payload.length * 256 + type);
  return concatBytes([lengthAndType, Uint8Array.of(flags), uint32Bytes(streamId), payload]);
}

/** A SETTINGS frame of (identifier, value) pairs. */
export function encodeSettings(settings: readonly (readonly [number, number])[]): Uint8Array {
  const pairs = settings.flatMap(([id, value]) => [Uint8Array.of(id >> 8, id), uint32Bytes(value)]);
  return encodeFrame(FRAME.settings, 0, 0, concatBytes(pairs));
}

/** The payload of DATA or HEADERS without padding and priority; `undefined` where they do not fit into it. */
export function bareContent({ type, flags, payload }: Frame): Uint8Array | undefined {
  const padded = (flags & FLAG.padded) !== 0;
  const padding = padded ? (payload[0] ?? payload.length) : 0;
  const priorityBytes = type === FRAME.headers && (flags & FLAG.priority) !== 0 ? 5 : 0;
  const start = (padded ? 1 : 0) + priorityBytes;
  const end = payload.length - padding;
  return start <= end ? payload.subarray(start, end) : undefined;
}

const ERROR_NAMES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

/** The name of an error code (RFC 9113 section 7), or its number. */
export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `error ${code}`;
}
