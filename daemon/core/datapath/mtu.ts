/**
 * Whether an ENI's device can have an MTU.
 *
 * @module
 */
import { mtuFault } from "../hybrid/rules.ts";
import { type EniLink } from "../kernel.ts";

/** What the kernel says of a device, in bytes. `maxMtu`: IFLA_MAX_MTU; 0 or absent where the driver has no bound. */
export type DeviceMtu = { readonly name: string; readonly maxMtu?: number };

/** Why not, as a sentence with both numbers; `undefined` where it can. */
export function mtuRefusal(
  { mtu, v6 }: Pick<EniLink, "mtu" | "v6">,
  { name, maxMtu = 0 }: DeviceMtu,
): string | undefined {
  if (maxMtu > 0 && mtu > maxMtu)
    return `mtu is ${mtu}, and ${name} carries ${maxMtu} at most: write ${maxMtu} or less, or leave mtu out`;
  const fault = mtuFault(mtu, v6 !== undefined);
  return fault === undefined ? undefined : `${name} has an MTU of ${mtu}, and ${fault}: raise it`;
}
