/**
 * Answers to the plugin that are nearly right: those of real servers and of our own making, taken apart into frames,
 * changed, and put together again.
 *
 * @module
 */
import { concatBytes, latin1Bytes, uint32At, uint32Bytes } from "../../cni/core/bytes.ts";
import { encodeHeaders, type Header } from "../../cni/core/hpack.ts";
import { encodeFrame, encodeSettings, takeFrame, type Frame } from "../../cni/core/http2-frames.ts";
import { encodeBytes, encodeMessage, encodeUint } from "../../cni/core/protobuf.ts";
import { CAPTURED } from "./captured.ts";
import { mutateBytes } from "./mutate.ts";
import { type Random } from "./random.ts";

/** The pod that the answers are for. */
export const POD = { containerId: "c1", ifName: "eth0", netns: "/run/netns/pod" };

/** `CAPTURED`, taken apart. */
export const CAPTURED_FRAMES = CAPTURED.map(({ hex }) => framesOf(Uint8Array.from(Buffer.from(hex, "hex"))));
const utf8 = new TextEncoder();

/** The bytes of one answer. */
export function replyBytes(random: Random): Uint8Array {
  if (random.oneIn(50)) return random.bytes(300);
  if (random.oneIn(3_000)) return flood(random);
  const frames = [...(random.oneIn(2) ? random.pick(CAPTURED_FRAMES) : composed(random))];
  for (let left = random.below(4); left > 0; left -= 1) changeFrames(random, frames);
  const bytes = concatBytes(
    frames.map(({ type, flags, streamId, payload }) => encodeFrame(type, flags, streamId, payload)),
  );
  return random.oneIn(3) ? mutateBytes(random, bytes) : bytes;
}

function framesOf(bytes: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  for (let rest = bytes; ;) {
    const taken = takeFrame(rest);
    if (taken.kind !== "frame") return frames;
    frames.push(taken.frame);
    rest = taken.rest;
  }
}

function composed(random: Random): readonly Frame[] {
  const trailers = headersFrame(5, trailerList(random));
  const settings = framesOf(encodeSettings(random.oneIn(2) ? [] : [randomSetting(random)]));
  const headers: readonly Header[] = [
    { name: ":status", value: random.oneIn(10) ? random.pick(["404", "100", "", "2000"]) : "200" },
    {
      name: "content-type",
      value: random.oneIn(10) ? random.pick(["text/html", "application/grpc-web", ""]) : "application/grpc",
    },
  ];
  if (random.oneIn(4)) return [...settings, headersFrame(5, [...headers, ...trailerList(random)])];
  const body = framedMessage(random);
  const half = random.below(body.length + 1);
  const parts = random.oneIn(3) ? [body.subarray(0, half), body.subarray(half)] : [body];
  const data = parts.map((payload) => ({ type: 0, flags: 0, streamId: 1, payload }));
  return [...settings, headersFrame(4, headers), ...data, trailers];
}

function headersFrame(flags: number, list: readonly Header[]): Frame {
  return { type: 1, flags, streamId: 1, payload: encodeHeaders(list) };
}

function trailerList(random: Random): readonly Header[] {
  const status = random.pick([
    "0",
    "0",
    "0",
    "0",
    "1",
    "4",
    "8",
    "12",
    "13",
    "14",
    "17",
    "999",
    "-1",
    "00",
    "x",
    "",
  ]);
  const list: Header[] = [{ name: "grpc-status", value: status }];
  if (random.oneIn(2)) list.push({ name: "grpc-message", value: percentText(random) });
  if (random.oneIn(2)) list.push({ name: "terway-fault-bin", value: faultText(random) });
  if (random.oneIn(3)) list.push({ name: "terway-timing", value: percentText(random) });
  if (random.oneIn(40))
    list.push({ name: `x-${"n".repeat(random.below(300))}`, value: "v".repeat(random.below(70_000)) });
  return list;
}

function percentText(random: Random): string {
  const parts = [
    "%",
    "%4",
    "%zz",
    "%ff",
    "%C3%BC",
    "%0A",
    "%00",
    "%E2%80%A8",
    "%22",
    "abc",
    " ",
    "\u00fc",
    "%25",
    "%f0%9f%98%80",
    "x".repeat(5_000),
  ];
  let chosen = "";
  for (let left = random.below(6); left > 0; left -= 1) chosen += random.pick(parts);
  return chosen;
}

/** Base64 of a Fault, with padding or without, or of something else. */
function faultText(random: Random): string {
  const kinds = ["no-address", "not-ready", "cannot-serve", "pods-affected", ""];
  const fault = concatBytes([
    encodeBytes(1, latin1Bytes(random.pick(kinds))),
    encodeUint(2, random.pick([0, 11, 50, 51, 103, 0xff_ff_ff_ff])),
    encodeBytes(
      3,
      utf8.encode(random.pick(["", "no address: größer", "a\nb\u2028", "\u{1f600}".repeat(3_000)])),
    ),
    encodeBytes(4, latin1Bytes(random.pick(["", "wait", "\u00ff\u0000"]))),
  ]);
  const coded = Buffer.from(random.oneIn(4) ? mutateBytes(random, fault) : fault).toString("base64");
  if (random.oneIn(8)) return `${coded}${random.pick(["=", ",AA", "!", " "])}`;
  return random.oneIn(2) ? coded.replaceAll("=", "") : coded;
}

/** A gRPC message with its prefix, which may lie. */
function framedMessage(random: Random): Uint8Array {
  const message = addReply(random);
  const length = random.oneIn(12)
    ? random.pick([0, message.length - 1, message.length + 1, 0xff_ff_ff_ff])
    : message.length;
  const once = concatBytes([Uint8Array.of(random.oneIn(20) ? 1 : 0), uint32Bytes(length >>> 0), message]);
  return random.oneIn(30) ? concatBytes([once, once]) : once;
}

function text(number: number, value: string): Uint8Array {
  return encodeBytes(number, utf8.encode(value));
}

/** An AddReply, which is a valid answer to each other method as well. */
export function addReply(random: Random): Uint8Array {
  const address = random.pick(["10.0.0.5/32", "10.0.0.5/32", "fd00::5/128", "10.0.0.5", "", "/"]);
  const message = concatBytes([
    encodeMessage(1, [
      text(1, POD.ifName),
      text(2, "02:00:00:00:00:01"),
      text(3, random.oneIn(10) ? "" : POD.netns),
      encodeUint(4, random.pick([0, 1500, 0xff_ff_ff_ff])),
    ]),
    encodeMessage(2, [
      text(1, address),
      text(2, random.pick(["", "10.0.0.253"])),
      encodeUint(3, random.pick([0, 0, 0, 1, 0xff_ff_ff_ff])),
    ]),
    ...(random.oneIn(2)
      ? [encodeMessage(3, [text(1, random.pick(["0.0.0.0/0", "::/0", "x"])), text(2, "10.0.0.253")])]
      : []),
  ]);
  return random.oneIn(3) ? mutateBytes(random, message) : message;
}

function changeFrames(random: Random, frames: Frame[]): void {
  const at = random.below(frames.length + 1);
  const frame = frames[at];
  if (frame === undefined || random.oneIn(3)) {
    frames.splice(at, 0, extraFrame(random));
    return;
  }
  switch (random.below(8)) {
    case 0:
      frames.splice(at, 1);
      return;
    case 1:
      frames.splice(at, 0, frame);
      return;
    case 2:
      frames.splice(at, 1, { ...frame, type: random.below(12) });
      return;
    case 3:
      frames.splice(at, 1, { ...frame, flags: random.pick([0, 1, 4, 5, 8, 0x0d, 0x20, 0x2d, 0xff]) });
      return;
    case 4:
      frames.splice(at, 1, { ...frame, streamId: random.pick([0, 1, 2, 3, 0x7f_ff_ff_ff]) });
      return;
    case 5:
      frames.splice(at, 1, { ...frame, payload: mutateBytes(random, frame.payload) });
      return;
    case 6:
      frames.splice(at, 1, ...continued(random, frame));
      return;
    default:
      frames.splice(at, 1, padded(random, frame));
  }
}

/** HEADERS cut into HEADERS and CONTINUATION; another frame stays as it is. */
function continued(random: Random, frame: Frame): readonly Frame[] {
  if (frame.type !== 1) return [frame];
  const half = random.below(frame.payload.length + 1);
  const rest = { type: 9, flags: 4, streamId: frame.streamId, payload: frame.payload.subarray(half) };
  return [{ ...frame, flags: frame.flags & ~4, payload: frame.payload.subarray(0, half) }, rest];
}

/** With padding, which may lie about its length, and with a priority where it is HEADERS. */
function padded(random: Random, frame: Frame): Frame {
  const length = random.below(20);
  const said = random.oneIn(6) ? random.below(256) : length;
  const priority = frame.type === 1 && random.oneIn(2);
  const parts = [
    Uint8Array.of(said),
    new Uint8Array(priority ? 5 : 0),
    frame.payload,
    new Uint8Array(length),
  ];
  return { ...frame, flags: frame.flags | 8 | (priority ? 0x20 : 0), payload: concatBytes(parts) };
}

function plain(type: number, streamId: number, payload: Uint8Array): Frame {
  return { type, flags: 0, streamId, payload };
}

function extraFrame(random: Random): Frame {
  const number = random.pick([0, 1, 2, 7, 100, 65_535, 0x7f_ff_ff_ff, 0xff_ff_ff_ff]);
  switch (random.below(9)) {
    case 0:
      return plain(6, 0, new Uint8Array(random.oneIn(8) ? random.below(20) : 8));
    case 1:
      return plain(4, 0, encodeSettings([randomSetting(random), randomSetting(random)]).subarray(9));
    case 2:
      return plain(8, random.below(3), uint32Bytes(number));
    case 3:
      return plain(
        7,
        0,
        concatBytes([
          uint32Bytes(random.pick([0, 1, 0x7f_ff_ff_ff])),
          uint32Bytes(random.pick([0, 0, number])),
        ]),
      );
    case 4:
      return plain(3, 1, uint32Bytes(number));
    case 5:
      return headersFrame(4, [{ name: ":status", value: random.pick(["100", "103", "200"]) }]);
    case 6:
      return plain(5, 1, random.bytes(20));
    case 7:
      return {
        type: random.below(256),
        flags: random.below(256),
        streamId: random.below(4),
        payload: random.bytes(30),
      };
    default:
      return plain(9, 1, random.bytes(10));
  }
}

function randomSetting(random: Random): readonly [number, number] {
  const value = random.pick([
    0, 1, 100, 16_383, 16_384, 65_535, 0xff_ff_ff, 0x7f_ff_ff_ff, 0x80_00_00_00, 0xff_ff_ff_ff,
  ]);
  return [random.below(8), value];
}

/** The same small frame again and again. */
function flood(random: Random): Uint8Array {
  const { type, flags, streamId, payload } = extraFrame(random);
  const frame = encodeFrame(type, flags, streamId, payload.subarray(0, 40));
  const opening = random.oneIn(2)
    ? encodeFrame(1, 4, 1, encodeHeaders([{ name: ":status", value: "200" }]))
    : uint32Bytes(0).subarray(4);
  const times = 100 + random.below(22_000);
  const all = new Uint8Array(frame.length * times);
  for (let at = 0; at < times; at += 1) all.set(frame, at * frame.length);
  // The length in the frame's header is right, so that all of them count.
  if (uint32At(frame, 0) >>> 8 !== frame.length - 9) throw new Error("a frame of another length");
  return concatBytes([encodeSettings([]), opening, all]);
}
