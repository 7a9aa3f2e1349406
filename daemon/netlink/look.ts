/**
 * Looking at single things of the kernel, for checks: what is not there is a value, and only what could not be asked a fault.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Place } from "../core/datapath/thing.ts";
import { answerFault, type Client, GONE, type Place as Where } from "./client.ts";
import { type RawMessage } from "./codec/header.ts";
import { type Link } from "./codec/link.ts";
import { type Request } from "./codec/request.ts";

/** The pod's namespace, and what people call it. */
export type Inside = { readonly netnsFd: number; readonly name: string };

/** A link as it was found in the namespace of a place. */
export type KnownLink = { readonly place: Place; readonly link: Link };

/** Whom to ask, and what is known already. */
export type Asked = {
  readonly client: Client;
  readonly inside: Inside | undefined;
  readonly known: readonly KnownLink[];
};

/** Where to ask about things of the place. */
export function whereOf({ inside }: Pick<Asked, "inside">, place: Place): Where {
  return place === "pod" && inside !== undefined ? { netnsFd: inside.netnsFd } : {};
}

/** `name` as the subject of a sentence: with the pod that it is in. */
export function subjectOf({ inside }: Pick<Asked, "inside">, place: Place, name: string): string {
  return place === "pod" && inside !== undefined ? `${name} in ${inside.name}` : name;
}

/** What each request, a get of one thing, was answered with, decoded; `undefined` where there is no such thing. */
export async function lookAt<Value>(
  client: Client,
  what: string,
  requests: readonly Request[],
  decode: (message: RawMessage) => Value,
  place?: Where,
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

/** A list of what is on a device that is not there is empty. */
export function noneWhereGone<Value>(list: Result<readonly Value[]>): Result<readonly Value[]> {
  return !list.ok && list.fault.kind === "kernel" && GONE.has(list.fault.errno) ? ok([]) : list;
}

/** The sentences of what is wrong. */
export function wrongs(cases: readonly (readonly [wrong: boolean, line: string])[]): readonly string[] {
  return cases.filter(([wrong]) => wrong).map(([, line]) => line);
}
