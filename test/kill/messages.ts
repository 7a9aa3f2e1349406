/**
 * What netlink messages want, by their numbers: enough to name an effect.
 *
 * @module
 */

/** RTM_… of <linux/rtnetlink.h>, and NFNL_SUBSYS << 8 | NFT_MSG_… or IPCTNL_MSG_CT_… of <linux/netfilter/nfnetlink.h> and its like. */
const CHANGES: Readonly<Record<number, string>> = {
  16: "new-link",
  17: "delete-link",
  19: "set-link",
  20: "new-address",
  21: "delete-address",
  24: "new-route",
  25: "delete-route",
  28: "new-neighbour",
  29: "delete-neighbour",
  32: "new-rule",
  33: "delete-rule",
  36: "new-qdisc",
  37: "delete-qdisc",
  40: "new-class",
  41: "delete-class",
  44: "new-filter",
  45: "delete-filter",
  0x0102: "delete-connections",
  0x0a0c: "new-element",
  0x0a0e: "delete-element",
};
const HEADER_BYTES = 16;
/** NFNL_MSG_BATCH_BEGIN and _END, which are the numbers of new-link and delete-link, too; the header of the former, struct nfgenmsg included. */
const BATCH: readonly number[] = [0x10, 0x11];
const BATCH_BYTES = 20;

/**
 * Names of the changes among the messages of one send, each once. Nothing where all of them only ask: RTM_GET… (the third of
 * each four) and NFT_MSG_GET….
 */
export function changesIn(bytes: Uint8Array): readonly string[] {
  const names = new Set<string>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isNetfilter = bytes.length >= HEADER_BYTES && view.getUint32(0, true) === BATCH_BYTES;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const type = view.getUint16(at + 4, true);
    const isFrame = isNetfilter && BATCH.includes(type);
    const name = isFrame ? undefined : CHANGES[type];
    if (name !== undefined) names.add(name);
    at += Math.max((view.getUint32(at, true) + 3) & ~3, HEADER_BYTES);
  }
  return [...names];
}
