/**
 * The MTU of pods' interfaces and of ENIs' devices: what the configuration says, else what the device has now.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Kernel } from "../core/kernel.ts";
import { type Pool } from "../core/pool/model.ts";

/** A device's MTU is asked for again after this: many pods that start at once share one question of half a millisecond. */
const FRESH_MS = 5000;

/** In bytes. An ENI's device may get another MTU while the agent runs. */
export type Mtu = {
  readonly ofDevice: (ifIndex: number) => Promise<Result<number>>;
  /** Of pods on the ENI of the slot, at most `FRESH_MS` old; `not-ready` while its device is not known. */
  readonly ofSlot: (slot: number, pool: Pick<Pool, "enis">) => Promise<Result<number>>;
};

export type MtuOptions = {
  /** Bytes, of the configuration. */
  readonly wanted: number | undefined;
  readonly kernel: Pick<Kernel, "mtuOf">;
  /** Of a clock that only goes on. */
  readonly elapsedMs: () => number;
};

export function openMtu({ wanted, kernel, elapsedMs }: MtuOptions): Mtu {
  /** Of the devices of ENIs, by index; a node has a handful. */
  const known = new Map<number, { readonly mtu: number; readonly atMs: number }>();
  const ofDevice: Mtu["ofDevice"] = async (ifIndex) => {
    if (wanted !== undefined) return ok(wanted);
    const atMs = elapsedMs();
    const mtu = await kernel.mtuOf(ifIndex);
    if (mtu.ok) known.set(ifIndex, { mtu: mtu.value, atMs });
    else known.delete(ifIndex);
    return mtu;
  };
  return {
    ofDevice,
    async ofSlot(slot, { enis }) {
      if (wanted !== undefined) return ok(wanted);
      const state = enis.get(slot)?.state;
      if (state?.kind !== "ready")
        return failed({ kind: "not-ready", reason: `the ENI of slot ${slot} does not serve yet` });
      const last = known.get(state.ifIndex);
      return last !== undefined && elapsedMs() - last.atMs < FRESH_MS
        ? ok(last.mtu)
        : ofDevice(state.ifIndex);
    },
  };
}
