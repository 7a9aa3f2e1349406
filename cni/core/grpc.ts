/**
 * One unary gRPC call over `http2.ts`.
 * Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`, `doc/statuscodes.md`.
 *
 * @module
 */
import { FAULT_TRAILER, TIMING_TRAILER } from "../../proto/paths.ts";
import { decodeBase64 } from "./base64.ts";
import { concatBytes, uint32At, uint32Bytes } from "./bytes.ts";
import { type Header } from "./hpack.ts";
import { headerValue, openHttp2Call, type Response } from "./http2.ts";
import { type Utf8 } from "./input.ts";
import { decodeFault, type AgentFault } from "./messages.ts";

/** How a call ends. */
export type GrpcEnd =
  /** Status OK, with the message. `timing` is the agent's account of where the time went, where it sent one. */
  | { readonly kind: "reply"; readonly message: Uint8Array; readonly timing?: string }
  /** Another status. `fault` is there where the agent sent one that can be read. */
  | { readonly kind: "status"; readonly code: number; readonly message: string; readonly fault?: AgentFault }
  /** The server gave up on the call before it had a status. `begun` as in `Http2End`. */
  | { readonly kind: "refused"; readonly begun: boolean; readonly reason: string }
  /** What came is not gRPC. */
  | { readonly kind: "broken"; readonly reason: string };

/** What to do next: write `send` (may be empty) and read on, or stop. */
export type GrpcStep = { readonly kind: "more"; readonly send: Uint8Array } | GrpcEnd;

/** As `Http2Call`: write `opening`, then feed what comes. */
export type GrpcCall = {
  readonly opening: Uint8Array;
  readonly feed: (bytes: Uint8Array) => GrpcStep;
};

/** What is called, with what. */
export type GrpcRequest = {
  /** "/package.Service/Method" */
  readonly path: string;
  readonly message: Uint8Array;
  /** Integer, at most 8 digits. */
  readonly timeoutMs: number;
  /** Further headers: names in lower case, values printable ASCII. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Is `timing` of the reply looked at? It is in Huffman code, and reading that is most of the work of a reply. */
  readonly wantsTiming?: boolean;
};

/** Compressed flag and length. */
const MESSAGE_PREFIX_BYTES = 5;
/** The headers and trailers that are looked at, apart from ":status". */
const WANTED = ["content-type", "grpc-status", "grpc-message", FAULT_TRAILER];
const CONTENT_TYPE = "application/grpc";

/** A call without compression, on a connection of its own. */
export function openGrpcCall(request: GrpcRequest, utf8: Utf8): GrpcCall {
  const headers: readonly Header[] = [
    { name: ":method", value: "POST" },
    { name: ":scheme", value: "http" },
    { name: ":path", value: request.path },
    { name: ":authority", value: "localhost" },
    { name: "te", value: "trailers" },
    { name: "content-type", value: "application/grpc" },
    { name: "user-agent", value: "terway-cni" },
    { name: "grpc-timeout", value: `${request.timeoutMs}m` },
    ...Object.entries(request.metadata).map(([name, value]) => ({ name, value })),
  ];
  const wanted = request.wantsTiming === true ? [...WANTED, TIMING_TRAILER] : WANTED;
  const prefix = [Uint8Array.of(0), uint32Bytes(request.message.length)];
  const http2 = openHttp2Call(headers, concatBytes([...prefix, request.message]), wanted);
  return {
    opening: http2.opening,
    feed: (bytes) => {
      const step = http2.feed(bytes);
      return step.kind === "response" ? readResponse(step.response, utf8) : step;
    },
  };
}

function readResponse({ headers, body, trailers }: Response, utf8: Utf8): GrpcEnd {
  const httpStatus = headerValue(headers, ":status");
  if (httpStatus !== "200") return broken(`HTTP status ${httpStatus?.slice(0, 8) ?? "missing"}`);
  const contentType = headerValue(headers, "content-type") ?? "missing";
  if (!isGrpc(contentType)) return broken(`content type ${contentType.slice(0, 80)}`);
  const status = headerValue(trailers, "grpc-status");
  if (status === undefined) return broken("no grpc-status");
  const code = parseStatus(status);
  if (code === undefined) return broken(`grpc-status ${JSON.stringify(status.slice(0, 8))}`);
  if (code !== 0) {
    const message = decodePercent(headerValue(trailers, "grpc-message") ?? "", utf8);
    const fault = readFault(headerValue(trailers, FAULT_TRAILER), utf8);
    return { kind: "status", code, message, ...(fault && { fault }) };
  }
  if (body.length < MESSAGE_PREFIX_BYTES) return broken("no message");
  if (body[0] !== 0) return broken("a compressed message, which was not asked for");
  if (uint32At(body, 1) !== body.length - MESSAGE_PREFIX_BYTES) return broken("not exactly one message");
  const timing = headerValue(trailers, TIMING_TRAILER);
  const message = body.subarray(MESSAGE_PREFIX_BYTES);
  return { kind: "reply", message, ...(timing !== undefined && { timing }) };
}

/** "application/grpc", maybe with a message format ("+proto") or parameters. */
function isGrpc(contentType: string): boolean {
  const after = contentType.charAt(CONTENT_TYPE.length);
  return contentType.startsWith(CONTENT_TYPE) && (after === "" || after === "+" || after === ";");
}

/** Decimal without sign and without zeros before it; codes above 16 may come one day. */
function parseStatus(text: string): number | undefined {
  if (text === "" || text.length > 3 || (text.length > 1 && text.startsWith("0"))) return undefined;
  let code = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    code = code * 10 + digit;
  }
  return code;
}

/** "Percent-Encoded" of the gRPC protocol: what is not a well-formed %XX stands for itself. */
export function decodePercent(text: string, utf8: Utf8): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const [high, low] = [hexDigit(text.charCodeAt(at + 1)), hexDigit(text.charCodeAt(at + 2))];
    if (text.charAt(at) === "%" && high !== undefined && low !== undefined) {
      bytes.push(high * 16 + low);
      at += 2;
    } else bytes.push(text.charCodeAt(at));
  }
  return utf8.decode(Uint8Array.from(bytes));
}

function hexDigit(code: number): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : undefined;
}

/** A trailer that cannot be read is as good as none: the status remains. */
function readFault(value: string | undefined, utf8: Utf8): AgentFault | undefined {
  const bytes = value === undefined ? undefined : decodeBase64(value);
  const fault = bytes && decodeFault(bytes, utf8);
  return fault?.ok === true ? fault.value : undefined;
}

function broken(reason: string): GrpcEnd {
  return { kind: "broken", reason };
}
