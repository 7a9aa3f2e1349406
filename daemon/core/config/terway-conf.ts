/**
 * `10-terway.conf` as the agent reads it: text to a checked, complete, frozen configuration in the agent's own words.
 *
 * @module
 */
import { type z } from "zod";
import { type IpCidr } from "../../../proto/cidr6.ts";
import { SOCKET_CONFIG_KEY } from "../../../proto/paths.ts";
import { checkText } from "./check.ts";
import { ENI_KEYS } from "./eni-keys.ts";
import { freeze } from "./freeze.ts";
import { type Parsed } from "./problem.ts";
import { TERWAY_KEYS } from "./terway-keys.ts";

/** What the agent is told about pods' interfaces, every default applied. Deeply frozen. */
export type TerwayConf = {
  readonly cniVersion: "0.3.0" | "0.3.1" | "0.4.0" | "1.0.0" | "1.1.0";
  readonly name: string;
  readonly type: "terway";
  readonly virtualType: "veth" | "ipvlan";
  /** Veth where the kernel has no IPVLAN. */
  readonly vethFallback: boolean;
  /** Absent: that of each ENI's device. */
  readonly mtuBytes?: number;
  readonly hostStackCidrs: readonly IpCidr[];
  readonly agentSocket?: string;
};

type TerwayValues = z.output<typeof TERWAY_KEYS.schema>;

/** Everything that is wrong, at once. Never throws on any text. */
export function parseTerwayConf(text: string): Parsed<TerwayConf> {
  const table = {
    ...TERWAY_KEYS,
    other: {
      file: ENI_KEYS.file,
      keys: [...Object.keys(ENI_KEYS.schema.shape), ...Object.keys(ENI_KEYS.unsupported)],
    },
  };
  const checked = checkText(text, table, []);
  if (!checked.ok) return checked;
  return { ok: true, config: freeze(terwayConfOf(checked.value)), warnings: checked.warnings };
}

function terwayConfOf(values: TerwayValues): TerwayConf {
  const socket = values[SOCKET_CONFIG_KEY];
  return {
    cniVersion: values.cniVersion,
    name: values.name,
    type: values.type,
    virtualType: values.eniip_virtual_type,
    vethFallback: values.veth_fallback,
    ...(values.mtu === undefined ? {} : { mtuBytes: values.mtu }),
    hostStackCidrs: [...values.host_stack_cidrs.v4, ...values.host_stack_cidrs.v6],
    ...(socket === undefined ? {} : { agentSocket: socket }),
  };
}
