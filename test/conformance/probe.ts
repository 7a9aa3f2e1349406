/**
 * One run of the executable, as libcni does it: environment, configuration on stdin, a bound on time. The plugin runs in
 * the network namespace that stands for the node's.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { type JsonObject, JSON_OBJECT, parseJson } from "./target.ts";

export type Verb = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** A pod as the runtime makes it. */
export type Pod = {
  readonly containerId: string;
  /** Name of its network namespace, and CNI_NETNS. */
  readonly namespace: string;
  readonly netns: string;
};

/** What is on standard input. */
export type Stdin = JsonObject | string | Uint8Array | typeof UNREADABLE;

/** A standard input that every read(2) refuses: a directory. */
export const UNREADABLE = Symbol("unreadable");

export type Call = {
  /** CNI_COMMAND; not one of the specification's for tests of that. */
  readonly verb: Verb | (string & {}) | undefined;
  readonly stdin: Stdin;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs?: number;
  /** SIGKILL after so long. */
  readonly killAfterMs?: number;
};

export type Run = {
  readonly verb: string | undefined;
  /** "signal SIGKILL", "no end within 1000 ms" or the exit status. */
  readonly end: number | string;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
  /** For a shell. */
  readonly repeat: string;
};

/** Bytes kept of each output; a plugin that writes more is cut off. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** After the plugin's end something that it left may keep stdout open. */
const CLOSE_WAIT_MS = 2_000;

/** Never rejects for what the plugin does. */
export async function execute(plugin: string, node: string, call: Call): Promise<Run> {
  const env = definedOnly(call.env);
  const descriptor = call.stdin === UNREADABLE ? openSync("/", "r") : undefined;
  const startedMs = performance.now();
  const child = spawn("nsenter", [`--net=/run/netns/${node}`, "--", plugin], {
    env,
    cwd: "/",
    stdio: [descriptor ?? "pipe", "pipe", "pipe"],
  });
  if (descriptor !== undefined) closeSync(descriptor);
  const outputs = [collect(child.stdout), collect(child.stderr)];
  child.stdin?.on("error", () => undefined);
  if (call.stdin !== UNREADABLE) child.stdin?.end(bytesOf(call.stdin));
  const timeoutMs = call.timeoutMs ?? TIMEOUT_MS;
  let end: number | string = "not started";
  const closed = Promise.withResolvers<void>();
  const timers = [
    setTimeout(() => {
      end = `no end within ${timeoutMs} ms`;
      child.kill("SIGKILL");
    }, timeoutMs),
  ];
  if (call.killAfterMs !== undefined) timers.push(setTimeout(() => child.kill("SIGKILL"), call.killAfterMs));
  let tookMs = 0;
  child.once("error", (error) => {
    end = `cannot be executed: ${error.message}`;
    closed.resolve();
  });
  child.once("exit", (code, signal) => {
    tookMs = performance.now() - startedMs;
    if (end === "not started") end = code ?? `signal ${signal}`;
    timers.push(setTimeout(closed.resolve, CLOSE_WAIT_MS));
  });
  child.once("close", () => closed.resolve());
  await closed.promise;
  for (const timer of timers) clearTimeout(timer);
  const [stdout = "", stderr = ""] = outputs.map((text) => text());
  return { verb: call.verb, end, stdout, stderr, tookMs, repeat: repeatOf(plugin, env, call.stdin) };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= OUTPUT_BYTES_MAX) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

function bytesOf(stdin: Exclude<Stdin, typeof UNREADABLE>): string | Uint8Array {
  return typeof stdin === "string" || stdin instanceof Uint8Array ? stdin : JSON.stringify(stdin);
}

/** Longest text of a value in a command that is meant to be read. */
const SHOWN_MAX = 400;

function repeatOf(plugin: string, env: Readonly<Record<string, string>>, stdin: Stdin): string {
  const { PATH: _, ...variables } = env;
  const words = Object.entries(variables).map(([name, value]) => quote(`${name}=${short(value)}`));
  const run = `env -i PATH="$PATH" ${words.join(" ")} ${quote(plugin)}`;
  if (stdin === UNREADABLE) return `${run} </`;
  const text = typeof stdin === "string" ? stdin : stdin instanceof Uint8Array ? "" : JSON.stringify(stdin);
  const bytes =
    stdin instanceof Uint8Array ? `printf %b ${quote(octal(stdin))}` : `printf %s ${quote(short(text))}`;
  return `${bytes} | ${run}`;
}

function octal(bytes: Uint8Array): string {
  return [...bytes.subarray(0, SHOWN_MAX / 4)].map((byte) => `\\0${byte.toString(8)}`).join("");
}

function short(text: string): string {
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}… (${text.length} characters)` : text;
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** What a person sees of a run: how it ended and what it printed. */
export function describeRun(run: Run): string {
  const error = errorOf(run);
  const end = typeof run.end === "number" ? `exit ${run.end}` : run.end;
  if (error !== undefined) {
    const details = error.details === "" ? "" : `; ${error.details}`;
    return `${end}, code ${error.code}: ${oneLine(error.msg + details)}`;
  }
  const stderr = run.stderr.trim() === "" ? "" : `, stderr ${JSON.stringify(oneLine(run.stderr))}`;
  return `${end}, stdout ${run.stdout === "" ? "empty" : JSON.stringify(oneLine(run.stdout))}${stderr}`;
}

function oneLine(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, " ");
  return line.length > 240 ? `${line.slice(0, 240)}…` : line;
}

export type CniError = { readonly code: number; readonly msg: string; readonly details: string };

/** The error object on stdout of a run that failed; `undefined` where there is none. */
export function errorOf(run: Run): CniError | undefined {
  if (run.end === 0) return undefined;
  const object = JSON_OBJECT.safeParse(parseJson(run.stdout));
  if (!object.success) return undefined;
  const { code, msg, details } = object.data;
  if (typeof code !== "number" || typeof msg !== "string") return undefined;
  return { code, msg, details: typeof details === "string" ? details : "" };
}
