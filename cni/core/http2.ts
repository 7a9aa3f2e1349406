/**
 * An HTTP/2 client for one request on one connection, without a socket: bytes in, bytes out. The whole opening (preface,
 * SETTINGS, HEADERS, DATA) goes out in one write, before the server said anything.
 * Source: RFC 9113.
 *
 * @module
 */
import { concatBytes, latin1Bytes, uint32At, uint32Bytes } from "./bytes.ts";
import { decodeHeaders, encodeHeaders, HEADER_LIST_BYTES_MAX, type Header } from "./hpack.ts";
import {
  bareContent,
  encodeFrame,
  encodeSettings,
  errorName,
  FLAG,
  FRAME,
  FRAME_BYTES_MAX,
  SETTING,
  takeFrame,
  type Frame,
} from "./http2-frames.ts";

/** A whole answer. `trailers` are the headers themselves where the answer has no body. */
export type Response = {
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
  readonly trailers: readonly Header[];
};

/** How a conversation ends. */
export type Http2End =
  | { readonly kind: "response"; readonly response: Response }
  /**
   * The server speaks HTTP/2 but gave up on the request; another try can help. `begun` is false where the server says that
   * it did nothing for it (sections 6.8 and 8.7): then another try is safe, whatever the request does.
   */
  | { readonly kind: "refused"; readonly begun: boolean; readonly reason: string }
  /** What came is not HTTP/2, or breaks its rules or our bounds. */
  | { readonly kind: "broken"; readonly reason: string };

/** What to do next: write `send` (may be empty) and read on, or stop. */
export type Http2Step = { readonly kind: "more"; readonly send: Uint8Array } | Http2End;

/** One request and its answer. */
export type Http2Call = {
  /** To be written first, at once. */
  readonly opening: Uint8Array;
  /** Takes what was read, cut anywhere; keeps no view of it. After an end it repeats that end. Never throws. */
  readonly feed: (bytes: Uint8Array) => Http2Step;
};

/** Four MiB, which gRPC has as its bound, and the five bytes before a message. An answer has some hundred bytes. */
const BODY_BYTES_MAX = 4_194_304 + 5;
/** Header block of one HEADERS with its CONTINUATIONs. */
const HEADER_BLOCK_BYTES_MAX = 65_536;
/** Frames of one header block: the longest has five, unless it is cut finer than anybody does. */
const HEADER_BLOCK_FRAMES_MAX = 64;
/** Informational answers (1xx) before the real one. */
const INFORMATIONAL_MAX = 16;
/** Frames in one answer, so that a flood of empty ones ends. */
const FRAMES_MAX = 20_000;
/** Of these, the ones that ask for an answer of ours (SETTINGS and PING). */
const ANSWERED_MAX = 1_000;
/** All bytes from the server, so that a flood of what is passed over ends. */
const BYTES_MAX = 16_777_216;
/** RFC 9113 section 6.9.2: both windows of a new connection. */
const INITIAL_WINDOW = 65_535;
const WINDOW_MAX = 0x7f_ff_ff_ff;
/** Above the largest body with its padding, so that the server never waits for a WINDOW_UPDATE of ours. */
const OUR_WINDOW = 8_388_608;
/** The first and only stream. */
const STREAM = 1;
/** Section 7: the server did nothing for the request. */
const REFUSED_STREAM = 7;

type State = {
  /** Pieces of a frame that has not come whole: `have` bytes, of which nothing is known before there are `need`. */
  pieces: Uint8Array[];
  have: number;
  need: number;
  bytes: number;
  frames: number;
  answered: number;
  informational: number;
  end: Http2End | undefined;
  /** Names of the headers whose values matter; all, where it is not given. */
  readonly wanted: readonly string[] | undefined;
  /** How much the server lets us send, on the connection and on the stream. */
  connectionWindow: number;
  streamWindow: number;
  peerInitialWindow: number;
  unsent: Uint8Array;
  /** A header block whose last part has not come. */
  block: { readonly parts: Uint8Array[]; bytes: number; readonly endsStream: boolean } | undefined;
  headers: readonly Header[] | undefined;
  body: Uint8Array[];
  bodyBytes: number;
  /** Bytes of the body and its padding, which our window counts. */
  windowUsed: number;
};

/**
 * A POST-like request: `headers` with the pseudo headers first, and a body that is not empty. The answer has the pseudo
 * headers and those whose names are in `wanted`; where it is not given, all.
 */
export function openHttp2Call(
  headers: readonly Header[],
  body: Uint8Array,
  wanted?: readonly string[],
): Http2Call {
  const state: State = {
    pieces: [],
    have: 0,
    need: 0,
    bytes: 0,
    frames: 0,
    answered: 0,
    informational: 0,
    end: undefined,
    wanted,
    connectionWindow: INITIAL_WINDOW,
    streamWindow: INITIAL_WINDOW,
    peerInitialWindow: INITIAL_WINDOW,
    unsent: body,
    block: undefined,
    headers: undefined,
    body: [],
    bodyBytes: 0,
    windowUsed: 0,
  };
  const opening = [
    latin1Bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    encodeSettings([
      [SETTING.headerTableSize, 0],
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, OUR_WINDOW],
      [SETTING.maxHeaderListSize, HEADER_LIST_BYTES_MAX],
    ]),
    encodeFrame(FRAME.windowUpdate, 0, 0, uint32Bytes(OUR_WINDOW - INITIAL_WINDOW)),
    ...encodeHeaderFrames(encodeHeaders(headers)),
  ];
  sendAllowed(state, opening);
  return { opening: concatBytes(opening), feed: (bytes) => feed(state, bytes) };
}

function feed(state: State, bytes: Uint8Array): Http2Step {
  if (state.end !== undefined) return state.end;
  state.bytes += bytes.length;
  if (state.bytes > BYTES_MAX) {
    state.end = broken(`more than ${BYTES_MAX} bytes`);
    return state.end;
  }
  // Pieces are put together once a frame can be whole: a server that writes byte by byte costs no copies of copies.
  if (state.have + bytes.length < state.need) {
    state.pieces.push(concatBytes([bytes]));
    state.have += bytes.length;
    return { kind: "more", send: new Uint8Array(0) };
  }
  const send: Uint8Array[] = [];
  let buffer = state.have === 0 ? bytes : concatBytes([...state.pieces, bytes]);
  for (;;) {
    const taken = takeFrame(buffer);
    if (taken.kind === "short") {
      state.pieces = [concatBytes([buffer])];
      state.have = buffer.length;
      state.need = taken.needBytes;
      return { kind: "more", send: concatBytes(send) };
    }
    state.end = taken.kind === "too-long" ? broken("a frame is too long") : onFrame(state, taken.frame, send);
    if (state.end !== undefined) return state.end;
    if (taken.kind === "frame") buffer = taken.rest;
  }
}

/** One frame's effect; an end, or `undefined` to read on. */
function onFrame(state: State, frame: Frame, send: Uint8Array[]): Http2End | undefined {
  state.frames += 1;
  if (state.frames > FRAMES_MAX) return broken("too many frames");
  if (state.frames === 1 && (frame.type !== FRAME.settings || (frame.flags & FLAG.ack) !== 0)) {
    return broken("it does not begin with SETTINGS");
  }
  if (state.block !== undefined && frame.type !== FRAME.continuation) {
    return broken("a header block is interrupted");
  }
  switch (frame.type) {
    case FRAME.data:
      return onData(state, frame);
    case FRAME.headers:
      return onHeaders(state, frame);
    case FRAME.continuation:
      return onContinuation(state, frame);
    case FRAME.rstStream:
      return onReset(frame);
    case FRAME.settings:
      return onSettings(state, frame, send);
    case FRAME.pushPromise:
      return broken("a PUSH_PROMISE, which was forbidden");
    case FRAME.ping:
      if (frame.payload.length !== 8 || frame.streamId !== 0) return broken("a malformed PING");
      if ((frame.flags & FLAG.ack) !== 0) return undefined;
      return acknowledge(state, send, encodeFrame(FRAME.ping, FLAG.ack, 0, frame.payload));
    case FRAME.goAway:
      return onGoAway(frame);
    case FRAME.windowUpdate:
      return onWindowUpdate(state, frame, send);
    default:
      return undefined; // Section 4.1: unknown types are ignored; PRIORITY has no meaning any more.
  }
}

function acknowledge(state: State, send: Uint8Array[], ack: Uint8Array): Http2End | undefined {
  state.answered += 1;
  if (state.answered > ANSWERED_MAX) return broken("too many SETTINGS and PING");
  send.push(ack);
  return undefined;
}

function onData(state: State, frame: Frame): Http2End | undefined {
  const content = bareContent(frame);
  if (frame.streamId !== STREAM || content === undefined) return broken("a malformed DATA");
  if (state.headers === undefined) return broken("DATA before HEADERS");
  state.windowUsed += frame.payload.length;
  if (state.windowUsed > OUR_WINDOW) return broken("more DATA than the window lets through");
  state.bodyBytes += content.length;
  if (state.bodyBytes > BODY_BYTES_MAX) return broken(`an answer of more than ${BODY_BYTES_MAX} bytes`);
  state.body.push(concatBytes([content]));
  if ((frame.flags & FLAG.endStream) === 0) return undefined;
  return respond(state, state.headers, state.headers);
}

function onHeaders(state: State, frame: Frame): Http2End | undefined {
  const content = bareContent(frame);
  if (frame.streamId !== STREAM || content === undefined) return broken("a malformed HEADERS");
  state.block = { parts: [], bytes: 0, endsStream: (frame.flags & FLAG.endStream) !== 0 };
  return onBlockPart(state, content, frame.flags);
}

function onContinuation(state: State, frame: Frame): Http2End | undefined {
  if (frame.streamId !== STREAM) return broken("a malformed CONTINUATION");
  return onBlockPart(state, frame.payload, frame.flags);
}

function onBlockPart(state: State, part: Uint8Array, flags: number): Http2End | undefined {
  const block = state.block;
  if (block === undefined) return broken("a CONTINUATION without HEADERS");
  block.parts.push(concatBytes([part]));
  block.bytes += part.length;
  if (block.bytes > HEADER_BLOCK_BYTES_MAX) return broken("a header block is too long");
  if (block.parts.length > HEADER_BLOCK_FRAMES_MAX) return broken("a header block of too many frames");
  if ((flags & FLAG.endHeaders) === 0) return undefined;
  state.block = undefined;
  const decoded = decodeHeaders(concatBytes(block.parts), state.wanted);
  return decoded.ok ? onHeaderList(state, decoded.value, block.endsStream) : broken(decoded.fault);
}

/** Section 8.1: informational answers (1xx), then the real headers, then trailers. */
function onHeaderList(state: State, list: readonly Header[], endsStream: boolean): Http2End | undefined {
  const status = headerValue(list, ":status");
  if (state.headers !== undefined) {
    if (!endsStream) return broken("trailers that do not end the answer");
    return status === undefined ? respond(state, state.headers, list) : broken("trailers with a status");
  }
  if (status?.startsWith("1") === true) {
    state.informational += 1;
    if (endsStream) return broken("an informational answer that ends the call");
    return state.informational > INFORMATIONAL_MAX ? broken("too many informational answers") : undefined;
  }
  if (endsStream) return respond(state, list, list);
  state.headers = list;
  return undefined;
}

function respond(state: State, headers: readonly Header[], trailers: readonly Header[]): Http2End {
  return { kind: "response", response: { headers, body: concatBytes(state.body), trailers } };
}

/** The first header of that name. */
export function headerValue(headers: readonly Header[], name: string): string | undefined {
  return headers.find((header) => header.name === name)?.value;
}

function onReset(frame: Frame): Http2End | undefined {
  if (frame.payload.length !== 4 || frame.streamId !== STREAM) return broken("a malformed RST_STREAM");
  const code = uint32At(frame.payload, 0);
  return {
    kind: "refused",
    begun: code !== REFUSED_STREAM,
    reason: `the call was reset (${errorName(code)})`,
  };
}

function onGoAway(frame: Frame): Http2End | undefined {
  if (frame.payload.length < 8 || frame.streamId !== 0) return broken("a malformed GOAWAY");
  const lastStream = uint32At(frame.payload, 0) & 0x7f_ff_ff_ff;
  const code = uint32At(frame.payload, 4);
  // Section 6.8: with NO_ERROR, the streams up to the last one are still answered.
  if (code === 0 && lastStream >= STREAM) return undefined;
  const begun = lastStream >= STREAM;
  return { kind: "refused", begun, reason: `the connection is being closed (${errorName(code)})` };
}

function onSettings(state: State, frame: Frame, send: Uint8Array[]): Http2End | undefined {
  const { payload } = frame;
  if (frame.streamId !== 0 || payload.length % 6 !== 0) return broken("a malformed SETTINGS");
  if ((frame.flags & FLAG.ack) !== 0)
    return payload.length === 0 ? undefined : broken("a malformed SETTINGS");
  for (let at = 0; at < payload.length; at += 6) {
    const id = uint32At(payload, at) >>> 16;
    const value = uint32At(payload, at + 2);
    if (isForbiddenSetting(id, value)) return broken("a setting that is not allowed");
    if (id !== SETTING.initialWindowSize) continue;
    state.streamWindow += value - state.peerInitialWindow;
    state.peerInitialWindow = value;
    if (Math.max(value, state.streamWindow) > WINDOW_MAX) return broken("a window that is too large");
  }
  const end = acknowledge(state, send, encodeFrame(FRAME.settings, FLAG.ack, 0, new Uint8Array(0)));
  sendAllowed(state, send);
  return end;
}

/** Section 6.5.2. A larger SETTINGS_MAX_FRAME_SIZE is not made use of. */
function isForbiddenSetting(id: number, value: number): boolean {
  if (id === SETTING.enablePush) return value !== 0;
  return id === SETTING.maxFrameSize && (value < FRAME_BYTES_MAX || value > 0xff_ff_ff);
}

function onWindowUpdate(state: State, frame: Frame, send: Uint8Array[]): Http2End | undefined {
  const increment = uint32At(frame.payload, 0) & 0x7f_ff_ff_ff;
  if (frame.payload.length !== 4 || increment === 0 || frame.streamId > STREAM) {
    return broken("a malformed WINDOW_UPDATE");
  }
  if (frame.streamId === STREAM) state.streamWindow += increment;
  else state.connectionWindow += increment;
  if (Math.max(state.connectionWindow, state.streamWindow) > WINDOW_MAX) {
    return broken("a window that is too large");
  }
  sendAllowed(state, send);
  return undefined;
}

/** As much of the request's body as the server's windows let through (section 6.9.1). */
function sendAllowed(state: State, send: Uint8Array[]): void {
  while (state.unsent.length > 0) {
    const length = Math.min(state.unsent.length, FRAME_BYTES_MAX, state.connectionWindow, state.streamWindow);
    if (length <= 0) return;
    const part = state.unsent.subarray(0, length);
    state.unsent = state.unsent.subarray(length);
    state.connectionWindow -= length;
    state.streamWindow -= length;
    const flags = state.unsent.length === 0 ? FLAG.endStream : 0;
    send.push(encodeFrame(FRAME.data, flags, STREAM, part));
  }
}

function encodeHeaderFrames(block: Uint8Array): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < block.length; at += FRAME_BYTES_MAX) {
    const type = at === 0 ? FRAME.headers : FRAME.continuation;
    const flags = at + FRAME_BYTES_MAX >= block.length ? FLAG.endHeaders : 0;
    frames.push(encodeFrame(type, flags, STREAM, block.subarray(at, at + FRAME_BYTES_MAX)));
  }
  return frames;
}

function broken(reason: string): Http2End {
  return { kind: "broken", reason };
}
