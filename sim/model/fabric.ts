/**
 * What the model of the VPC asks of the data plane. The kernel implementation is `sim/fabric/`; tests use one in memory.
 * The model decides when; each call is carried out in order and is idempotent.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { type IpAddress } from "../../proto/addr6.ts";
import { type EniId, type InstanceId } from "../../proto/ids.ts";

/** One change of the data plane. */
export type FabricChange =
  /** The device appears in the instance, down and without address, as with PCI hot-plug. */
  | { readonly op: "plug"; readonly eni: EniId; readonly instance: InstanceId; readonly mac: Mac }
  /** The device disappears from the instance, with all that hangs on it. */
  | { readonly op: "unplug"; readonly eni: EniId }
  /** The VPC delivers packets for `address` to the ENI and accepts it as a source from there. */
  | { readonly op: "allow"; readonly eni: EniId; readonly address: IpAddress }
  | { readonly op: "revoke"; readonly eni: EniId; readonly address: IpAddress }
  /** SourceDestCheck of the ENI: where it is off, any source is accepted. */
  | { readonly op: "check-source"; readonly eni: EniId; readonly on: boolean };

/** Packets that the VPC refused, since it was brought up. */
export type FabricCounters = {
  /** IPv4 packets with a source that is not the ENI's. */
  readonly spoofedPackets: number;
  /** ARP messages with a sender that is not the ENI's. */
  readonly spoofedArp: number;
  /** IPv6 packets with a source that is not the ENI's. */
  readonly spoofedIpv6: number;
  /** IPv6 noise (router solicitations, MLD), dropped and counted apart; all of IPv6 in a VPC without it. */
  readonly ipv6Packets: number;
};
