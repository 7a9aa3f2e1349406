/**
 * The DEL that the agent could not be told of: kept in a file, which the agent carries out when it runs again. The
 * runtime is told that it worked, because a pod must not wait for its end until an agent is back.
 *
 * @module
 */
import { encodeSpooled, SPOOL_BYTES_MAX, SPOOL_FILES_MAX, spoolName } from "../../proto/spool.ts";
import { errorOf, fail, remark, succeed, type Done, type End, type SpoolFailure } from "./done.ts";
import { type Request } from "./request.ts";

/** `because`: why the agent does not know of the DEL, for people. */
export function keepDel(request: Request, because: string): End {
  const { network, pod, spoolDirectory: directory, cniVersion, command } = request;
  const attachment = { network, containerId: pod.containerId, ifName: pod.ifName };
  const refuse = (reason: string): Done => {
    const fault = {
      kind: "spool",
      directory,
      reason: `${reason}. It was to be kept because ${because}`,
    } as const;
    return fail(errorOf(fault), cniVersion, command);
  };
  const name = spoolName(attachment);
  if (name === undefined)
    return refuse("the network's name or the container's id is too long for a file's name");
  const text = encodeSpooled({ attachment, netns: pod.netns });
  return {
    kind: "spool",
    directory,
    name,
    // UTF-8 has at most three bytes for a unit of UTF-16. What is longer is no path; the agent has that of ADD.
    text: 3 * text.length <= SPOOL_BYTES_MAX ? text : encodeSpooled({ attachment, netns: "" }),
    filesMax: SPOOL_FILES_MAX,
    kept: () => {
      const note = `kept for the agent in ${directory}/${name}, to be carried out when it runs again: ${because}`;
      return succeed(undefined, remark(note, command));
    },
    failed: (reason) => refuse(describeFailure(reason)),
  };
}

function describeFailure(reason: SpoolFailure): string {
  switch (reason) {
    case "NOT_OWNED":
      return "the directory belongs to somebody else";
    case "WRITABLE_BY_OTHERS":
      return "group or others may write into the directory";
    case "FULL":
      return `${SPOOL_FILES_MAX} files are in it already`;
    case "ENOTDIR":
    case "ELOOP":
      return `it is not a directory but a file or a symbolic link (${reason})`;
    case "ENOSPC":
    case "EDQUOT":
      return `there is no space left (${reason})`;
    case "EROFS":
      return "the file system is read-only (EROFS)";
    case "EACCES":
    case "EPERM":
      return `the plugin may not write there (${reason})`;
    default:
      return reason;
  }
}
