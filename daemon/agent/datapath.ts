/**
 * The node's datapath as STATUS sees it: looked at, and made again where something is missing.
 *
 * @module
 */
import { prefixLength, vSwitchGateway } from "../../proto/cidr.ts";
import { isIpv6 } from "../../proto/addr6.ts";
import { vSwitchGateway6 } from "../../proto/cidr6.ts";
import { ok, type Result } from "../../proto/result.ts";
import { type VSwitchId } from "../../proto/ids.ts";
import { type VSwitchView } from "../core/cloud.ts";
import { wantsPairs } from "../core/ip-stack.ts";
import { type EniLink, type Kernel } from "../core/kernel.ts";
import { type Eni, type Pool } from "../core/pool/model.ts";
import { type Log } from "./log.ts";
import { type OpenPods } from "./pods.ts";

export type DatapathOptions = {
  readonly kernel: Pick<Kernel, "checkNode" | "prepareHost" | "configureEni">;
  readonly pods: Pick<OpenPods, "checkAll" | "mendAll">;
  readonly pool: () => Pool;
  readonly vSwitchOf: (id: VSwitchId) => VSwitchView | undefined;
  /** Bytes; of an ENI's device. */
  readonly mtuOf: (ifIndex: number) => Promise<Result<number>>;
  readonly log: Log;
};

export type Datapath = {
  /** One line for each thing that is missing; `pods`: and for each that a running pod lacks. Changes nothing. */
  readonly check: (pods: boolean) => Promise<Result<readonly string[]>>;
  /** Makes it again, the part that pods share first. What fails is logged, and shows in the next look. */
  readonly mend: () => Promise<void>;
};

/** Of a device that nobody can ask. */
const NO_MTU = 0;

export function openDatapath(options: DatapathOptions): Datapath {
  const { kernel, pods, log } = options;
  const linkOf = async (eni: Eni | undefined): Promise<EniLink | undefined> => {
    if (eni?.state.kind !== "ready") return undefined;
    const { ifIndex } = eni.state;
    const mtu = await options.mtuOf(ifIndex);
    // A device that is gone is found missing by what follows.
    return eniLink(eni, { ifIndex, mtu: mtu.ok ? mtu.value : NO_MTU }, options);
  };
  return {
    async check(withPods) {
      const enis = await Promise.all(options.pool().enis.values().map(linkOf));
      const node = await kernel.checkNode(enis.filter((eni) => eni !== undefined));
      if (!node.ok || !withPods) return node;
      return ok([...node.value, ...(await pods.checkAll())]);
    },
    async mend() {
      const prepared = await kernel.prepareHost();
      if (!prepared.ok) {
        log.error({ fault: prepared.fault }, "the node's datapath could not be mended");
        return;
      }
      for (const slot of options.pool().enis.keys()) {
        // Asked anew for each: an ENI may have left meanwhile.
        const link = await linkOf(options.pool().enis.get(slot));
        const configured = link === undefined ? ok(undefined) : await kernel.configureEni(link);
        if (!configured.ok) log.error({ slot, fault: configured.fault }, "an ENI could not be mended");
      }
      await pods.mendAll();
    },
  };
}

/** An ENI as the kernel needs it; `undefined` while its vSwitch is not known. */
export function eniLink(
  { slot, facts, vSwitch, addresses }: Eni,
  device: Pick<EniLink, "ifIndex" | "mtu">,
  { vSwitchOf, pool }: Pick<DatapathOptions, "vSwitchOf" | "pool">,
): EniLink | undefined {
  const view = vSwitchOf(vSwitch);
  if (facts === undefined || view === undefined) return undefined;
  const { mac, primary } = facts;
  const network = { gateway: vSwitchGateway(view.cidr), prefixLength: prefixLength(view.cidr) };
  // Pods that run keep their IPv6 addresses when ip_stack becomes ipv4.
  const hasIpv6 = wantsPairs(pool().settings.ipStack) || addresses.keys().some(isIpv6);
  const v6 = hasIpv6 && view.cidr6 !== undefined ? { v6: { gateway: vSwitchGateway6(view.cidr6) } } : {};
  return { slot, mac, primary, ...network, ...v6, ...device };
}
