/**
 * `10-terway.conf` as the agent reads it: text to a checked, complete, frozen configuration in the agent's own words.
 *
 * @module
 */
import { type z } from "zod";
import { type Cidr } from "../../../proto/cidr.ts";
import { SOCKET_CONFIG_KEY } from "../../../proto/paths.ts";
import { checkText, type CrossCheck } from "./check.ts";
import { ENI_KEYS } from "./eni-keys.ts";
import { freeze } from "./freeze.ts";
import { type Parsed } from "./problem.ts";
import { TERWAY_KEYS } from "./terway-keys.ts";

/** What the agent is told about pods' interfaces, every default applied. Deeply frozen. */
export type TerwayConf = {
  readonly cniVersion: "0.3.0" | "0.3.1" | "0.4.0" | "1.0.0" | "1.1.0";
  readonly name: string;
  readonly type: "terway";
  readonly virtualType: "veth";
  /** Absent: that of each ENI's device. */
  readonly mtuBytes?: number;
  readonly hostStackCidrs: readonly Cidr[];
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
  const checked = checkText(text, table, CROSS_CHECKS);
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
    ...(values.mtu === undefined ? {} : { mtuBytes: values.mtu }),
    hostStackCidrs: values.host_stack_cidrs.v4,
    ...(socket === undefined ? {} : { agentSocket: socket }),
  };
}

const CROSS_CHECKS: readonly CrossCheck<TerwayValues>[] = [
  {
    keys: ["host_stack_cidrs"],
    severity: "warning",
    find: ({ host_stack_cidrs: cidrs }) =>
      (cidrs?.v6 ?? []).map((cidr) => ({
        path: ["host_stack_cidrs"],
        predicate: `holds ${cidr}, which is not used: this version serves IPv4 only`,
      })),
  },
];
