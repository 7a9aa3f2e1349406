/**
 * A client that the tests of the servers share. It signs with the code of the server, which other people's clients
 * prove right in `conformance.test.ts`, so that it can sign what they would not.
 *
 * @module
 */
import { once } from "node:events";
import { type Agent, type IncomingHttpHeaders, IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { acs3Signature, sha256Hex } from "./signature.ts";

/** The access key of the default topology. */
export const KEY = { id: "LTAI5tSimulatedVpcKey", secret: "simulated-vpc-secret" };

/** A request. */
export type Sent = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
};
/** An answer; `code` is that of an error of the API. */
export type Received = {
  readonly status: number;
  readonly code: string;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
};

/** Sends to `host:port` or to a unix socket. Rejects where no answer comes. */
export async function send(endpoint: string, sent: Sent, agent?: Agent): Promise<Received> {
  const [host, port] = endpoint.split(":");
  const where = port === undefined ? { socketPath: endpoint } : { host, port: Number(port) };
  const { method, path, headers, body } = sent;
  const call = request({ ...where, method, path, headers, ...(agent === undefined ? {} : { agent }) });
  call.end(body);
  const [answer]: unknown[] = await once(call, "response");
  if (!(answer instanceof IncomingMessage)) throw new Error("an answer that is none");
  const received = await text(answer);
  const code = received.startsWith("{") ? String(JSON.parse(received).Code ?? "") : "";
  return { status: answer.statusCode ?? 0, code, text: received, headers: answer.headers };
}

let nonces = 0;

/** A call with the newer signature; what is to be wrong is changed after signing. */
export function signed(
  simulator: { readonly apiEndpoint: string },
  change: {
    readonly query?: Readonly<Record<string, string>>;
    readonly action?: string;
    readonly version?: string;
    readonly date?: string;
    readonly nonce?: string;
    readonly key?: Partial<typeof KEY>;
    readonly more?: Readonly<Record<string, string>>;
    readonly unsigned?: readonly string[];
  } = {},
): Sent {
  const query = { RegionId: "cn-hangzhou", ...change.query };
  const headers: Record<string, string> = {
    host: simulator.apiEndpoint,
    "x-acs-action": change.action ?? "DescribeInstances",
    "x-acs-version": change.version ?? "2014-05-26",
    "x-acs-date": change.date ?? `${new Date().toISOString().slice(0, 19)}Z`,
    "x-acs-signature-nonce": change.nonce ?? `nonce-${nonces++}`,
    "x-acs-content-sha256": sha256Hex(""),
    ...change.more,
  };
  const signedHeaders = Object.keys(headers)
    .filter((name) => !change.unsigned?.includes(name))
    .toSorted();
  const { id, secret } = { ...KEY, ...change.key };
  const headerOf = (name: string): string => headers[name] ?? "";
  const parts = { method: "POST", query, signedHeaders, headerOf, bodyHash: sha256Hex("") };
  const signature = acs3Signature(parts, secret);
  const authorization = `ACS3-HMAC-SHA256 Credential=${id},SignedHeaders=${signedHeaders.join(";")},Signature=${signature}`;
  return {
    method: "POST",
    path: `/?${new URLSearchParams(query).toString()}`,
    headers: { ...headers, authorization },
  };
}
