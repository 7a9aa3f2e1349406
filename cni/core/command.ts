/**
 * The CNI plugin without its process: one run from environment and stdin to an exit status, by way of at most one call
 * to the agent. Holds no state and touches no network.
 * Source: CNI SPEC.md 1.1.0, section "CNI operations".
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { openAgentCall, type AgentCall } from "./agent-call.ts";
import { isObject } from "./config.ts";
import { errorOf, fail, succeed, type Done } from "./done.ts";
import { type Input } from "./input.ts";
import { parseJson } from "./json.ts";
import { parseRequest, type NetworkCommand } from "./request.ts";
import { NEWEST_VERSION, parseCommand, parseVersion, SUPPORTED_VERSIONS } from "./version.ts";
import { quote } from "./words.ts";

/** What the host has to do: end, or talk to the agent first. */
export type Begin =
  | Done
  | {
      readonly kind: "call";
      /** The host asks first who owns it: `call.notTrusted()`. */
      readonly socketPath: string;
      /** For connect, write and read together; after that `call.timedOut()` is the end. */
      readonly deadlineMs: number;
      readonly call: AgentCall;
    };

/**
 * Milliseconds. ADD: above the slowest attach of an ENI, well under the four minutes of kubelet's RunPodSandbox. DEL:
 * under the ten seconds that containerd gives to its clean-up after a failed ADD, with the writing of the spool.
 * STATUS: under the second in which a runtime that asks every few seconds wants its answer, with the start of the
 * process.
 */
const DEADLINE_MS = {
  ADD: 99_000,
  DEL: 7_500,
  CHECK: 30_000,
  GC: 60_000,
  STATUS: 800,
} as const satisfies Record<NetworkCommand, number>;

/** Starts a run. Never throws, except for bugs. */
export function begin(input: Input): Begin {
  const given = input.env["CNI_COMMAND"] ?? "";
  if (given === "") return { kind: "done", exit: 0, stdout: "", stderr: about() };
  const command = parseCommand(given);
  if (command === undefined) {
    const reason = `${quote(given)} is not a CNI command`;
    return fail(errorOf({ kind: "bad-env", names: ["CNI_COMMAND"], reason }), NEWEST_VERSION);
  }
  if (command === "VERSION") return succeed(versions(input));
  const request = parseRequest(command, input);
  if (!request.ok) return fail(errorOf(request.fault.fault, command), request.fault.cniVersion, command);
  const deadlineMs = DEADLINE_MS[command];
  const call = openAgentCall({ request: request.value, deadlineMs }, input.utf8);
  return { kind: "call", socketPath: request.value.socketPath, deadlineMs, call };
}

/** The end of a run that a bug has broken: whoever reads standard output must still find an error object there. */
export function crashed(reason: string): Done {
  const fault: Fault = { kind: "internal", reason };
  return fail(errorOf(fault), NEWEST_VERSION);
}

/**
 * Repeats the caller's version where we speak it. Whatever else is on stdin must not matter: runtimes probe with
 * dummies.
 */
function versions(input: Input): {
  readonly cniVersion: string;
  readonly supportedVersions: readonly string[];
} {
  const stdin = input.readStdin();
  const config = stdin.kind === "read" ? parseJson(stdin.bytes, input.utf8) : undefined;
  const asked = config?.ok === true && isObject(config.value) ? config.value["cniVersion"] : undefined;
  return { cniVersion: parseVersion(asked) ?? NEWEST_VERSION, supportedVersions: SUPPORTED_VERSIONS };
}

function about(): string {
  return [
    "terway: CNI plugin for Alibaba Cloud; a container runtime runs it with CNI_COMMAND set",
    `CNI protocol versions supported: ${SUPPORTED_VERSIONS.join(", ")}`,
    "",
  ].join("\n");
}
