/**
 * HTTP servers of the simulator.
 *
 * @module
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** Where to listen: an address (port 0: any free one), a unix socket, or a socket that is open already. */
export type Listen =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
  | { readonly fd: number };

/** Clients that keep connections must not find them closed: the usual ones keep theirs for 90 s. */
const KEEP_ALIVE_MS = 120_000;

export type Listener = AsyncDisposable & {
  /** `127.0.0.1:41234`, or the path of the unix socket. */
  readonly endpoint: string;
};

/** Serves until disposed; then open connections are cut. Rejects where the address cannot be had. */
export async function openListener(
  listen: Listen,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Listener> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, (request, response) => {
    handle(request, response).catch((cause: unknown) => {
      // A caller that is gone is none of our business; anything else is a bug and must be seen.
      if (!request.socket.destroyed)
        response.destroy(cause instanceof Error ? cause : new Error(String(cause)));
    });
  });
  server.listen(listen);
  await once(server, "listening");
  return {
    endpoint: endpointOf(server, listen),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function endpointOf(server: Server, listen: Listen): string {
  const address = server.address();
  if (address === null) return "path" in listen ? listen.path : "";
  return typeof address === "string" ? address : `${address.address}:${address.port}`;
}

/** Ends a response with a text. */
export function sendText(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  });
  response.end(body);
}
