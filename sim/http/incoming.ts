/**
 * A request of HTTP, read whole.
 *
 * @module
 */
import { type IncomingMessage } from "node:http";

const LARGEST_BODY = 1_048_576;

export type Incoming = {
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** Decoded; of a name that is there twice the last value. */
  readonly query: Readonly<Record<string, string>>;
  /** Value of a header, empty where it is absent; names in lower case. */
  readonly headerOf: (name: string) => string;
  readonly headerNames: readonly string[];
  readonly body: Buffer;
  /** Address of the caller without the prefix of mapped IPv4; empty for a unix socket. */
  readonly remoteAddress: string;
};

/** `undefined` where the body is larger than 1 MiB. Rejects where the connection ends before the body does. */
export async function readIncoming(request: IncomingMessage): Promise<Incoming | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error("a body that is not bytes");
    length += chunk.length;
    if (length > LARGEST_BODY) return undefined;
    chunks.push(chunk);
  }
  const [path = "", ...rest] = (request.url ?? "/").split("?");
  const headerOf = (name: string): string => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(",") : (value ?? "");
  };
  return {
    method: request.method ?? "GET",
    path,
    query: parseForm(rest.join("?")),
    headerOf,
    headerNames: Object.keys(request.headers),
    body: Buffer.concat(chunks),
    remoteAddress: (request.socket.remoteAddress ?? "").replace(/^::ffff:/, ""),
  };
}

/** `a=1&b=`, with `+` for a space. Empty values stay: they may be signed. */
export function parseForm(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(new URLSearchParams(text));
}
