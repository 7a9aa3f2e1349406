/**
 * ADD and DEL over the agent's socket as the plugin calls it, one HTTP/2 connection for each call, without the exec of a
 * plugin: shows what the agent alone costs.
 *
 * @module
 */
import { connect, type IncomingHttpHeaders } from "node:http2";
import { PROTOCOL } from "../proto/paths.ts";
import { encoderOf, withPrefix } from "./agent-messages.ts";
import { type Container } from "./contender.ts";
import { CNI_CONF } from "./topology.ts";

/** As the plugin gives it. */
const DEADLINE_MS = 90_000;

/** The agent over its socket. */
export type DirectCalls = {
  /** One connection, one call; milliseconds from connect until the connection is closed. Throws where it is refused. */
  readonly exec: (verb: "ADD" | "DEL", container: Container) => Promise<number>;
};

/** `socketPath`: of an agent that serves. */
export function openDirectCalls(socketPath: string): DirectCalls {
  const encode = { ADD: encoderOf("AddRequest"), DEL: encoderOf("DelRequest") };
  const config = Buffer.from(CNI_CONF);
  return {
    async exec(verb, { id, netns }) {
      const body = encode[verb]({
        call: { protocol: PROTOCOL, deadlineMs: DEADLINE_MS, traceparent: "", config },
        attachment: { network: "terway", containerId: id, ifname: "eth0" },
        netns: `/run/netns/${netns}`,
        cniArgs: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id};K8S_POD_INFRA_CONTAINER_ID=${id}`,
      });
      return unary(socketPath, verb === "ADD" ? "Add" : "Del", body);
    },
  };
}

/** gRPC over HTTP/2 by hand: a client library would cost more than the agent that is measured. */
function unary(socketPath: string, method: string, body: Buffer): Promise<number> {
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    const session = connect("http://localhost", { path: socketPath });
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": `/terway.agent.v1.Agent/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status = "none";
    let message = "";
    const look = (headers: IncomingHttpHeaders): void => {
      status = textOf(headers["grpc-status"]) ?? status;
      message = textOf(headers["grpc-message"]) ?? message;
    };
    stream.on("response", look);
    stream.on("trailers", look);
    stream.on("error", reject);
    stream.on("close", () => {
      session.destroy();
      if (status === "0") resolve(performance.now() - startedMs);
      else reject(new Error(`${method}: gRPC status ${status} ${decodeURIComponent(message)}`));
    });
    stream.resume();
    stream.end(withPrefix(body));
  });
}

function textOf(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === "string" ? header : header?.join();
}
