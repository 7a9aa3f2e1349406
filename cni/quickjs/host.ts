/**
 * The plugin's process under QuickJS: what its host in C offers (pkg-config/quickjs/host.c), and one run on it. The host
 * blocks, so a run is a plain function.
 *
 * @module
 */
import { begin, crashed, type Begin } from "../core/command.ts";
import { type Done, type End, type SpoolFailure } from "../core/done.ts";
import {
  STDIN_BYTES_MAX,
  STDIN_TOO_LONG,
  type Environment,
  type Input,
  type StdinRead,
} from "../core/input.ts";

/** The name of an errno ("ENOENT"). */
type Errno = string;

/** The global `host`. A path must have no zero byte. */
export type Host = {
  readonly env: Environment;
  /** The effective user's id. */
  readonly userId: number;
  /** UTF-8 as `Utf8` of the core promises. */
  readonly encode: (text: string) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => string;
  /** Standard input to its end, or its first `bytesMax` bytes. */
  readonly readStdin: (bytesMax: number) => Uint8Array | Errno;
  /** By device and inode, through symbolic links; false where one of them cannot be looked at. */
  readonly isSameFile: (one: string, other: string) => boolean;
  /** The id of the user to whom a file belongs. */
  readonly ownerOf: (path: string) => number | Errno;
  /** To the agent's socket. The deadline counts from here, for `read` and `write` too; after it they fail with ETIMEDOUT. */
  readonly connect: (path: string, deadlineMs: number) => Errno | undefined;
  /** All of it. */
  readonly write: (bytes: Uint8Array) => Errno | undefined;
  /** Waits for at least a byte; none is the end. */
  readonly read: () => Uint8Array | Errno;
  /** The promises of `Spool`. */
  readonly keepFile: (
    directory: string,
    name: string,
    text: string,
    filesMax: number,
  ) => SpoolFailure | undefined;
  /** Ends the process; what cannot be written is lost. */
  readonly end: (status: number, stdout: string, stderr: string) => never;
};

type Call = Extract<Begin, { kind: "call" }>;

/** One run from the environment to its end; never throws. */
export function runPlugin(host: Host): Done {
  try {
    const start = begin(inputOf(host));
    const end = start.kind === "done" ? start : converse(start, host);
    if (end.kind === "done") return end;
    const failure = host.keepFile(end.directory, end.name, end.text, end.filesMax);
    return failure === undefined ? end.kept() : end.failed(failure);
  } catch (error) {
    return crashed(error instanceof Error ? error.message : String(error));
  }
}

function inputOf(host: Host): Input {
  return {
    env: host.env,
    readStdin: () => readStdin(host),
    isOwnNetns: (path) => host.isSameFile("/proc/self/ns/net", path),
    utf8: host,
  };
}

function readStdin(host: Host): StdinRead {
  const bytes = host.readStdin(STDIN_BYTES_MAX + 1);
  if (typeof bytes === "string") return { kind: "failed", reason: bytes };
  if (bytes.length > STDIN_BYTES_MAX) return { kind: "failed", reason: STDIN_TOO_LONG };
  return { kind: "read", bytes };
}

/** Talks to the agent until the call has an end, at most `deadlineMs`. */
function converse({ socketPath, deadlineMs, call }: Call, host: Host): End {
  const owner = host.ownerOf(socketPath);
  if (typeof owner === "string") return call.failed(owner);
  if (owner !== 0 && owner !== host.userId) return call.notTrusted(owner);
  const failed = (errno: Errno): End => (errno === "ETIMEDOUT" ? call.timedOut() : call.failed(errno));
  const unconnected = host.connect(socketPath, deadlineMs);
  if (unconnected !== undefined) return failed(unconnected);
  let send = call.opening;
  // An agent that has gone may have answered before: what it said is read to the end.
  let unwritten: Errno | undefined;
  for (;;) {
    if (send.length > 0 && unwritten === undefined) unwritten = host.write(send);
    if (unwritten === "ETIMEDOUT") return call.timedOut();
    const bytes = host.read();
    if (typeof bytes === "string") return failed(unwritten ?? bytes);
    if (bytes.length === 0) return unwritten === undefined ? call.ended() : failed(unwritten);
    const step = call.feed(bytes);
    if (step.kind !== "more") return step;
    send = step.send;
  }
}
