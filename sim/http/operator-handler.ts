/**
 * The operator's endpoint: JSON below `/_sim/`. It has no authentication; it belongs on a unix socket.
 *
 * @module
 */
import { type IncomingMessage, type ServerResponse } from "node:http";
import * as z from "zod";
import { type Result } from "../../proto/result.ts";
import { latencyChangesSchema } from "../model/latencies.ts";
import { issuesText } from "../model/orders.ts";
import { type Incoming, readIncoming } from "./incoming.ts";
import { sendText } from "./listener.ts";
import { type Operator } from "./operator.ts";

/** The body of a refusal is `{"error": …}`. */
type Answer = { readonly status: number; readonly body: unknown };

const drainSchema = z.strictObject({ leave: z.number().int().min(0).default(0) });

/** Handles the requests of operators. */
export function createOperatorHandler(
  operator: Operator,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const incoming = await readIncoming(request);
    const { status, body } =
      incoming === undefined
        ? refused(413, "the body is larger than 1 MiB")
        : await answer(operator, incoming);
    sendText(response, status, "application/json", `${JSON.stringify(body)}\n`);
  };
}

async function answer(operator: Operator, incoming: Incoming): Promise<Answer> {
  const body = parseBody(incoming);
  if (body === undefined) return refused(400, "the body is not JSON");
  const [, vSwitch = "", verb] = /^\/_sim\/vswitches\/([\w-]+)\/(drain|refill)$/.exec(incoming.path) ?? [];
  const [, faultId] = /^\/_sim\/faults\/([\w-]+)$/.exec(incoming.path) ?? [];
  const route = `${incoming.method} ${incoming.path}`;
  switch (route) {
    case "GET /_sim/status":
      return done(operator.status());
    case "GET /_sim/state":
      return done(await operator.state());
    case "GET /_sim/topology":
      return done(operator.topology);
    case "GET /_sim/calls":
      return done(operator.calls());
    case "GET /_sim/faults":
      return done({ faults: operator.faults() });
    case "POST /_sim/faults":
      return settled(operator.order(body.value), 201);
    case "DELETE /_sim/faults":
      operator.clearFaults();
      return done({ faults: [] });
    case "GET /_sim/latencies":
      return done(operator.latencies());
    case "POST /_sim/latencies":
      return checked(latencyChangesSchema.safeParse(body.value), (changes) =>
        done(operator.changeLatencies(changes)),
      );
    case `POST /_sim/vswitches/${vSwitch}/drain`:
      return checked(drainSchema.safeParse(body.value ?? {}), ({ leave }) =>
        settled(operator.drain(vSwitch, leave), 200),
      );
    case `POST /_sim/vswitches/${vSwitch}/refill`:
      return settled(operator.refill(vSwitch), 200);
    case `DELETE /_sim/faults/${faultId}`:
      return operator.removeFault(faultId ?? "") ? done({}) : refused(404, `there is no fault ${faultId}`);
    default:
      return refused(404, `there is no ${route}${verb === undefined ? "" : `; use POST for ${verb}`}`);
  }
}

/** `undefined` where it is not JSON; the value is `undefined` where the body is empty. */
function parseBody(incoming: Incoming): { readonly value: unknown } | undefined {
  const text = incoming.body.toString("utf8");
  if (text.trim() === "") return { value: undefined };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function done(body: unknown): Answer {
  return { status: 200, body };
}

function refused(status: number, error: string): Answer {
  return { status, body: { error } };
}

function settled(result: Result<unknown, string>, status: number): Answer {
  return result.ok ? { status, body: result.value } : refused(400, result.fault);
}

function checked<Value>(
  parsed: { success: true; data: Value } | { success: false; error: z.ZodError },
  act: (value: Value) => Answer,
): Answer {
  return parsed.success ? act(parsed.data) : refused(400, issuesText(parsed.error));
}
