/**
 * The attachment: one interface of one container in one network, the primary key of leases, links and replies.
 * Source: CNI SPEC.md 1.1.0, section 2 ("a unique attachment is the tuple of network name, CNI_CONTAINERID, CNI_IFNAME").
 *
 * @module
 */
export type Attachment = {
  /** "name" of the network configuration. */
  readonly network: string;
  /** CNI_CONTAINERID. */
  readonly containerId: string;
  /** CNI_IFNAME. */
  readonly ifName: string;
};

/** One string for maps and logs. None of the three parts can contain a slash (checked by the plugin and by the agent). */
export function attachmentKey(attachment: Attachment): string {
  return `${attachment.network}/${attachment.containerId}/${attachment.ifName}`;
}
