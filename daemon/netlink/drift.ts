/**
 * Hearing of changes that others make to the node's datapath. What is heard is a reason to look, never more: what differs is
 * found by comparing the plan with the kernel.
 *
 * @module
 */
import { type Result } from "../../proto/result.ts";
import { type Kernel, type Suspect } from "../core/kernel.ts";
import { addressesOfAlias, GROUP } from "../core/datapath/layout.ts";
import { type Client } from "./client.ts";
import { decodeLink, getLink } from "./codec/link.ts";
import { DecodeError } from "./codec/wire.ts";
import { type DriftFacts, type Hint, suspectOf } from "./drift-event.ts";
import { lookAt } from "./look.ts";
import { type SocketThread } from "./socket.ts";
import { isOwnNft } from "./nft.ts";
import { type Groups, NFNLGRP, openWatch, RTMGRP, type Watcher } from "./watch.ts";

const ROUTE_BITS =
  RTMGRP.LINK |
  RTMGRP.NEIGH |
  RTMGRP.IPV4_ROUTE |
  RTMGRP.IPV4_RULE |
  RTMGRP.IPV6_ROUTE |
  RTMGRP.IPV6_RULE |
  RTMGRP.IPV4_NETCONF |
  RTMGRP.IPV6_NETCONF;
const ROUTE_GROUPS: Groups = { family: "route", bits: ROUTE_BITS };
const NFT_GROUPS: Groups = { family: "netfilter", bits: NFNLGRP.NFTABLES };

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
    watch: (onSuspect) => openWatch(thread, ROUTE_GROUPS, driftWatcher(client, facts, onSuspect), NFT_GROUPS),
  };
}

/** Says of each message what it is a reason to look at; of one that was lost, all. */
export function driftWatcher(
  client: Client,
  facts: DriftFacts,
  onSuspect: (suspect: Suspect) => void,
): Watcher {
  const tell = async (heard: Hint): Promise<void> => {
    const suspect = heard.kind === "device" ? await ownerOf(client, heard.ifIndex) : heard;
    if (suspect !== undefined) onSuspect(suspect);
  };
  return {
    seen(messages) {
      for (const message of messages) {
        const heard = judge(() => suspectOf(message, facts));
        if (heard !== undefined) void tell(heard);
      }
    },
    lost: () => onSuspect({ kind: "all" }),
  };
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
