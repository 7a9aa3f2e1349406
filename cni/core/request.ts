/**
 * From environment and stdin to one checked request, or the fault that stands in its place.
 * Source: CNI SPEC.md 1.1.0, section 2; the order of the checks is that of containernetworking/cni `pkg/skel`.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { DEFAULT_SOCKET } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  parseConfig,
  readPreviousResult,
  wrongSocketPath,
  type NetworkConfig,
  type PreviousResult,
} from "./config.ts";
import { checkEnvironment, isTrue, type PodEnvironment } from "./environment.ts";
import { type Input } from "./input.ts";
import { NEWEST_VERSION, parseVersion, versionsWith, type CniVersion, type Command } from "./version.ts";

/** The commands that read a configuration: all but VERSION. */
export type NetworkCommand = Exclude<Command, "VERSION">;

/** One command with all that it needs, checked. */
export type Request = {
  readonly command: NetworkCommand;
  readonly cniVersion: CniVersion;
  readonly network: string;
  readonly pod: PodEnvironment;
  /** Stdin, byte for byte. */
  readonly rawConfig: Uint8Array;
  readonly previous: PreviousResult | undefined;
  readonly socketPath: string;
  /** W3C trace context by header name, each harmless as an HTTP header. */
  readonly trace: Readonly<Record<string, string>>;
};

/** A fault, and the version in which the caller wants to hear of it. */
export type Refusal = { readonly fault: Fault; readonly cniVersion: CniVersion };

/** Names another agent socket, where the configuration names none. */
const SOCKET_VARIABLE = "TERWAY_AGENT_SOCKET";

/** W3C Trace Context and Baggage: variable, header, longest value that is passed on. */
const TRACE_VARIABLES = [
  ["TRACEPARENT", "traceparent", 128],
  ["TRACESTATE", "tracestate", 512],
  ["BAGGAGE", "baggage", 8192],
] as const;

/** Reads stdin; never throws. */
export function parseRequest(command: NetworkCommand, input: Input): Result<Request, Refusal> {
  const { env, utf8 } = input;
  const pod = checkEnvironment(command, env, utf8);
  if (!pod.ok) return early(pod.fault);
  const stdin = input.readStdin();
  if (stdin.kind === "failed") return early({ kind: "stdin", reason: stdin.reason });
  const config = parseConfig(utf8.decode(stdin.bytes), utf8);
  if (!config.ok) return early(config.fault);

  const supported = versionsWith(command);
  const cniVersion = parseVersion(config.value.cniVersion);
  if (cniVersion === undefined || !supported.includes(cniVersion)) {
    const fault = { kind: "unsupported-version", given: config.value.cniVersion, supported } as const;
    return failed({ fault, cniVersion: cniVersion ?? NEWEST_VERSION });
  }
  const late = (fault: Fault): Result<never, Refusal> => failed({ fault, cniVersion });
  const own = ownNetns(command, pod.value.netns, input);
  if (own !== undefined) return late(own);
  const previous = command === "ADD" ? readPreviousResult(config.value.prevResult) : ok(undefined);
  if (!previous.ok) return late(previous.fault);
  const socketPath = chooseSocket(config.value, input);
  if (!socketPath.ok) return late(socketPath.fault);
  return ok({
    command,
    cniVersion,
    network: config.value.name,
    pod: pod.value,
    rawConfig: stdin.bytes,
    previous: previous.value,
    socketPath: socketPath.value,
    trace: readTrace(input),
  });
}

/** A refusal before the caller's version is known. */
function early(fault: Fault): Result<never, Refusal> {
  return failed({ fault, cniVersion: NEWEST_VERSION });
}

/** A pod that "lives" in the node's own namespace would get the node's interfaces changed. */
function ownNetns(command: Command, netns: string, input: Input): Fault | undefined {
  const concerned = (command === "ADD" || command === "DEL") && netns !== "";
  if (!concerned || isTrue(input.env["CNI_NETNS_OVERRIDE"]) || !input.isOwnNetns(netns)) return undefined;
  return { kind: "bad-netns", path: netns, reason: "is the namespace that the plugin itself runs in" };
}

function chooseSocket(config: NetworkConfig, { env, utf8 }: Input): Result<string> {
  if (config.agentSocket !== undefined) return ok(config.agentSocket);
  const path = env[SOCKET_VARIABLE] ?? "";
  if (path === "") return ok(DEFAULT_SOCKET);
  const wrong = wrongSocketPath(path, utf8);
  if (wrong === undefined) return ok(path);
  return failed({ kind: "bad-env", names: [SOCKET_VARIABLE], reason: `${JSON.stringify(path)} ${wrong}` });
}

/** Tracing must never fail a pod: what is not printable ASCII, or too long, is left out. */
function readTrace({ env }: Input): Readonly<Record<string, string>> {
  const trace: Record<string, string> = {};
  for (const [variable, header, lengthMax] of TRACE_VARIABLES) {
    const value = env[variable] ?? "";
    if (value !== "" && value.length <= lengthMax && isPrintableAscii(value)) trace[header] = value;
  }
  return trace;
}

function isPrintableAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}
