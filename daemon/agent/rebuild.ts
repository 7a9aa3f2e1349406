/**
 * Fills a database that has lost what the node has, from the kernel, the runtime and the cloud, and says what it found.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { type IpAddress } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { encodeBandwidth } from "../core/datapath/bandwidth-text.ts";
import { type CacheEntry } from "../core/rebuild/cache-entry.ts";
import { encodeRecord } from "../core/pool/records.ts";
import {
  isUnknown,
  type KernelView,
  type OwnEni,
  rebuild,
  type RebuiltLease,
} from "../core/rebuild/rebuild.ts";
import { type LeaseRow, type StoreChange } from "../store/schema.ts";
import { type Store } from "../store/store.ts";
import { sentence, type StartFault } from "./start-fault.ts";
import { type Log } from "./log.ts";

export type Recovery = {
  readonly store: Pick<Store, "lost" | "write">;
  readonly view: KernelView;
  /** What the runtime knows. */
  readonly cache: readonly CacheEntry[];
  /** `undefined` where there is no cloud. */
  readonly enis: readonly OwnEni[] | undefined;
  /** Of the node's block, where there is no cloud. */
  readonly block: readonly IpAddress[];
  readonly cooldownMs: number;
  readonly nowMs: number;
  readonly log: Log;
};

/** All in one transaction: an agent that is killed meanwhile starts again from the beginning. */
export function recoverStore(recovery: Recovery): Result<void, StartFault> {
  const { store, view, cache, enis, block, cooldownMs, nowMs, log } = recovery;
  const found = rebuild({ kernel: view, cache, enis, block });
  const changes: StoreChange[] = [
    ...found.enis.map((record) => ({
      kind: "put-eni" as const,
      slot: record.slot,
      record: encodeRecord(record),
    })),
    ...found.leases.map((lease) => ({ kind: "put-lease" as const, lease: rowOf(lease) })),
    ...found.cooling.map((address) => ({
      kind: "put-cooldown" as const,
      address,
      untilMs: nowMs + cooldownMs,
    })),
    { kind: "rebuilt" },
  ];
  const written = store.write(changes);
  if (!written.ok) return failed({ text: sentence(written.fault) });
  // A node that is new has nothing to tell of.
  if (!view.wasUsed && found.leases.length === 0) return ok(undefined);
  for (const lease of found.leases) {
    const { attachment, address, address6, slot, pod, hostName } = lease;
    const about = { address, ...(address6 !== undefined && { address6 }), slot, pod, hostName };
    if (isUnknown(attachment))
      log.warn(about, "rebuilt: a pod that the runtime's cache does not know; its address is kept for it");
    else log.info({ attachment: attachmentKey(attachment), ...about }, "rebuilt: a pod's lease");
  }
  for (const finding of found.findings) log.warn({ finding }, "rebuilt: the views differ");
  log.warn(
    {
      why: store.lost,
      leases: found.leases.length,
      unknown: found.leases.filter(({ attachment }) => isUnknown(attachment)).length,
      enis: found.enis.length,
      cooling: found.cooling.length,
      results: cache.length,
    },
    "the database was rebuilt from the kernel, the runtime and the cloud",
  );
  return ok(undefined);
}

function rowOf({ attachment, address6, bandwidth, ...lease }: RebuiltLease): LeaseRow {
  const limits = bandwidth === undefined ? undefined : encodeBandwidth(bandwidth);
  return {
    ...lease,
    ...attachment,
    address6: address6 ?? "",
    state: "done",
    ...(limits !== undefined && { bandwidth: limits }),
  };
}
