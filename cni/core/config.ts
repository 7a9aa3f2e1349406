/**
 * The network configuration on stdin: what the plugin itself needs of it. All other keys are the agent's business.
 * Source: CNI SPEC.md 1.1.0, section 1 "Network configuration format".
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { SOCKET_CONFIG_KEY } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { isIdentifier } from "./environment.ts";
import { parseJson } from "./json.ts";
import { type Utf8 } from "./input.ts";
import { IMPLIED_VERSION } from "./version.ts";

/** A JSON object whose values nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The result of the plugins before this one in the chain. Its entries are passed on as they are. */
export type PreviousResult = {
  /** The whole object, for the keys that this plugin does not touch. */
  readonly all: JsonObject;
  readonly interfaces: readonly JsonObject[];
  readonly ips: readonly JsonObject[];
  readonly routes: readonly JsonObject[];
};

/** The checked part of the configuration. */
export type NetworkConfig = {
  readonly name: string;
  /** As given, or 0.1.0 where none is given; not yet checked. */
  readonly cniVersion: string;
  /** Path of the agent's socket, if the configuration names one. */
  readonly agentSocket?: string;
  /** "prevResult" as it stands; `readPreviousResult` checks it for the commands that use it. */
  readonly prevResult: unknown;
};

/** `sun_path` less the closing zero, unix(7). */
const SOCKET_PATH_BYTES_MAX = 107;

/** Never throws. `text` is the whole of stdin. */
export function parseConfig(text: string, utf8: Utf8): Result<NetworkConfig> {
  const parsed = parseJson(text);
  if (!parsed.ok) return failed({ kind: "bad-json", ...parsed.fault });
  const config = parsed.value;
  if (!isObject(config)) return bad("(the whole)", "must be an object { … }");
  const name = config["name"];
  if (typeof name !== "string" || name === "") return bad("name", "is missing or is not a text");
  if (!isIdentifier(name)) {
    return bad("name", "must begin with a letter or digit and go on with letters, digits, '_', '.' and '-'");
  }
  const version = config["cniVersion"] ?? "";
  if (typeof version !== "string") return bad("cniVersion", 'must be a text such as "1.1.0"');
  const socket = config[SOCKET_CONFIG_KEY] ?? "";
  const base = {
    name,
    cniVersion: version === "" ? IMPLIED_VERSION : version,
    prevResult: config["prevResult"],
  };
  if (socket === "") return ok(base);
  const wrong = typeof socket === "string" ? wrongSocketPath(socket, utf8) : "must be a text";
  if (typeof socket !== "string" || wrong !== undefined) return bad(SOCKET_CONFIG_KEY, wrong ?? "");
  return ok({ ...base, agentSocket: socket });
}

/** Why `path` cannot be a unix socket's; `undefined` where it can. */
export function wrongSocketPath(path: string, utf8: Utf8): string | undefined {
  if (!path.startsWith("/")) return "must be an absolute path";
  if (path.includes("\0")) return "must not contain a zero byte";
  const tooLong = utf8.encode(path).length > SOCKET_PATH_BYTES_MAX;
  return tooLong ? `must not be longer than ${SOCKET_PATH_BYTES_MAX} bytes` : undefined;
}

/** `value` of "prevResult" as a result; `ok(undefined)` where there is none. */
export function readPreviousResult(value: unknown): Result<PreviousResult | undefined> {
  if (value === undefined || value === null) return ok(undefined);
  if (!isObject(value)) return bad("prevResult", "must be an object { … }");
  const [interfaces, ips, routes] = [
    objectsOf(value["interfaces"]),
    objectsOf(value["ips"]),
    objectsOf(value["routes"]),
  ];
  if (interfaces === undefined) return bad("prevResult.interfaces", "must be a list of objects");
  if (ips === undefined) return bad("prevResult.ips", "must be a list of objects");
  if (routes === undefined) return bad("prevResult.routes", "must be a list of objects");
  return ok({ all: value, interfaces, ips, routes });
}

function objectsOf(value: unknown): readonly JsonObject[] | undefined {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) && value.every(isObject) ? value : undefined;
}

/** A JSON object: neither a list nor null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(key: string, reason: string): { readonly ok: false; readonly fault: Fault } {
  return failed({ kind: "bad-config", key, reason });
}
