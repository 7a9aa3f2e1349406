/**
 * The name of the host's end of a pod's link.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../../proto/attachment.ts";

/** FNV-1a, 64 bits: draft-eastlake-fnv, section 5. */
const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;
const MASK = 0xffff_ffff_ffff_ffffn;
const PREFIX = "tw";
/** 36^13 > 2^64. */
const DIGITS = 13;

/**
 * `tw` and 13 characters of 0-9 and a-z: 15 bytes, the most that a link's name can have (IFNAMSIZ - 1). The same
 * attachment always has the same name. Two that are alive at the same time have the same one by a chance of 2^-64 times
 * their pairs; the second is then refused (`interface-exists`).
 */
export function hostLinkName(attachment: Attachment): string {
  let hash = FNV_OFFSET;
  for (const byte of new TextEncoder().encode(attachmentKey(attachment)))
    hash = ((hash ^ BigInt(byte)) * FNV_PRIME) & MASK;
  return `${PREFIX}${hash.toString(36).padStart(DIGITS, "0")}`;
}

/** False: somebody else has given the link its name. */
export function hasHostLinkPrefix(name: string): boolean {
  return name.startsWith(PREFIX);
}
