/**
 * The metadata service of the instance (100.100.100.200): who this node is, and the keys of its RAM role.
 *
 * Every read carries a session token where the service gives one (`PUT /latest/api/token`); a service that knows no
 * tokens is read without. Refusals of the moment (429, 5xx, connection errors, time-outs) are repeated with growing
 * pauses until the total deadline. It lags behind the API by up to seconds: nothing is ever released on its word alone.
 *
 * @module
 */
import { parseMac } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { instanceId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type NodeIdentity } from "../core/cloud.ts";
import { type EniMetadata } from "../core/metadata.ts";
import { cached, type Entry } from "./cached.ts";
import { type AccessKey } from "./call.ts";
import { isJson, type Json, textField } from "./decode.ts";
import { readEnis } from "./metadata-enis.ts";
import { type HttpAnswer, openHttp } from "./metadata-http.ts";

export type MetadataOptions = {
  /** `http://100.100.100.200` where absent. */
  readonly baseUrl?: string;
  /** Of one HTTP request. */
  readonly timeoutMs: number;
  /** Of one item with all its repetitions, a session token not included; 15 s where absent. */
  readonly totalMs?: number;
  /** Wall clock, milliseconds since 1970: the keys of a role expire by it. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
};

/** The keys of the instance's RAM role. */
export type RoleCredentials = AccessKey & {
  readonly securityToken: string;
  readonly expiresAtMs: number;
};

export type Metadata = Disposable &
  EniMetadata & {
    /** One item under `/latest/meta-data/`, such as `"zone-id"`; `undefined` where it does not exist (404). */
    read(path: string): Promise<Result<string | undefined>>;
    /** Six reads at once. */
    identity(): Promise<Result<NodeIdentity>>;
    /** Kept until ten minutes before they expire. The fault says so where the instance has no role. */
    roleCredentials(): Promise<Result<RoleCredentials>>;
    /** HTTP requests made so far, tokens included. */
    requests(): number;
  };

/** Without a secret: the service has no tokens. */
type Token = { readonly secret: string | undefined };
type Answered = Extract<HttpAnswer, { readonly kind: "answer" }>;

const BASE_URL = "http://100.100.100.200";
const TOKEN_PATH = "/latest/api/token";
const DATA_PATH = "/latest/meta-data/";
const ROLE_PATH = "ram/security-credentials/";
const TOKEN_TTL_S = 21_600;
const TOKEN_TTL_HEADER = "X-aliyun-ecs-metadata-token-ttl-seconds";
const TOKEN_HEADER = "X-aliyun-ecs-metadata-token";
/** Answers to the PUT by which a service says that it has no tokens. */
const NO_TOKENS = new Set([403, 404, 405]);
const FIRST_PAUSE_MS = 500;
const PAUSE_FACTOR = 1.2;
const ROLE_RENEW_MS = 600_000;
/** Keys that are nearly at their end when they come are not asked for again before this time. */
const ROLE_RENEW_LEAST_MS = 30_000;

const TRIES_MAX = 12;
const TOTAL_MS = 15_000;
/** Of all items of all ENIs together. A healthy service answers one in a millisecond. */
const ENIS_MS = 15_000;

/** `totalMs`: of this item, with all its repetitions. */
type Read = (path: string, totalMs?: number) => Promise<Result<string | undefined>>;

/** Opens no connection yet. Disposing closes those that are idle. Throws where `baseUrl` is no URL. */
export function openMetadata(options: MetadataOptions): Metadata {
  const http = openHttp(options.baseUrl ?? BASE_URL, options.timeoutMs);
  const { now } = options;

  const token = cached<Token>(async () => {
    const headers = { [TOKEN_TTL_HEADER]: String(TOKEN_TTL_S) };
    const answer = await untilUsable(TOKEN_PATH, () => http.request("PUT", TOKEN_PATH, headers), options);
    if (!answer.ok) return answer;
    const { status, body } = answer.value;
    if (status !== 200 && !NO_TOKENS.has(status)) return failed(refusal(TOKEN_PATH, status));
    const untilMs = now() + (TOKEN_TTL_S * 1000) / 2;
    const value = { secret: status === 200 ? body.trim() : undefined };
    return ok({ value, freshUntilMs: untilMs, usableUntilMs: untilMs });
  }, now);

  const readOnce = async (path: string, granted: Token, totalMs?: number): Promise<Result<Answered>> => {
    const headers: Record<string, string> =
      granted.secret === undefined ? {} : { [TOKEN_HEADER]: granted.secret };
    const bound = totalMs === undefined ? options : { ...options, totalMs };
    return untilUsable(path, () => http.request("GET", DATA_PATH + path, headers), bound);
  };

  const read: Read = async (path, totalMs) => {
    let granted = await token.get();
    if (!granted.ok) return granted;
    let answer = await readOnce(path, granted.value, totalMs);
    if (answer.ok && answer.value.status === 401) {
      token.drop(granted.value);
      granted = await token.get();
      if (!granted.ok) return granted;
      answer = await readOnce(path, granted.value, totalMs);
    }
    if (!answer.ok) return answer;
    const { status, body } = answer.value;
    if (status === 404) return ok(undefined);
    return status === 200 ? ok(body.trim()) : failed(refusal(path, status));
  };

  const role = cached(() => readRole(read, now), now);
  return {
    read,
    identity: () => readIdentity(read),
    enis() {
      const endMs = now() + Math.min(ENIS_MS, options.totalMs ?? ENIS_MS);
      return readEnis(async (path) => {
        const leftMs = endMs - now();
        if (leftMs > 0) return read(path, leftMs);
        return failed({ kind: "metadata", path, reason: "the ENIs could not all be read in time" });
      });
    },
    roleCredentials: () => role.get(),
    requests: () => http.requests(),
    [Symbol.dispose]: () => http[Symbol.dispose](),
  };
}

/** Repeats while the service has no answer to give; the last reason is in the fault. */
async function untilUsable(
  path: string,
  ask: () => Promise<HttpAnswer>,
  { now, sleep, totalMs = TOTAL_MS }: MetadataOptions,
): Promise<Result<Answered>> {
  const endMs = now() + totalMs;
  let pauseMs = FIRST_PAUSE_MS;
  for (let tries = 1; ; tries += 1) {
    const answer = await ask();
    if (answer.kind === "answer" && answer.status !== 429 && answer.status < 500) return ok(answer);
    if (tries >= TRIES_MAX || now() + pauseMs >= endMs) {
      const reason = answer.kind === "broken" ? answer.reason : `HTTP ${answer.status}`;
      return failed({ kind: "metadata", path, reason: `${reason}, tried ${tries} times` });
    }
    await sleep(pauseMs);
    pauseMs *= PAUSE_FACTOR;
  }
}

function refusal(path: string, status: number): Fault {
  return { kind: "metadata", path, reason: `HTTP ${status}` };
}

async function readIdentity(read: Read): Promise<Result<NodeIdentity>> {
  const paths = ["instance-id", "instance/instance-type", "region-id", "zone-id", "vpc-id", "mac"] as const;
  const items = new Map<string, string>();
  for (const [index, item] of (await Promise.all(paths.map(read))).entries()) {
    const path = paths[index] ?? "";
    if (!item.ok) return item;
    if (item.value === undefined || item.value === "") {
      return failed({
        kind: "metadata",
        path,
        reason: "there is no such item: is this an ECS instance in a VPC?",
      });
    }
    items.set(path, item.value);
  }
  const item = (path: (typeof paths)[number]): string => items.get(path) ?? "";
  const primaryMac = parseMac(item("mac"));
  if (primaryMac === undefined) {
    return failed({ kind: "metadata", path: "mac", reason: `not a MAC address: ${item("mac")}` });
  }
  return ok({
    instance: instanceId(item("instance-id")),
    instanceType: item("instance/instance-type"),
    region: item("region-id"),
    zone: item("zone-id"),
    vpc: item("vpc-id"),
    primaryMac,
  });
}

async function readRole(read: Read, now: () => number): Promise<Result<Entry<RoleCredentials>>> {
  const listed = await read(ROLE_PATH);
  if (!listed.ok) return listed;
  const name = listed.value?.split("\n")[0]?.trim() ?? "";
  if (name === "") {
    const reason = "no RAM role is attached to this instance";
    return failed({ kind: "metadata", path: ROLE_PATH, reason, isAbsent: true });
  }
  const path = ROLE_PATH + name;
  const document = await read(path);
  if (!document.ok) return document;
  const value = roleOf(parseJson(document.value ?? ""), name);
  if (value === undefined) return failed({ kind: "metadata", path, reason: "no usable keys in the answer" });
  const { expiresAtMs } = value;
  const leastMs = Math.min(now() + ROLE_RENEW_LEAST_MS, expiresAtMs);
  return ok({
    value,
    freshUntilMs: Math.max(expiresAtMs - ROLE_RENEW_MS, leastMs),
    usableUntilMs: expiresAtMs,
  });
}

function roleOf(json: Json, name: string): RoleCredentials | undefined {
  const accessKeyId = textField(json, "AccessKeyId");
  const accessKeySecret = textField(json, "AccessKeySecret");
  const securityToken = textField(json, "SecurityToken");
  const expiresAtMs = Date.parse(textField(json, "Expiration") ?? "");
  const complete =
    json["Code"] === "Success" &&
    accessKeyId !== undefined &&
    accessKeySecret !== undefined &&
    securityToken !== undefined &&
    Number.isFinite(expiresAtMs);
  return complete
    ? { accessKeyId, accessKeySecret, securityToken, expiresAtMs, source: `RAM role ${name}` }
    : undefined;
}

function parseJson(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : {};
  } catch {
    return {};
  }
}
