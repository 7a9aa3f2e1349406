/**
 * The operator's side of a simulator that is up: JSON over HTTP on its unix socket.
 *
 * @module
 */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import * as z from "zod";
import { failed, ok, type Result } from "../../proto/result.ts";
import { isAlive } from "./process-identity.ts";
import { filesOf, readServing } from "./run-directory.ts";
import { reasonOf, type VerbFailure, verbFailure } from "./verb.ts";

const TIMEOUT_MS = 10_000;

/** A request to the operator's API. */
export type OperatorRequest = {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
};

/**
 * Asks the simulator `name` and reads the answer by `schema`. The failure says what to do: a dead process, a refusal
 * in the simulator's own words, no answer within 10 seconds.
 */
export async function askOperator<Answer>(
  name: string,
  asked: OperatorRequest,
  schema: z.ZodType<Answer>,
): Promise<Result<Answer, VerbFailure>> {
  const serving = await readServing(name);
  if (serving === undefined || !(await isAlive(serving))) return verbFailure(deadText(name));
  try {
    const { status, body } = await send(filesOf(name).operatorSocket, asked);
    if (status >= 200 && status < 300) return ok(schema.parse(JSON.parse(body)));
    return failed({ kind: "failed", message: refusalText(status, body) });
  } catch (cause) {
    return verbFailure(`${name} gives no usable answer to ${asked.method} ${asked.path}: ${reasonOf(cause)}`);
  }
}

/** What a simulator is whose process was killed. */
export function deadText(name: string): string {
  return `the process of ${name} is gone, its namespaces are still there; remove them with: terway-sim down --name ${name}`;
}

const refusal = z.object({ error: z.string() });

function refusalText(status: number, body: string): string {
  try {
    return refusal.parse(JSON.parse(body)).error;
  } catch {
    return `HTTP status ${status}: ${body.slice(0, 200)}`;
  }
}

function send(
  socketPath: string,
  { method, path, body }: OperatorRequest,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const call = request({ socketPath, method, path, headers, signal, agent: false }, (answer) => {
      text(answer).then((received) => resolve({ status: answer.statusCode ?? 0, body: received }), reject);
    });
    call.once("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
