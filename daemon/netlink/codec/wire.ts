/**
 * Bytes at their lowest level: a growing buffer to write into and a bounded window to read from.
 *
 * Netlink speaks the byte order of the host. This codec is for little-endian hosts only (x64 and arm64, the two we
 * ship for); what the kernel wants in network order has `be` in its name.
 *
 * @module
 */

/** NLMSG_ALIGN and NLA_ALIGN: everything starts at a multiple of 4. */
export function align4(length: number): number {
  // Lengths of 32 bits: `(length + 3) & ~3` would make the large ones negative.
  return length + (-length & 3);
}

/** Bytes that are not what they claim to be. The only error that a decoder of this folder throws, whatever the bytes. */
export class DecodeError extends Error {
  override name = "DecodeError";
  /** Byte at which it went wrong, counted from the start of what was given to the decoder. */
  readonly offset: number;
  readonly reason: string;

  constructor(reason: string, offset: number) {
    super(`netlink: ${reason} at byte ${offset}`);
    this.reason = reason;
    this.offset = offset;
  }
}

/** A part of a buffer. `start` and `end` count from the start of what was given to the decoder. */
export type Span = { readonly view: DataView; readonly start: number; readonly end: number };

/** All of `bytes`. Nothing is copied until a value is taken out. */
export function spanOf(bytes: Uint8Array): Span {
  return {
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    start: 0,
    end: bytes.byteLength,
  };
}

/** The part from `start` (absolute) to the end of `span`; DecodeError where it has less than `least` bytes in front. */
export function skipHeader(span: Span, length: number, what: string): Span {
  if (span.end - span.start < length)
    throw new DecodeError(`${what} wants ${length} bytes, there are ${span.end - span.start}`, span.start);
  return { view: span.view, start: Math.min(span.start + align4(length), span.end), end: span.end };
}

/** A copy of the bytes of `span`: it stays when the receive buffer is used again. */
export function copyOf(span: Span): Uint8Array {
  return new Uint8Array(span.view.buffer, span.view.byteOffset + span.start, span.end - span.start).slice();
}

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();

/** The text before the first NUL of `bytes`; `undefined` where it is not UTF-8. */
export function textFromBytes(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  try {
    return DECODER.decode(end < 0 ? bytes : bytes.subarray(0, end));
  } catch {
    return undefined;
  }
}

/** UTF-8 without a NUL. One within the text is a bug, for the kernel would not see what follows it: RangeError. */
export function bytesOfText(text: string): Uint8Array {
  if (text.includes("\0")) throw new RangeError(`netlink: NUL in ${JSON.stringify(text)}`);
  return ENCODER.encode(text);
}

const FIRST_CAPACITY_BYTES = 1024;

type Room = { readonly bytes: Uint8Array; readonly view: DataView };

/** All zero; of the writer that ended last, for the next one: an ADD has some 15 of them. */
let spare: Room | undefined;

function takeRoom(): Room {
  const room = spare ?? roomOf(new Uint8Array(FIRST_CAPACITY_BYTES));
  spare = undefined;
  return room;
}

function roomOf(bytes: Uint8Array): Room {
  return { bytes, view: new DataView(bytes.buffer) };
}

const NO_ROOM = roomOf(new Uint8Array(0));

/** Appends integers and bytes to a buffer that grows. A number that does not fit its width is a bug: RangeError. */
export class Writer {
  #room = takeRoom();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#advance(1);
    this.#room.view.setUint8(at, inRange(value, 0, 0xff));
  }

  u16(value: number): void {
    const at = this.#advance(2);
    this.#room.view.setUint16(at, inRange(value, 0, 0xffff), true);
  }

  u32(value: number): void {
    const at = this.#advance(4);
    this.#room.view.setUint32(at, inRange(value, 0, 0xffffffff), true);
  }

  i32(value: number): void {
    const at = this.#advance(4);
    this.#room.view.setInt32(at, inRange(value, -0x80000000, 0x7fffffff), true);
  }

  /** Network order. */
  be16(value: number): void {
    const at = this.#advance(2);
    this.#room.view.setUint16(at, inRange(value, 0, 0xffff), false);
  }

  /** Network order. */
  be32(value: number): void {
    const at = this.#advance(4);
    this.#room.view.setUint32(at, inRange(value, 0, 0xffffffff), false);
  }

  bytes(value: Uint8Array): void {
    const at = this.#advance(value.length);
    this.#room.bytes.set(value, at);
  }

  zeros(count: number): void {
    this.#advance(count);
  }

  /** Zeros up to the next multiple of 4. */
  pad(): void {
    this.#advance(align4(this.#length) - this.#length);
  }

  /** Writes a length that was not known when its place was passed. */
  patchU16(at: number, value: number): void {
    this.#room.view.setUint16(at, inRange(value, 0, 0xffff), true);
  }

  /** A copy of what was written. The writer is empty then. */
  take(): Uint8Array {
    const { bytes } = this.#room;
    const taken = bytes.slice(0, this.#length);
    if (bytes.length === FIRST_CAPACITY_BYTES) {
      bytes.fill(0, 0, this.#length);
      spare = this.#room;
    }
    this.#room = NO_ROOM;
    this.#length = 0;
    return taken;
  }

  /**
   * Where `count` bytes may be written; they are zero. Call it in a statement of its own: it may replace the buffer, and
   * `this.#room.view.set(this.#advance(2), ...)` would write into the old one.
   */
  #advance(count: number): number {
    const at = this.#length;
    this.#length += count;
    const { bytes } = this.#room;
    if (this.#length > bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * bytes.length));
      grown.set(bytes);
      this.#room = roomOf(grown);
    }
    return at;
  }
}

function inRange(value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new RangeError(`netlink: ${value} is not an integer of ${least} to ${most}`);
  return value;
}
