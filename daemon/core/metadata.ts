/**
 * The metadata service as the core sees it: what it shows of the ENIs of this instance. Asking it costs no OpenAPI call. It lags
 * behind the API, and shows no tags and no states, so it is a second source beside the API and never the only one.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type Ipv6 } from "../../proto/addr6.ts";
import { type Cidr } from "../../proto/cidr.ts";
import { type Cidr6 } from "../../proto/cidr6.ts";
import { type EniId, type VSwitchId } from "../../proto/ids.ts";
import { type Result } from "../../proto/result.ts";

/** `network/interfaces/macs/MAC/`: an ENI that is attached to the instance, the instance's own (primary) one included. */
export type MetadataEni = {
  readonly id: EniId;
  readonly mac: Mac;
  readonly vSwitch: VSwitchId;
  /** `vswitch-cidr-block`. */
  readonly cidr: Cidr;
  /** `vswitch-ipv6-cidr-block`; absent: IPv6 is not enabled in the vSwitch. */
  readonly cidr6?: Cidr6;
  /** `primary-ip-address`. */
  readonly primary: Ipv4;
  /** `private-ipv4s`: all private IPv4 addresses, the primary one included; never empty. */
  readonly addresses: readonly Ipv4[];
  /** `ipv6s`. */
  readonly addresses6: readonly Ipv6[];
};

/** A port beside `Cloud`. */
export type EniMetadata = {
  /**
   * All ENIs that the service shows, in its order, or a fault: never a part of them. An ENI that goes while it is read is a
   * fault, too. Bounded in time (`ENIS_MS`) and number (`ENIS_MAX`).
   */
  enis(): Promise<Result<readonly MetadataEni[]>>;
};
