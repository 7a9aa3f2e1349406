/**
 * The MTU of pods' interfaces and of ENIs' devices: what the configuration says, else what the device has now.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Kernel } from "../core/kernel.ts";
import { type Pool } from "../core/pool/model.ts";

/** In bytes. Asked anew each time: an ENI's device may get another one while the agent runs. */
export type Mtu = {
  readonly ofDevice: (ifIndex: number) => Promise<Result<number>>;
  /** Of pods on the ENI of the slot; `not-ready` while its device is not known. */
  readonly ofSlot: (slot: number, pool: Pick<Pool, "enis">) => Promise<Result<number>>;
};

/** `wanted`: bytes, of the configuration. */
export function openMtu(wanted: number | undefined, kernel: Pick<Kernel, "mtuOf">): Mtu {
  const ofDevice: Mtu["ofDevice"] = async (ifIndex) =>
    wanted === undefined ? kernel.mtuOf(ifIndex) : ok(wanted);
  return {
    ofDevice,
    async ofSlot(slot, { enis }) {
      if (wanted !== undefined) return ok(wanted);
      const state = enis.get(slot)?.state;
      if (state?.kind === "ready") return ofDevice(state.ifIndex);
      return failed({ kind: "not-ready", reason: `the ENI of slot ${slot} does not serve yet` });
    },
  };
}
