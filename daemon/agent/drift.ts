/**
 * What others change in the node's network is put right at once: what was heard is gathered for a moment, then the pods it is
 * about are looked at, or all that they share. A flood of changes leads to a look a second, not to one for each.
 *
 * @module
 */
import { type IpAddress } from "../../proto/addr6.ts";
import { type SeenLink, type Suspect } from "../core/kernel.ts";
import { podIps } from "./leases.ts";
import { type OpenPods } from "./pods.ts";
import { type StatusWatch } from "./status.ts";
import { type Timers } from "./timers.ts";

export type DriftOptions = {
  readonly pods: Pick<OpenPods, "mendSuspects">;
  readonly status: Pick<StatusWatch, "suspect">;
  readonly timers: Timers;
  /** Called for what threw: a bug. */
  readonly onBug: (error: unknown) => void;
};

export type Drift = Disposable & { readonly suspect: (suspect: Suspect) => void };

/** What belongs together (a device, its routes, its neighbours) comes within this time. */
const GATHER_MS = 100;
/** Between two rounds, so that who changes the same thing again and again does not keep the agent busy. */
const ROUND_MS = 1000;
/** More pods than this are looked at all together. */
const PODS_MAX = 1000;

export function openDrift({ pods, status, timers, onBug }: DriftOptions): Drift {
  const suspects = new Map<IpAddress, SeenLink | undefined>();
  let shared: "node" | "all" | undefined;
  let timer: Disposable | undefined;
  let isClosed = false;
  let endedMs = -Infinity;

  const wake = (): void => {
    if (timer !== undefined || isClosed) return;
    const inMs = Math.max(GATHER_MS, endedMs + ROUND_MS - timers.elapsedMs());
    timer = timers.after(inMs, () => void round().catch(onBug));
  };

  async function round(): Promise<void> {
    const now = new Map(suspects);
    const what = shared;
    suspects.clear();
    shared = undefined;
    if (what !== undefined) status.suspect(what === "all");
    if (now.size > 0 && what !== "all")
      await pods.mendSuspects((lease) =>
        podIps(lease).some((address) => {
          if (!now.has(address)) return false;
          const link = now.get(address);
          return link === undefined || !link.isUp || link.hostName !== lease.hostName;
        }),
      );
    endedMs = timers.elapsedMs();
    timer = undefined;
    if (suspects.size > 0 || shared !== undefined) wake();
  }

  return {
    suspect(suspect) {
      if (suspect.kind === "pod") suspects.set(suspect.address, worse(suspects, suspect));
      else if (shared !== "all") shared = suspect.kind;
      if (suspects.size > PODS_MAX) {
        suspects.clear();
        shared = "all";
      }
      wake();
    },
    [Symbol.dispose]() {
      isClosed = true;
      timer?.[Symbol.dispose]();
    },
  };
}

/** Of a pod's device the newest word counts; a word about what hangs on it is a reason to look, whatever the device does. */
function worse(
  suspects: ReadonlyMap<IpAddress, SeenLink | undefined>,
  { address, link }: Extract<Suspect, { readonly kind: "pod" }>,
): SeenLink | undefined {
  return suspects.has(address) && suspects.get(address) === undefined ? undefined : link;
}
