/**
 * What holds for the end of every run of the plugin, whatever it was given.
 * Source: CNI SPEC.md 1.1.0, section 5 "Result types".
 *
 * @module
 */
import { isObject, type JsonObject } from "../../cni/core/config.ts";
import { type Done, type End } from "../../cni/core/done.ts";
import { decodeSpooled } from "../../proto/spool.ts";
import { type Random } from "./random.ts";
import { insist } from "./runner.ts";

/** What the process leaves; a killed one has no exit status. */
export type Ended = { readonly exit: number; readonly stdout: string; readonly stderr: string };

/** What was asked; `undefined` where it cannot be known what the plugin makes of it. */
export type Asked = { readonly command: string; readonly cniVersion?: string };

const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];
/** Six characters for each byte of a reply of four MiB. */
const STDOUT_MAX = 26_000_000;

/** Carries a spool request out, well or badly, and checks it. */
export function doneOf(end: End, asked: Asked, random: Random): Done {
  if (end.kind === "done") return end;
  insist(asked.command === "DEL", () => `${asked.command} was to be kept on disk`);
  const { directory, name, text, filesMax } = end;
  insist(directory.startsWith("/") && !directory.includes("\0"), () => `directory ${directory}`);
  insist(!name.includes("/") && !name.includes("\0") && !name.startsWith("."), () => `file name ${name}`);
  insist(Buffer.byteLength(name) <= 240 && filesMax > 0, () => `file name ${name}, ${filesMax} files`);
  const decoded = decodeSpooled(text);
  insist(decoded.ok, () => `a file that cannot be read: ${text}`);
  return random.oneIn(3) ? end.failed(random.pick(["ENOSPC", "FULL", "NOT_OWNED", "E\n"])) : end.kept();
}

/** Checks a run's end; the name of what happened. */
export function checkEnded({ exit, stdout, stderr }: Ended, asked: Asked): string {
  insist(stdout.length <= STDOUT_MAX, () => `${stdout.length} characters on stdout`);
  if (exit === 1) return checkError(stdout, stderr, asked);
  insist(exit === 0, () => `exit status ${exit}`);
  if (!COMMANDS.includes(asked.command)) {
    insist(asked.command === "" && stdout === "", () => `command ${asked.command} succeeded`);
    return "about";
  }
  insist(stderr === "" || isLine(stderr), () => `stderr ${JSON.stringify(stderr)}`);
  if (asked.command === "ADD") return checkResult(objectIn(stdout), asked);
  if (asked.command === "VERSION") {
    insist(Array.isArray(objectIn(stdout)["supportedVersions"]), () => `VERSION: ${stdout}`);
    return "versions";
  }
  insist(stdout === "", () => `${asked.command} has the result ${stdout}`);
  return stderr.includes("kept for the agent") ? "kept" : "ok";
}

function checkError(stdout: string, stderr: string, asked: Asked): string {
  const error = objectIn(stdout);
  const { cniVersion, code, msg, details } = error;
  insist(typeof cniVersion === "string" && cniVersion !== "", () => `cniVersion in ${stdout}`);
  insist(asked.cniVersion === undefined || cniVersion === asked.cniVersion, () => `cniVersion in ${stdout}`);
  insist(typeof code === "number" && Number.isInteger(code) && code > 0, () => `code in ${stdout}`);
  insist(typeof msg === "string" && typeof details === "string", () => `msg and details in ${stdout}`);
  insist(isLine(stderr) && stderr.startsWith("terway: "), () => `stderr ${JSON.stringify(stderr)}`);
  return `code ${code < 1000 ? code : "above 999"}`;
}

function checkResult(result: JsonObject, asked: Asked): string {
  const { cniVersion, interfaces, ips } = result;
  insist(typeof cniVersion === "string", () => `cniVersion ${String(cniVersion)}`);
  insist(asked.cniVersion === undefined || cniVersion === asked.cniVersion, () => `cniVersion ${cniVersion}`);
  if (cniVersion === "0.1.0" || cniVersion === "0.2.0") {
    insist(isObject(result["ip4"]) || isObject(result["ip6"]), () => `no address: ${JSON.stringify(result)}`);
    return "result";
  }
  insist(Array.isArray(interfaces) && interfaces.length > 0, () => "no interfaces");
  insist(Array.isArray(ips) && ips.length > 0, () => "no ips");
  for (const ip of ips) {
    const index: unknown = isObject(ip) ? ip["interface"] : undefined;
    const within = typeof index === "number" && index >= 0 && index < interfaces.length;
    insist(within, () => `an address of no interface: ${JSON.stringify(ip)}`);
  }
  return "result";
}

/** The one JSON object that is on standard output. */
function objectIn(stdout: string): JsonObject {
  insist(stdout.endsWith("\n") && stdout.indexOf("\n") === stdout.length - 1, () => `stdout ${stdout}`);
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    value = undefined;
  }
  insist(isObject(value), () => `stdout is no JSON object: ${stdout}`);
  return value;
}

/** One line, and nothing that a terminal would take for another. */
function isLine(text: string): boolean {
  const first = text.search(/[\p{Cc}\u2028\u2029]/u);
  return first === text.length - 1 && text.endsWith("\n");
}
