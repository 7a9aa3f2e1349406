/**
 * Devices of others that an overlay of ours cannot stand beside, and who makes them.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { type OverlayDevice } from "./desired.ts";

/** A VXLAN device that is not ours. */
export type VxlanFacts = {
  readonly name: string;
  readonly vni: number;
  readonly udpPort: number;
  /** It takes all VNIs that have no device of their own (`external`). */
  readonly external: boolean;
};

/** By the names that they give their devices. */
const OWNERS: readonly (readonly [name: RegExp, owner: string])[] = [
  [/^flannel(-v6)?\.\d+$/, "flanneld"],
  [/^vxlan(-v6)?\.calico$/, "Calico"],
  [/^cilium_vxlan$/, "Cilium"],
  [/^(vxlan_sys_|antrea|genev_sys_)/, "Open vSwitch (Antrea, Kube-OVN)"],
  [/^(weave|vxlan-6784)/, "Weave Net"],
];

/**
 * Why the overlay cannot be made; `undefined`: it can. A device of flanneld is refused whatever its VNI: an agent that runs
 * writes routes to the same blocks. Others only where the kernel could not tell whose a packet is.
 */
export function foreignOverlay(others: readonly VxlanFacts[], overlay: OverlayDevice): Fault | undefined {
  for (const { name, vni, udpPort, external } of others) {
    const owner = OWNERS.find(([pattern]) => pattern.test(name))?.[1];
    const clashes = udpPort === overlay.udpPort && (vni === overlay.vni || external);
    if (!clashes && owner !== "flanneld") continue;
    const what = external ? `all VNIs on UDP ${udpPort}` : `VNI ${vni} on UDP ${udpPort}`;
    const reason = clashes
      ? `it has ${what}, which the overlay is to have (VNI ${overlay.vni})`
      : `it has ${what}, and its agent makes routes to the nodes' blocks, as this one would`;
    return { kind: "foreign-device", device: name, owner: owner ?? "somebody else", reason };
  }
  return undefined;
}
