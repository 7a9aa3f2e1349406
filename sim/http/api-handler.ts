/**
 * The OpenAPI endpoint of ECS and VPC.
 *
 * @module
 */
import { type IncomingMessage, type ServerResponse } from "node:http";
import { type ApiError, apiError } from "../model/api-error.ts";
import { type Model } from "../model/model.ts";
import { businessParameters } from "../model/parameters.ts";
import { errorBody } from "../model/submit.ts";
import { type Reply } from "../model/world.ts";
import { type Clock, type Driver } from "./driver.ts";
import { readIncoming } from "./incoming.ts";
import { sendText } from "./listener.ts";
import { createNonceCache } from "./nonce-cache.ts";
import { type Claim, readClaim, verifyClaim } from "./verify.ts";

const BAD_GATEWAY =
  "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>502 Bad Gateway</body>\r\n</html>\r\n";

/** Handles the calls to one endpoint. Both products answer there. */
export function createApiHandler(
  model: Model,
  driver: Driver,
  clock: Clock,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const nonces = createNonceCache();
  return async (request, response) => {
    const incoming = await readIncoming(request);
    if (incoming === undefined) return refuseLarge(response);
    const claim = readClaim(incoming);
    const refusal =
      incoming.path === "/" && ["GET", "POST"].includes(incoming.method)
        ? undefined
        : apiError("InvalidAction.NotFound", `${incoming.method} ${incoming.path}`);
    const verified = verifyClaim(claim, model, nonces, clock.wallMs());
    if (refusal !== undefined || !verified.ok) {
      const error = refusal ?? (verified.ok ? apiError("InternalError") : verified.fault);
      return sendRefusal(model, driver, response, claim, error);
    }
    const giveUp = driver.call(verified.value, (answer) => sendAnswer(response, answer));
    response.once("close", giveUp);
  };
}

function sendAnswer(response: ServerResponse, answer: Reply["answer"]): void {
  switch (answer.kind) {
    case "json":
      return sendJson(response, answer.status, answer.requestId, answer.body, answer.headers);
    case "html502":
      return sendText(response, 502, "text/html", BAD_GATEWAY);
    case "reset":
      response.socket?.resetAndDestroy();
      return undefined;
    default:
      return answer satisfies never;
  }
}

function sendRefusal(
  model: Model,
  driver: Driver,
  response: ServerResponse,
  claim: Claim,
  error: ApiError,
): void {
  const parameters = businessParameters(claim.parameters);
  const call = { action: claim.action || "(none)", parameters, code: error.code };
  const requestId = model.noteRefused(call, driver.nowMs());
  const product = claim.version === "2016-04-28" ? "vpc" : "ecs";
  sendJson(response, error.status, requestId, errorBody(error, requestId, product));
}

function refuseLarge(response: ServerResponse): void {
  sendText(response, 413, "text/plain", "the body is larger than 1 MiB\n", { connection: "close" });
}

function sendJson(
  response: ServerResponse,
  status: number,
  requestId: string,
  body: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): void {
  const own = { "x-acs-request-id": requestId, ...headers };
  sendText(response, status, "application/json;charset=utf-8", JSON.stringify(body), own);
}
