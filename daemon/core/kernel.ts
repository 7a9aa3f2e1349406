/**
 * The node's network as the core sees it. Implemented by `daemon/netlink/`.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../proto/addr6.ts";
import { type Result } from "../../proto/result.ts";

/** An ENI that serves pods, as the datapath needs it. */
export type EniLink = {
  /** 0, 1, 2 … on this node; its routing table and its mark follow from it. Never shared by two ENIs. */
  readonly slot: number;
  readonly mac: Mac;
  readonly ifIndex: number;
  readonly primary: Ipv4;
  /** The vSwitch's gateway. */
  readonly gateway: Ipv4;
  /** Bits of the vSwitch's network. */
  readonly prefixLength: number;
  /** Absent: its pods have no IPv6 addresses. */
  readonly v6?: { readonly gateway: Ipv6 };
  /** Bytes. */
  readonly mtu: number;
};

/** A pod's addresses: at least one, at most one of each family. */
export type PodAddresses = { readonly v4?: Ipv4; readonly v6?: Ipv6 };

/** A limit of bandwidth. */
export type Rate = {
  readonly bitsPerSecond: number;
  /** 0: nobody has asked for one; the datapath takes what suits the rate. */
  readonly burstBytes: number;
};

/** `ingress`: to the pod; `egress`: from it. What is absent has no limit. */
export type Bandwidth = { readonly ingress?: Rate; readonly egress?: Rate };

/** A pod's interface, before it is made. */
export type PodLink = {
  /** Name of the device that the pod's routes on the node lead to: the host's end of a veth, the node's slave of the ENI. At most 15 bytes. */
  readonly hostName: string;
  /** CNI_NETNS. */
  readonly netns: string;
  /** CNI_IFNAME. */
  readonly ifName: string;
  readonly addresses: PodAddresses;
  /** Slot of the ENI that the addresses are on. Absent: they are of a block of the node, whose own routes lead out. */
  readonly slot?: number;
  /** Bytes. */
  readonly mtu: number;
  readonly datapath: "veth" | "ipvlan";
  readonly bandwidth?: Bandwidth;
};

/** What was made: the facts of the CNI result. */
export type PodInterfaces = {
  /** The same as `podMac` with ipvlan: that of the ENI. */
  readonly hostMac: Mac;
  readonly podMac: Mac;
  /** The pod's next hops, of the families that it has addresses of: 169.254.1.1 and fe80::1, or with ipvlan the vSwitch's. */
  readonly gateways: PodAddresses;
  /** Bits of the networks of its addresses. Absent: those of one address, 32 and 128. */
  readonly prefixLengths?: { readonly v4: number; readonly v6: number };
};

/** One address of a pod's host side, as the kernel has it. `hostName`: see `PodLink`. */
export type PodTrace = { readonly address: IpAddress; readonly hostName: string };

/** What may not be as it was made, since somebody else changed it. */
export type Suspect =
  /** Anything: something was not heard, or it concerns all. */
  | { readonly kind: "all" }
  /** What all pods share. */
  | { readonly kind: "node" }
  /** What hangs on the host's end of the link of the pod with this address. `link`: how its device is now. */
  | { readonly kind: "pod"; readonly address: IpAddress; readonly link?: SeenLink };

/** `isUp`: it is there, and IFF_UP. */
export type SeenLink = { readonly hostName: string; readonly isUp: boolean };

/** All calls may be repeated: done already is done. A failure leaves behind what was there before, and nothing else. */
export type Kernel = {
  /** The part that all pods share: one table with one rule, the nftables map. */
  prepareHost(): Promise<Result<void>>;
  /** Resolves when a device with this MAC is there. `signal` ends the wait; the fault is then `deadline`. */
  awaitEni(
    mac: Mac,
    signal: AbortSignal,
  ): Promise<Result<{ readonly ifIndex: number; readonly name: string }>>;
  /** What can be made for an ENI before its device is there. `configureEni` makes it where this was not called. */
  prepareEni(slot: number): Promise<Result<void>>;
  /** Brings the ENI up: its table, its rule, its gateway's neighbour. Asks the gateway by ARP, so success means that packets pass. */
  configureEni(eni: EniLink): Promise<Result<void>>;
  /** The MTU that a device has now, in bytes. */
  mtuOf(ifIndex: number): Promise<Result<number>>;
  /** Removes chain, table and rule of the slot, the rule last; the device itself is the cloud's. */
  forgetEni(slot: number): Promise<Result<void>>;
  /** Slots of which the node has a rule: those of ENIs that serve, and what was left of others. */
  eniSlots(): Promise<Result<readonly number[]>>;
  attachPod(pod: PodLink): Promise<Result<PodInterfaces>>;
  /**
   * Resolves when nobody can reach or use the addresses any more: elements, routes, neighbours and connections are gone and
   * the link is doomed. The kernel needs 20 ms and more to delete the link itself, which follows; `attachPod` with the same
   * names or into the same namespace waits for it. With the link go the connections of an IPv6 address; `attachPod` with the
   * same address waits for that too. Goes on past whatever is gone already.
   */
  detachPod(pod: PodLink): Promise<Result<void>>;
  /**
   * How what is there differs from what `attachPod` made, one short line each ("route 10.0.0.7/32 dev tw… table 7400 is
   * missing"); empty where all is as it was made. Changes nothing, and does not mind what others added. A namespace that is
   * gone is a difference ("network namespace /run/netns/p1 is gone"); a fault means that the kernel could not be asked.
   * `mtuMax`, in bytes: a pod's end that sends larger packets is a difference too.
   */
  checkPod(
    pod: PodLink & { readonly hostMac: Mac; readonly podMac: Mac; readonly mtuMax?: number },
  ): Promise<Result<readonly string[]>>;
  /**
   * The same for what all pods share: the rule, the nftables table with its chains, and each ENI's table, rule, neighbour
   * and device. Changes nothing; `prepareHost` and `configureEni` mend it.
   */
  checkNode(enis: readonly EniLink[]): Promise<Result<readonly string[]>>;
  /** Which addresses have a pod's route now. The second source before an address is given back. */
  podTraces(): Promise<Result<readonly PodTrace[]>>;
  /** Removes everything of ours that no pod uses: tables, rules, the nftables table. */
  cleanHost(): Promise<Result<void>>;
};
