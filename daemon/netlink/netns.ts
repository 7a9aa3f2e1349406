/**
 * The pod's network namespace: CNI_NETNS opened, and checked to be one before anything is done in it.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, statfsSync, statSync } from "node:fs";
import { failed, ok, type Result } from "../../proto/result.ts";

/** NSFS_MAGIC of <linux/magic.h>: what namespaces are files of. */
const NSFS_MAGIC = 0x6e736673;
/** The namespaces that are not a pod's: the process's own and the node's. */
const OWN = "/proc/self/ns/net";

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
  if (statfsSync(`/proc/self/fd/${fd}`).type !== NSFS_MAGIC) return "it is not a network namespace";
  const { dev, ino } = fstatSync(fd);
  const own = [OWN, ...(nodeNetns === undefined ? [] : [nodeNetns])].map((path) => statSync(path));
  return own.some((other) => other.dev === dev && other.ino === ino)
    ? "it is the node's own network namespace, not a pod's"
    : undefined;
}

/** `"ENOENT"` and the like, of an error of Node. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : String(error);
}
