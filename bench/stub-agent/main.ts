/**
 * An agent that answers every ADD at once with the same result and every DEL with success, over real HTTP/2: what is
 * measured beside it is the plugin.
 *
 *     node bench/stub-agent/main.ts SOCKET NETNS
 *
 * The result is for the interface eth0 in the network namespace at the path NETNS. SIGTERM ends it; it prints one line of JSON for each call, in the order of connections, with times of CLOCK_MONOTONIC in
 * microseconds: `connectedUs` when the connection was accepted, `answeredUs` when the answer was complete.
 *
 * @module
 */
import { createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { encoderOf, withPrefix } from "../agent-messages.ts";

function resultIn(netns: string): object {
  return {
    interfaces: [
      { name: "tw0123456789abc", mac: "00:16:3e:00:00:01", sandbox: "", mtu: 1500 },
      { name: "eth0", mac: "00:16:3e:00:00:02", sandbox: netns, mtu: 1500 },
    ],
    ips: [{ address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 }],
    routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
  };
}

type Stamps = { readonly connectedUs: number; answeredUs?: number };

function nowUs(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

function main(socketPath: string, netns: string): void {
  const added = withPrefix(encoderOf("AddReply")(resultIn(netns)));
  const deleted = withPrefix(encoderOf("DelReply")({}));
  const calls: Stamps[] = [];
  const byConnection = new WeakMap<Http2Session, Stamps>();
  const server = createServer();
  server.on("session", (session) => {
    const stamps: Stamps = { connectedUs: nowUs() };
    calls.push(stamps);
    byConnection.set(session, stamps);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const { session } = stream;
    stream.on("error", () => undefined);
    stream.on("wantTrailers", () => {
      stream.sendTrailers({ "grpc-status": "0" });
      const stamps = session === undefined ? undefined : byConnection.get(session);
      if (stamps !== undefined) stamps.answeredUs = nowUs();
    });
    stream.resume();
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.end(headers[":path"]?.endsWith("/Add") === true ? added : deleted);
    });
  });
  process.once("SIGTERM", () => {
    process.stdout.write(calls.map((stamps) => `${JSON.stringify(stamps)}\n`).join(""), () =>
      process.exit(0),
    );
  });
  server.listen(socketPath);
}

const [socketPath, netns] = process.argv.slice(2);
if (socketPath === undefined || netns === undefined) throw new Error("usage: stub-agent SOCKET NETNS");
main(socketPath, netns);
