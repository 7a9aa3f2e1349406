/**
 * Deleting the links of pods that are gone already, all of them by one request.
 *
 * Of the 10 to 40 ms that a deletion takes the kernel holds its lock of network configuration for one or two. The rest it
 * waits, without any lock, until no CPU can hold the link any more; but whoever asked waits with it. So this request does not
 * go through the netlink thread, which has other pods to serve: it is written to a socket of its own in libuv's pool.
 *
 * @module
 */
import { read, write } from "node:fs";
import { promisify } from "node:util";
import { type DeletionBounds, deletionDueMs } from "../core/datapath/deletion.ts";
import { GROUP } from "../core/datapath/layout.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { jobFault } from "./client.ts";
import { decodeAck, errnoName } from "./codec/error.ts";
import { messagesOf, NLMSG } from "./codec/header.ts";
import { deleteLinkGroup } from "./codec/link.ts";
import { batch } from "./codec/request.ts";
import { type SocketOptions } from "./job.ts";
import { errorCode } from "./netns.ts";
import { type SocketThread } from "./socket.ts";

const OP = `ip link delete group ${GROUP.doomed}`;
/** NETLINK_ROUTE of the node, no groups. The answer is there when the write returns. */
const SOCKET: SocketOptions = {
  domain: 16,
  type: 3,
  protocol: 0,
  address: Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  receiveTimeoutMs: 2_000,
};
/** More than one answer takes, with the kernel's words. */
const RECEIVE_BYTES = 8192;
/** How long disposal waits for the deletion. What is left then is deleted by the next `prepareHost`. */
const DISPOSAL_MS = 2_000;

/** The links in `GROUP.doomed`. */
export type Doomed = AsyncDisposable & {
  /** So many links were put into the group: they are deleted in a while. */
  add(count: number): void;
  /** A pod comes or goes. */
  busy(): void;
  /** Deletes all links that are in the group now, whoever put them there, and resolves when they are gone. */
  deleteNow(): Promise<Result<void>>;
  /** How many deletions the kernel was asked for that had links to delete. */
  deletions(): number;
};

/** `forget`: what else is put off until then; done before the links are deleted. */
export function openDoomed(
  thread: SocketThread,
  bounds: DeletionBounds,
  forget: () => Promise<Result<void>>,
): Doomed {
  let [count, sinceMs, busyMs, deletions] = [0, 0, 0, 0];
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** The last deletion that was asked for, done or not. */
  let last: Promise<Result<void>> = Promise.resolve(ok(undefined));

  /** Deletes what is due, or looks again when it may be. A pod that comes or goes meanwhile does not touch the timer. */
  function look(): void {
    const dueMs = deletionDueMs({ count, sinceMs, busyMs }, bounds);
    if (dueMs === undefined) return;
    const inMs = Math.ceil(dueMs - performance.now());
    if (inMs <= 0) void deleteNow();
    else {
      timer ??= setTimeout(() => {
        timer = undefined;
        look();
      }, inMs);
      // A process that ends without disposal leaves links behind: `prepareHost` finds them.
      timer.unref();
    }
  }

  /** One after the other: one that is under way may have begun before the last link was doomed. */
  function deleteNow(): Promise<Result<void>> {
    last = last.then(deleteOnce);
    return last;
  }

  async function deleteOnce(): Promise<Result<void>> {
    const taken = count;
    count = 0;
    const forgotten = await forget();
    const deleted = await deleteGroup(thread);
    if (!deleted.ok) {
      // Tried again together with the next one.
      count += taken;
      return deleted;
    }
    if (deleted.value) deletions += 1;
    return forgotten;
  }

  return {
    add(more) {
      if (count === 0) sinceMs = performance.now();
      count += more;
      look();
    },
    busy() {
      busyMs = performance.now();
    },
    deleteNow,
    deletions: () => deletions,
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      const { promise, resolve } = Promise.withResolvers<void>();
      const late = setTimeout(resolve, DISPOSAL_MS);
      await Promise.race([count === 0 ? last : deleteNow(), promise]);
      clearTimeout(late);
    },
  };
}

const [writeFile, readFile] = [promisify(write), promisify(read)];

/** Whether there was any link to delete. */
async function deleteGroup(thread: SocketThread): Promise<Result<boolean>> {
  const opened = await thread.run({ kind: "open", socket: SOCKET });
  if (opened.kind !== "opened") return failed(jobFault(OP, opened));
  const { fd } = opened;
  try {
    await writeFile(fd, batch([deleteLinkGroup(GROUP.doomed)], 1).bytes);
    const { bytesRead, buffer } = await readFile(fd, new Uint8Array(RECEIVE_BYTES), 0, RECEIVE_BYTES, null);
    return deletedOf(buffer.subarray(0, bytesRead));
  } catch (error) {
    return failed({ kind: "kernel", op: OP, errno: errorCode(error) });
  } finally {
    await thread.run({ kind: "close", fd });
  }
}

function deletedOf(bytes: Uint8Array): Result<boolean> {
  const answer = messagesOf(bytes).find(({ type }) => type === NLMSG.ERROR);
  if (answer === undefined) return failed({ kind: "kernel", op: OP, errno: "ENODATA" });
  const { errno, message: extAck } = decodeAck(answer);
  const name = errnoName(errno);
  if (errno === 0 || name === "ENODEV") return ok(errno === 0);
  return failed({ kind: "kernel", op: OP, errno: name, ...(extAck !== undefined && { extAck }) });
}
