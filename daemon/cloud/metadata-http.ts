/**
 * Small HTTP requests on connections that are kept for a moment: what the metadata service needs, and no more.
 *
 * @module
 */
import { Agent, type IncomingMessage, request as openRequest } from "node:http";

export type HttpAnswer =
  | { readonly kind: "answer"; readonly status: number; readonly body: string }
  /** No complete answer: refused, reset, too late, too long. */
  | { readonly kind: "broken"; readonly reason: string };

export type Http = Disposable & {
  /** One attempt; never rejects. */
  request(
    method: "GET" | "PUT",
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer>;
  /** Requests made so far. */
  requests(): number;
};

const SOCKETS_MAX = 6;
const IDLE_SOCKETS_MAX = 1;
const BODY_BYTES_MAX = 64 * 1024;

/** `baseUrl` is `http://HOST[:PORT]`; throws where it is no URL. `timeoutMs` is for the whole of one request. */
export function openHttp(baseUrl: string, timeoutMs: number): Http {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: IDLE_SOCKETS_MAX });
  let count = 0;
  return {
    request(method, path, headers) {
      count += 1;
      const { promise, resolve } = Promise.withResolvers<HttpAnswer>();
      const request = openRequest(new URL(path, baseUrl), { method, headers, agent });
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const end = (answer: HttpAnswer): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      request.once("error", (error) => end({ kind: "broken", reason: error.message }));
      request.once("response", (response) => collect(response, end));
      request.end();
      return promise;
    },
    requests: () => count,
    [Symbol.dispose]: () => agent.destroy(),
  };
}

function collect(response: IncomingMessage, end: (answer: HttpAnswer) => void): void {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  response.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > BODY_BYTES_MAX) response.destroy(new Error(`an answer of more than ${BODY_BYTES_MAX} bytes`));
  });
  response.once("error", (error) => end({ kind: "broken", reason: error.message }));
  response.once("end", () => {
    end({ kind: "answer", status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") });
  });
}
