/**
 * Hearing of changes that others make to the node's datapath. What is heard is a reason to look, never more: what differs is
 * found by comparing the plan with the kernel.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type Kernel, type Suspect } from "../core/kernel.ts";
import { addressesOfAlias, GROUP } from "../core/datapath/layout.ts";
import { type Client } from "./client.ts";
import { decodeLink, getLink } from "./codec/link.ts";
import { DecodeError } from "./codec/wire.ts";
import { type DriftFacts, type Hint, suspectOf } from "./drift-event.ts";
import { lookAt } from "./look.ts";
import { type SocketThread } from "./socket.ts";
import { isOwnNft } from "./nft.ts";
import { openWatch, RTMGRP, type Watcher } from "./watch.ts";

const ROUTE_GROUPS =
  RTMGRP.LINK |
  RTMGRP.NEIGH |
  RTMGRP.IPV4_ROUTE |
  RTMGRP.IPV4_RULE |
  RTMGRP.IPV6_ROUTE |
  RTMGRP.IPV6_RULE |
  RTMGRP.IPV4_NETCONF |
  RTMGRP.IPV6_NETCONF;
/** 1 << (NFNLGRP_NFTABLES - 1), of <linux/netfilter/nfnetlink.h>. */
const NFT_GROUP = 0x40;

export type Heard = {
  /** The same kernel, of which it is known which devices its ENIs have. */
  readonly kernel: Kernel;
  /** Calls `onSuspect` with what others may have changed; listens when it resolves, until disposal. */
  readonly watch: (onSuspect: (suspect: Suspect) => void) => Promise<Result<AsyncDisposable>>;
};

/** Hears of changes that were not made by `client`, on `thread`. */
export function withDrift(kernel: Kernel, thread: SocketThread, client: Client): Heard {
  /** Of the ENIs that were configured, by slot. */
  const devices = new Map<number, number>();
  const facts: DriftFacts = {
    isOwn: (port) => client.isOwn(port) || isOwnNft(port),
    isEni: (ifIndex) => devices.values().some((index) => index === ifIndex),
  };
  return {
    kernel: {
      ...kernel,
      configureEni(eni) {
        devices.set(eni.slot, eni.ifIndex);
        return kernel.configureEni(eni);
      },
      forgetEni(slot) {
        devices.delete(slot);
        return kernel.forgetEni(slot);
      },
    },
    watch: (onSuspect) => openDrift(thread, client, facts, onSuspect),
  };
}

async function openDrift(
  thread: SocketThread,
  client: Client,
  facts: DriftFacts,
  onSuspect: (suspect: Suspect) => void,
): Promise<Result<AsyncDisposable>> {
  const tell = async (heard: Hint): Promise<void> => {
    const suspect = heard.kind === "device" ? await ownerOf(client, heard.ifIndex) : heard;
    if (suspect !== undefined) onSuspect(suspect);
  };
  const watcher: Watcher = {
    seen(messages) {
      for (const message of messages) {
        const heard = judge(() => suspectOf(message, facts));
        if (heard !== undefined) void tell(heard);
      }
    },
    lost: () => onSuspect({ kind: "all" }),
  };
  await using stack = new AsyncDisposableStack();
  for (const groups of [
    { family: "route", bits: ROUTE_GROUPS },
    { family: "netfilter", bits: NFT_GROUP },
  ] as const) {
    const watch = await openWatch(thread, groups, watcher);
    if (!watch.ok) return watch;
    stack.use(watch.value);
  }
  const watches = stack.move();
  return ok({ [Symbol.asyncDispose]: () => watches.disposeAsync() });
}

/** The pod whose device has this index. */
async function ownerOf(client: Client, index: number): Promise<Suspect | undefined> {
  const found = await lookAt(client, "ip link show", [getLink({ index })], ({ payload }) =>
    decodeLink(payload),
  );
  if (!found.ok) return { kind: "all" };
  const [link] = found.value;
  const [address] = link?.group === GROUP.pods ? addressesOfAlias(link.alias ?? "") : [];
  return address === undefined ? undefined : { kind: "pod", address };
}

/** What cannot be read is a reason to look as well. */
function judge(read: () => Hint | undefined): Hint | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError) return { kind: "all" };
    throw error;
  }
}
