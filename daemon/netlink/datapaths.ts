/**
 * One kernel for pods of both datapaths: a pod's own tells who attaches, checks and detaches it; what many pods share is made for
 * both.
 *
 * @module
 */
import { failed, ok } from "../../proto/result.ts";
import { type Kernel } from "../core/kernel.ts";
import { type IpvlanKernel } from "./ipvlan-node.ts";

/** `veth`, and `ipvlan` beside it. */
export function withIpvlan(veth: Kernel, ipvlan: IpvlanKernel): Kernel {
  return {
    ...veth,
    async prepareHost() {
      const prepared = await veth.prepareHost();
      return prepared.ok ? ipvlan.prepare() : prepared;
    },
    async configureEni(eni) {
      const refusal = ipvlan.refusal(eni);
      if (refusal !== undefined) return failed(refusal);
      const configured = await veth.configureEni(eni);
      return configured.ok ? ipvlan.configure(eni) : configured;
    },
    async forgetEni(slot) {
      const slave = await ipvlan.forget(slot);
      const forgotten = await veth.forgetEni(slot);
      return slave.ok ? forgotten : slave;
    },
    attachPod: (pod) => (pod.datapath === "ipvlan" ? ipvlan.attach(pod) : veth.attachPod(pod)),
    detachPod: (pod) => (pod.datapath === "ipvlan" ? ipvlan.detach(pod) : veth.detachPod(pod)),
    checkPod: (pod) => (pod.datapath === "ipvlan" ? ipvlan.check(pod) : veth.checkPod(pod)),
    async checkNode(enis) {
      const lines = await veth.checkNode(enis);
      if (!lines.ok) return lines;
      const slaves = await ipvlan.checkNode(enis);
      return slaves.ok ? ok([...lines.value, ...slaves.value]) : slaves;
    },
  };
}
