/**
 * Bytes for the decoders, one at a time: deeper than whole conversations reach.
 *
 * @module
 */
import { concatBytes } from "../../cni/core/bytes.ts";
import { decodeHeaders, encodeHeaders, HEADER_LIST_BYTES_MAX } from "../../cni/core/hpack.ts";
import { decodeAddReply, decodeFault } from "../../cni/core/messages.ts";
import { nodeUtf8 } from "../../cni/node-host.ts";
import { messagesOf } from "../../daemon/netlink/codec/header.ts";
import { decodeMessage } from "../../daemon/netlink/codec/message.ts";
import { DecodeError } from "../../daemon/netlink/codec/wire.ts";
import { decodeSpooled, encodeSpooled } from "../../proto/spool.ts";
import { hexOf, mutateBytes, mutateText } from "./mutate.ts";
import { type Random } from "./random.ts";
import { addReply, CAPTURED_FRAMES } from "./replies.ts";
import { insist, type Target } from "./runner.ts";

/** One kernel message of each type that the agent decodes: link, address, route, rule, neighbour, nsid, ack. */
const NETLINK_SEEDS: readonly Uint8Array[] = [16, 20, 24, 32, 28, 88, 2].map((type) => {
  const header = new Uint8Array(16 + 64);
  const view = new DataView(header.buffer);
  view.setUint32(0, header.length, true);
  view.setUint16(4, type, true);
  // Behind each fixed header: attributes of length 8, numbers 1 to 5.
  for (let at = 40, number = 1; at < header.length; at += 8, number += 1) {
    view.setUint16(at, 8, true);
    view.setUint16(at + 2, number, true);
  }
  return header;
});

/** Of the captured answers. */
const HEADER_BLOCKS = CAPTURED_FRAMES.flat()
  .filter(({ type }) => type === 1)
  .map(({ payload }) => payload);

export const hpack: Target = {
  name: "hpack",
  about: "header blocks, with Huffman code",
  prepare: (random) => {
    const block = headerBlock(random);
    return {
      show: () => hexOf(block),
      run: () => {
        const all = decodeHeaders(block);
        const some = decodeHeaders(block, ["grpc-status"]);
        if (!all.ok) return "refused";
        const bytes = all.value.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
        insist(all.value.length <= 256 && bytes <= HEADER_LIST_BYTES_MAX, () => `${bytes} bytes of headers`);
        insist(some.ok, () => "a block that can be read whole and not in part");
        const again = decodeHeaders(encodeHeaders(all.value));
        insist(JSON.stringify(again) === JSON.stringify(all), () => "written and read, it is not the same");
        return "read";
      },
    };
  },
};

function headerBlock(random: Random): Uint8Array {
  const block = random.pick(HEADER_BLOCKS);
  switch (random.below(6)) {
    case 0:
      return random.bytes(200);
    case 1: // One string in Huffman code.
      return concatBytes([
        Uint8Array.of(0x40, 1, 0x78, 0x80 | 40),
        random.bytes(40),
        new Uint8Array(40).fill(0xff),
      ]);
    case 2:
      return concatBytes([mutateBytes(random, block), random.pick(HEADER_BLOCKS)]);
    case 3: {
      const changed = concatBytes([block]);
      changed[random.below(block.length)] = random.below(256);
      return changed;
    }
    default:
      return mutateBytes(random, block);
  }
}

export const protobuf: Target = {
  name: "protobuf",
  about: "messages of the agent: AddReply and Fault",
  prepare: (random) => {
    const message = random.oneIn(4) ? random.bytes(100) : mutateBytes(random, addReply(random));
    return {
      show: () => hexOf(message),
      run: () => {
        const fault = decodeFault(message, nodeUtf8);
        const reply = decodeAddReply(message, nodeUtf8);
        if (!reply.ok) return fault.ok ? "fault" : "refused";
        const { interfaces, ips, routes } = reply.value;
        const parts = interfaces.length + ips.length + routes.length;
        insist(parts <= message.length / 2, () => `${parts} parts`);
        return "reply";
      },
    };
  },
};

export const spool: Target = {
  name: "spool",
  about: "files in the spool directory",
  prepare: (random) => {
    const attachment = { network: "terway", containerId: "c1", ifName: "eth0" };
    const text = encodeSpooled({ attachment, netns: "/run/netns/pod" });
    const changed = random.oneIn(10) ? nodeUtf8.decode(random.bytes(100)) : mutateText(random, text);
    return {
      show: () => JSON.stringify(changed),
      run: () => {
        const read = decodeSpooled(changed);
        if (!read.ok) return "refused";
        const again = decodeSpooled(encodeSpooled(read.value));
        insist(JSON.stringify(again) === JSON.stringify(read), () => "written and read, it is not the same");
        return "read";
      },
    };
  },
};

export const netlink: Target = {
  name: "netlink",
  about: "messages of the kernel",
  prepare: (random) => {
    const seed = random.pick(NETLINK_SEEDS);
    const bytes = mutateBytes(random, seed);
    // A length that is right brings the damage past the first check.
    if (bytes.length >= 16 && !random.oneIn(4)) new DataView(bytes.buffer).setUint32(0, bytes.length, true);
    return {
      show: () => hexOf(bytes),
      run: () => {
        try {
          let count = 0;
          for (const message of messagesOf(bytes)) {
            decodeMessage(message);
            count += 1;
          }
          return `${Math.min(count, 2)} messages`;
        } catch (error) {
          if (error instanceof DecodeError) return "refused";
          throw error;
        }
      },
    };
  },
};
