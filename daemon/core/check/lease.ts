/**
 * A lease beside what the pool says of its address.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { type Attachment, attachmentKey } from "../../../proto/attachment.ts";
import { type Pool } from "../pool/model.ts";

/** One line where the address is not this attachment's; empty where all is well. */
export function poolDifferences(
  pool: Pick<Pool, "enis" | "unplaced">,
  attachment: Attachment,
  { address, slot }: { readonly address: IpAddress; readonly slot: number },
): readonly string[] {
  const state = pool.enis.get(slot)?.addresses.get(address) ?? pool.unplaced.get(address)?.state;
  if (state?.kind !== "used") return [`the pool has ${address} as ${state?.kind ?? "unknown"}`];
  if (attachmentKey(state.attachment) !== attachmentKey(attachment))
    return [`the pool has given ${address} to ${attachmentKey(state.attachment)}`];
  return state.lost === true ? [`the cloud does not list ${address} any more`] : [];
}
