/**
 * How new pods are connected: what `eniip_virtual_type` asks for, if the kernel can. Pods that run keep what their leases say.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { ok, failed, type Result } from "../../proto/result.ts";
import { type IpCidr } from "../../proto/cidr6.ts";
import { type LoadedConfig } from "../config/load.ts";
import { type VSwitchView } from "../core/cloud.ts";
import { type TerwayConf } from "../core/config/terway-conf.ts";
import { hostStackOf, hostStackOverlaps } from "../core/datapath/host-stack.ts";
import { type PodLink } from "../core/kernel.ts";
import { type IpvlanUse } from "../netlink/ipvlan-node.ts";
import { type LeaseRow } from "../store/schema.ts";
import { sentence, type StartFault } from "./start-fault.ts";
import { type Log } from "./log.ts";

type Config = Pick<LoadedConfig, "eni" | "cni">;

/** Why what goes through the node's stack cannot be: asked before anything is made. `vSwitches`: those of new ENIs. */
export function hostStackRefusal(config: Config, vSwitches: readonly VSwitchView[]): StartFault | undefined {
  if (config.cni.virtualType !== "ipvlan") return undefined;
  const networks = vSwitches.flatMap(({ id, cidr, cidr6 }) =>
    [cidr, ...(cidr6 === undefined ? [] : [cidr6])].map((network) => ({
      cidr: network,
      owner: `vSwitch ${id}`,
    })),
  );
  const overlaps = hostStackOverlaps(hostStack(config), networks);
  if (overlaps.length === 0) return undefined;
  const lines = overlaps.map((overlap) => `  ${overlap}\n`).join("");
  return {
    text: `host_stack_cidrs of 10-terway.conf and service_cidr of eni_conf go through the node's stack:
${lines}  name networks there that hold no address of a pod, or give pods other vSwitches`,
  };
}

/** A warning where the configuration wants what a node without ENIs cannot have; else empty. */
export function onPremisesNote({ virtualType }: TerwayConf): string {
  return virtualType === "ipvlan"
    ? "10-terway.conf: warning: eniip_virtual_type is IPVlan, which pods on ENIs can have; on premises they are connected by veth"
    : "";
}

export type VirtualTypeOptions = {
  readonly ipvlan: IpvlanUse;
  readonly config: Config;
  readonly primaryMac: Mac;
  readonly leases: readonly Pick<LeaseRow, "datapath">[];
  readonly log: Log;
};

/** Makes the node ready for it, and for pods that are there already. The fault keeps the agent from starting. */
export async function chooseVirtualType(
  options: VirtualTypeOptions,
): Promise<Result<PodLink["datapath"], StartFault>> {
  const { ipvlan, config, primaryMac, leases, log } = options;
  const chosen = config.cni.virtualType === "ipvlan" ? await ipvlanOrVeth(options) : ok("veth" as const);
  if (!chosen.ok) return chosen;
  const isUsed = chosen.value === "ipvlan" || leases.some(({ datapath }) => datapath === "ipvlan");
  const facts = { primaryMac, hostStack: hostStack(config) };
  const ready = isUsed ? await ipvlan.use(facts) : await ipvlan.leave();
  if (!ready.ok) return failed({ text: sentence(ready.fault) });
  log.info(
    { datapath: chosen.value, ...(isUsed && { hostStack: facts.hostStack }) },
    "how new pods are connected",
  );
  return chosen;
}

function hostStack({ eni, cni }: Config): readonly IpCidr[] {
  return hostStackOf(eni.serviceCidrs, cni.hostStackCidrs);
}

async function ipvlanOrVeth({
  ipvlan,
  config,
  log,
}: VirtualTypeOptions): Promise<Result<PodLink["datapath"], StartFault>> {
  const there = await ipvlan.isThere();
  if (!there.ok) return failed({ text: sentence(there.fault) });
  if (there.value) return ok("ipvlan");
  if (!config.cni.vethFallback) return failed({ text: NO_IPVLAN });
  log.warn(
    { module: "ipvlan" },
    "the kernel has no IPVLAN; pods are connected by veth, as veth_fallback allows",
  );
  return ok("veth");
}

const NO_IPVLAN = `eniip_virtual_type of 10-terway.conf is IPVlan, and this node's kernel has no IPVLAN: the module ipvlan is missing
  load it (modprobe ipvlan; a distribution may have it in a package of extra modules), set eniip_virtual_type to Veth, or allow veth on such nodes: "veth_fallback": true`;
