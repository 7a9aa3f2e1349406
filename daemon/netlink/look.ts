/**
 * Looking at single things of the kernel, for checks: what is not there is a value, and only what could not be asked a fault.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { answerFault, type Client, GONE, type Place } from "./client.ts";
import { attributesOf } from "./codec/attribute.ts";
import { type RawMessage } from "./codec/header.ts";
import { AF } from "./codec/ip.ts";
import { type Link } from "./codec/link.ts";
import { type Request } from "./codec/request.ts";
import { spanOf } from "./codec/wire.ts";

/** What each request, a get of one thing, was answered with, decoded; `undefined` where there is no such thing. */
export async function lookAt<Value>(
  client: Client,
  what: string,
  requests: readonly Request[],
  decode: (message: RawMessage) => Value,
  place?: Place,
): Promise<Result<readonly (Value | undefined)[]>> {
  if (requests.length === 0) return ok([]);
  const answers = await client.ask([{ family: "route", ...place, requests, ack: "each" }]);
  if (!answers.ok) return answers;
  const given = answers.value[0] ?? [];
  const refused = given.find((answer) => answer.kind !== "done" && !isGone(answer));
  if (refused !== undefined) return failed(answerFault(what, refused));
  return ok(
    given.map((answer) => {
      const [message] = answer.kind === "done" ? answer.messages : [];
      return message === undefined ? undefined : decode(message);
    }),
  );
}

function isGone(answer: { readonly kind: string; readonly errno?: string }): boolean {
  return answer.kind === "refused" && answer.errno !== undefined && GONE.has(answer.errno);
}

/** The lines of several checks one after the other, or the first fault. */
export function together(parts: readonly Result<readonly string[]>[]): Result<readonly string[]> {
  const lines: string[] = [];
  for (const part of parts) {
    if (!part.ok) return part;
    lines.push(...part.value);
  }
  return ok(lines);
}

/** IFLA_INET6_ADDR_GEN_MODE and IN6_ADDR_GEN_MODE_NONE. */
const [ADDR_GEN_MODE, NONE] = [8, 1];

/** Whether the kernel gives the device a link-local address of IPv6 by itself. */
export function makesLinkLocal({ afSpec }: Link): boolean {
  const inet6 = afSpec?.unknown?.find(({ type }) => type === AF.INET6);
  if (inet6 === undefined) return false;
  const mode = attributesOf(spanOf(inet6.bytes)).find(({ type }) => type === ADDR_GEN_MODE)?.payload;
  return mode !== undefined && mode.view.getUint8(mode.start) !== NONE;
}

/** The sentences of what is wrong. */
export function wrongs(cases: readonly (readonly [wrong: boolean, line: string])[]): readonly string[] {
  return cases.filter(([wrong]) => wrong).map(([, line]) => line);
}
