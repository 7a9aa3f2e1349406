/**
 * The pod's network namespace: CNI_NETNS opened, and checked to be one before anything is done in it.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { failed, ok, type Result } from "../../proto/result.ts";

/** The namespace of the process's main thread. It stays the same for as long as the process lives. */
const OWN = "/proc/self/ns/net";
let own: Identity | undefined;

/** Of a file: two descriptors with the same are of the same namespace. */
type Identity = { readonly dev: number; readonly ino: number };

/** `fd` is valid in all threads of the process, until disposal. */
export type Netns = Disposable & { readonly fd: number };

/**
 * Opens the namespace at `path`. Faults are `bad-netns`: the path is missing, is no namespace, or is the agent's own or
 * the node's. That a namespace of another kind (a PID namespace) is none of network shows when it is entered (EINVAL).
 */
export function openNetns(path: string, nodeNetns: string | undefined): Result<Netns> {
  const bad = (reason: string): Result<Netns> => failed({ kind: "bad-netns", path, reason });
  let fd: number;
  try {
    // O_NONBLOCK: the open of a pipe would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    return bad(code === "ENOENT" ? "it does not exist" : `it cannot be opened (${code})`);
  }
  const reason = whyNot(fd, nodeNetns);
  if (reason === undefined) return ok({ fd, [Symbol.dispose]: () => closeSync(fd) });
  closeSync(fd);
  return bad(reason);
}

function whyNot(fd: number, nodeNetns: string | undefined): string | undefined {
  own ??= statSync(OWN);
  const it = fstatSync(fd);
  // All namespaces are files of one file system, which has nothing else.
  if (it.dev !== own.dev) return "it is not a network namespace";
  const isNodes = isSame(it, own) || (nodeNetns !== undefined && isSame(it, statSync(nodeNetns)));
  return isNodes ? "it is the node's own network namespace, not a pod's" : undefined;
}

function isSame(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** `"ENOENT"` and the like, of an error of Node. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : String(error);
}
