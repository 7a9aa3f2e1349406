/**
 * `terwayd --drain`: gives everything back, the way to uninstall.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Pool } from "../core/pool/model.ts";
import { type LeaseRecord } from "../core/pool/records.ts";
import { sentence, type StartFault } from "./start-fault.ts";
import { type Log } from "./log.ts";

/** How long it is tried. */
const DRAIN_TIMEOUT_MS = 300_000;

/** Why a node with pods is not drained. */
export function stillUsed(leases: readonly LeaseRecord[]): string {
  const some = leases.slice(0, 3).map(({ address, attachment }) => `${address} (${attachment.containerId})`);
  const more = leases.length > 3 ? ", …" : "";
  return `${leases.length} pods of this node still have addresses: ${some.join(", ")}${more}\n  delete them first (kubectl drain), then drain`;
}

/** Waits until no ENI of ours is left, then removes what is ours from the node. */
export async function drained(
  { pool, clean }: { readonly pool: () => Pool; readonly clean: () => Promise<Result<void>> },
  log: Log,
  stop: AbortSignal,
): Promise<Result<void, StartFault>> {
  const startedMs = performance.now();
  let left = -1;
  while (!stop.aborted) {
    const state = pool();
    const enis = [...state.enis.values()].filter((eni) => eni.borrowed !== true);
    if (state.cloudSeen && enis.length === 0) {
      const cleaned = await clean();
      if (!cleaned.ok) return failed({ text: sentence(cleaned.fault) });
      log.info(
        { tookMs: Math.round(performance.now() - startedMs) },
        "drained: no ENI is left, the node is clean",
      );
      return ok(undefined);
    }
    if (enis.length !== left)
      log.info({ enis: enis.map((eni) => `${eni.facts?.id ?? "?"} ${eni.state.kind}`) }, "draining");
    left = enis.length;
    if (performance.now() - startedMs > DRAIN_TIMEOUT_MS) {
      const fault = state.lastFault === undefined ? "" : `\n  ${sentence(state.lastFault)}`;
      return failed({
        text: `${enis.length} ENIs could not be given back within ${DRAIN_TIMEOUT_MS / 1000} s${fault}`,
      });
    }
    await sleep(100);
  }
  return failed({ text: "stopped before everything was given back; run --drain again" });
}
