/**
 * A DEL on disk: what the plugin leaves in the spool directory when the agent does not answer, and the agent carries out
 * when it runs again. One file an attachment, so that repeating a DEL adds nothing.
 *
 * @module
 */
import { type Attachment } from "./attachment.ts";
import { failed, ok, type Result } from "./result.ts";

/** What is known of a DEL that is still to be carried out. */
export type SpooledDel = {
  readonly attachment: Attachment;
  /** CNI_NETNS; may be empty. */
  readonly netns: string;
};

/** Files in the directory; a node has some hundred pods. */
export const SPOOL_FILES_MAX = 4096;
/** Bytes of one file. */
export const SPOOL_BYTES_MAX = 8192;

/** NAME_MAX of <linux/limits.h>, less the dot and the process id of the temporary name. */
const NAME_BYTES_MAX = 240;
const SUFFIX = ".del";
/** Of the text; another one is another meaning. */
const FORMAT = 1;

/**
 * "NETWORK@CONTAINER@IFNAME.del": no network and no container id has an "@". `undefined` where a directory cannot hold the
 * name (a network or container id of more than a hundred letters).
 */
export function spoolName(attachment: Attachment): string | undefined {
  const { network, containerId, ifName } = attachment;
  const name = `${network}@${containerId}@${ifName}${SUFFIX}`;
  // UTF-8 has at most three bytes for each unit of UTF-16, and only the interface's name can have any but ASCII.
  return name.length + 2 * ifName.length > NAME_BYTES_MAX ? undefined : name;
}

/** Is it a file of ours? The others in the directory are left alone. */
export function isSpoolName(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith(".");
}

export function encodeSpooled({ attachment, netns }: SpooledDel): string {
  const { network, containerId, ifName } = attachment;
  return `${JSON.stringify({ format: FORMAT, network, containerId, ifName, netns })}\n`;
}

/** Never throws; the fault says what is wrong with the text. A file that was cut off fails. */
export function decodeSpooled(text: string): Result<SpooledDel, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return failed("it is not JSON; it may have been cut off");
  }
  if (typeof value !== "object" || value === null) return failed("it is no object");
  const field = (key: string): unknown => Object.entries(value).find(([name]) => name === key)?.[1];
  if (field("format") !== FORMAT) return failed(`its format is not ${FORMAT}`);
  const [network, containerId, ifName, netns] = [
    field("network"),
    field("containerId"),
    field("ifName"),
    field("netns"),
  ];
  return isText(network) && isText(containerId) && isText(ifName) && typeof netns === "string"
    ? ok({ attachment: { network, containerId, ifName }, netns })
    : failed("network, containerId, ifName or netns is missing");
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
