/**
 * The endpoint of the metadata service.
 *
 * @module
 */
import { type IncomingMessage, type ServerResponse } from "node:http";
import { type InstanceId } from "../../proto/ids.ts";
import { type Model } from "../model/model.ts";
import { type Clock, type Driver } from "./driver.ts";
import { readIncoming } from "./incoming.ts";
import { sendText } from "./listener.ts";

/** Answers the instance whose address the caller has, or always `instance` where it is given. */
export function createMetadataHandler(
  model: Model,
  driver: Driver,
  clock: Clock,
  instance: InstanceId | undefined,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const incoming = await readIncoming(request);
    const caller = instance ?? model.instanceBySourceIp(incoming?.remoteAddress ?? "");
    if (incoming === undefined || caller === undefined) {
      return sendText(
        response,
        404,
        "text/plain",
        `no instance has the address ${incoming?.remoteAddress}\n`,
      );
    }
    const answer = model.metadata(
      {
        instance: caller,
        method: incoming.method,
        path: incoming.path,
        token: headerOrNone(incoming.headerOf("x-aliyun-ecs-metadata-token")),
        ttlSeconds: headerOrNone(incoming.headerOf("x-aliyun-ecs-metadata-token-ttl-seconds")),
      },
      driver.nowMs(),
      clock.wallMs(),
    );
    driver.pump();
    sendText(response, answer.status, "text/plain; charset=utf-8", answer.body);
  };
}

function headerOrNone(value: string): string | undefined {
  return value === "" ? undefined : value;
}
