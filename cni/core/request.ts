/**
 * From environment and stdin to one checked request, or the fault that stands in its place.
 * Source: CNI SPEC.md 1.1.0, section 2; the order of the checks is that of containernetworking/cni `pkg/skel`.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { type Attachment } from "../../proto/attachment.ts";
import { DEFAULT_SOCKET, DEFAULT_SPOOL_DIR } from "../../proto/paths.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  parseConfig,
  readPreviousResult,
  readValidAttachments,
  wrongDirectory,
  wrongPreviousResult,
  wrongSocketPath,
  type NetworkConfig,
  type PreviousResult,
} from "./config.ts";
import { checkEnvironment, isTrue, type PodEnvironment } from "./environment.ts";
import { type Input, type Utf8 } from "./input.ts";
import { NEWEST_VERSION, parseVersion, versionsWith, type CniVersion, type Command } from "./version.ts";
import { quote, shortName } from "./words.ts";

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
  /** Of ADD and CHECK. */
  readonly previous: PreviousResult | undefined;
  /** Of GC; `undefined` where the caller gave no list. */
  readonly validAttachments: readonly Attachment[] | undefined;
  readonly socketPath: string;
  /** Where a DEL is kept that the agent cannot be told of. Absolute, without a slash at its end. */
  readonly spoolDirectory: string;
  /** Is the agent's account of its time wanted on standard error? */
  readonly showTiming: boolean;
  /** W3C trace context by header name, each harmless as an HTTP header. */
  readonly trace: Readonly<Record<string, string>>;
};

/** A fault, and the version in which the caller wants to hear of it. */
export type Refusal = { readonly fault: Fault; readonly cniVersion: CniVersion };

/** Names another agent socket, where the configuration names none. */
const SOCKET_VARIABLE = "TERWAY_AGENT_SOCKET";
/** Names another spool directory, where the configuration names none. */
const SPOOL_VARIABLE = "TERWAY_SPOOL_DIR";
/** Asks for a line with the agent's timing. */
const TIMING_VARIABLE = "TERWAY_TIMING";

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
  const config = parseConfig(stdin.bytes, utf8);
  if (!config.ok) return early(config.fault);

  const supported = versionsWith(command);
  const cniVersion = parseVersion(config.value.cniVersion);
  if (cniVersion === undefined || !supported.includes(cniVersion)) {
    const fault = {
      kind: "unsupported-version",
      given: shortName(config.value.cniVersion),
      supported,
    } as const;
    return failed({ fault, cniVersion: cniVersion ?? NEWEST_VERSION });
  }
  const late = (fault: Fault): Result<never, Refusal> => failed({ fault, cniVersion });
  const own = ownNetns(command, pod.value.netns, input);
  if (own !== undefined) return late(own);
  const previous = previousOf(command, config.value, pod.value);
  if (!previous.ok) return late(previous.fault);
  const valid = command === "GC" ? readValidAttachments(config.value) : ok(undefined);
  if (!valid.ok) return late(valid.fault);
  const socketPath = choosePath(
    config.value.agentSocket,
    SOCKET_VARIABLE,
    DEFAULT_SOCKET,
    input,
    wrongSocketPath,
  );
  if (!socketPath.ok) return late(socketPath.fault);
  const spool = choosePath(
    config.value.spoolDirectory,
    SPOOL_VARIABLE,
    DEFAULT_SPOOL_DIR,
    input,
    wrongDirectory,
  );
  if (!spool.ok) return late(spool.fault);
  return ok({
    command,
    cniVersion,
    network: config.value.name,
    pod: pod.value,
    rawConfig: stdin.bytes,
    previous: previous.value,
    validAttachments: valid.value,
    socketPath: socketPath.value,
    spoolDirectory: withoutEndingSlash(spool.value),
    showTiming: env[TIMING_VARIABLE] === "1",
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
  return {
    kind: "bad-netns",
    path: shortName(netns),
    reason: "is the namespace that the plugin itself runs in",
  };
}

/** "prevResult" for the commands that use it. CHECK cannot do without, and not with that of another pod. */
function previousOf(
  command: NetworkCommand,
  { prevResult }: NetworkConfig,
  pod: PodEnvironment,
): Result<PreviousResult | undefined> {
  if (command !== "ADD" && command !== "CHECK") return ok(undefined);
  const previous = readPreviousResult(prevResult);
  if (!previous.ok || command === "ADD") return previous;
  const wrong = wrongPreviousResult(previous.value, pod);
  return wrong === undefined ? previous : failed(wrong);
}

/** The configuration's path comes first, then the variable's, then ours. */
function choosePath(
  configured: string | undefined,
  variable: string,
  ours: string,
  { env, utf8 }: Input,
  wrongIn: (path: string, utf8: Utf8) => string | undefined,
): Result<string> {
  if (configured !== undefined) return ok(configured);
  const path = env[variable] ?? "";
  if (path === "") return ok(ours);
  const wrong = wrongIn(path, utf8);
  if (wrong === undefined) return ok(path);
  return failed({ kind: "bad-env", names: [variable], reason: `${quote(path)} ${wrong}` });
}

function withoutEndingSlash(path: string): string {
  let end = path.length;
  while (end > 1 && path.charAt(end - 1) === "/") end -= 1;
  return path.slice(0, end);
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
