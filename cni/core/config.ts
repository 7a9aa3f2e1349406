/**
 * The network configuration on stdin: what the plugin itself needs of it. All other keys are the agent's business.
 * Source: CNI SPEC.md 1.1.0, section 1 "Network configuration format".
 *
 * @module
 */
import { type Attachment } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { SOCKET_CONFIG_KEY, SPOOL_CONFIG_KEY } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { isIdentifier } from "./environment.ts";
import { parseJson } from "./json.ts";
import { type Utf8 } from "./input.ts";
import { IMPLIED_VERSION } from "./version.ts";
import { shortName } from "./words.ts";

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
  /** Path of the directory for DELs, if the configuration names one. */
  readonly spoolDirectory?: string;
  /** "prevResult" as it stands; `readPreviousResult` checks it for the commands that use it. */
  readonly prevResult: unknown;
  /** "cni.dev/valid-attachments" or "cni.dev/attachments" as it stands; `readValidAttachments` checks it for GC. */
  readonly attachments: unknown;
};

const VALID_ATTACHMENTS_KEY = "cni.dev/valid-attachments";
/** `sun_path` less the closing zero, unix(7). */
const SOCKET_PATH_BYTES_MAX = 107;
/** PATH_MAX of <linux/limits.h> less NAME_MAX, for the files in it, and two. */
const DIRECTORY_BYTES_MAX = 4096 - 257;

/** Never throws. `stdin` is the whole of it. */
export function parseConfig(stdin: Uint8Array, utf8: Utf8): Result<NetworkConfig> {
  const parsed = parseJson(stdin, utf8);
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
  const socket = readPath(config, SOCKET_CONFIG_KEY, (path) => wrongSocketPath(path, utf8));
  if (!socket.ok) return socket;
  const spool = readPath(config, SPOOL_CONFIG_KEY, (path) => wrongDirectory(path, utf8));
  if (!spool.ok) return spool;
  return ok({
    name,
    cniVersion: version === "" ? IMPLIED_VERSION : version,
    prevResult: config["prevResult"],
    attachments: config[VALID_ATTACHMENTS_KEY] ?? config["cni.dev/attachments"],
    ...(socket.value !== "" && { agentSocket: socket.value }),
    ...(spool.value !== "" && { spoolDirectory: spool.value }),
  });
}

/** Why `path` cannot be a unix socket's; `undefined` where it can. */
export function wrongSocketPath(path: string, utf8: Utf8): string | undefined {
  return wrongPath(path, SOCKET_PATH_BYTES_MAX, utf8);
}

/** Why `path` cannot be a directory's; `undefined` where it can. */
export function wrongDirectory(path: string, utf8: Utf8): string | undefined {
  return wrongPath(path, DIRECTORY_BYTES_MAX, utf8);
}

function wrongPath(path: string, bytesMax: number, utf8: Utf8): string | undefined {
  if (!path.startsWith("/")) return "must be an absolute path";
  if (path.includes("\0")) return "must not contain a zero byte";
  return utf8.encode(path).length > bytesMax ? `must not be longer than ${bytesMax} bytes` : undefined;
}

/** The path at `key`; "" where there is none. */
function readPath(
  config: JsonObject,
  key: string,
  wrongIn: (path: string) => string | undefined,
): Result<string> {
  const path = config[key] ?? "";
  if (typeof path !== "string") return bad(key, "must be a text");
  const wrong = path === "" ? undefined : wrongIn(path);
  return wrong === undefined ? ok(path) : bad(key, wrong);
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

/** Why `previous` is not the result of an ADD for this pod, so that CHECK must not compare with it. */
export function wrongPreviousResult(
  previous: PreviousResult | undefined,
  { ifName, netns }: { readonly ifName: string; readonly netns: string },
): Fault | undefined {
  if (previous === undefined) return { kind: "bad-config", key: "prevResult", reason: "is missing" };
  const found = previous.interfaces.some(({ name, sandbox }) => name === ifName && sandbox === netns);
  if (found) return undefined;
  const reason = `has no interface ${ifName} in ${shortName(netns)}`;
  return { kind: "bad-config", key: "prevResult.interfaces", reason };
}

/**
 * The attachments that GC must leave alone. `undefined` where the configuration has no list or null. An entry that
 * cannot be read refuses the whole list: what is missing from it would be taken away from a pod.
 * Source: CNI SPEC.md 1.1.0, section "GC"; containernetworking/cni sends the list by an older name as well.
 */
export function readValidAttachments({
  name: network,
  attachments,
}: NetworkConfig): Result<readonly Attachment[] | undefined> {
  if (attachments === undefined || attachments === null) return ok(undefined);
  const entries = objectsOf(attachments);
  if (entries === undefined) return bad(VALID_ATTACHMENTS_KEY, "must be a list of objects");
  const valid: Attachment[] = [];
  for (const [index, { containerID: containerId, ifname: ifName }] of entries.entries()) {
    if (
      typeof containerId !== "string" ||
      typeof ifName !== "string" ||
      containerId === "" ||
      ifName === ""
    ) {
      return bad(`${VALID_ATTACHMENTS_KEY}[${index}]`, "must have the texts containerID and ifname");
    }
    valid.push({ network, containerId, ifName });
  }
  return ok(valid);
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
