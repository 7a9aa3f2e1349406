/**
 * A loop with one ENI of two addresses that is ready, over a store that can be told to fail. For tests.
 *
 * @module
 */
import { parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Attachment } from "../../proto/attachment.ts";
import { parseIpv6 } from "../../proto/addr6.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { parseCidr6 } from "../../proto/cidr6.ts";
import { eniId, instanceId, vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type EniView } from "../core/cloud.ts";
import { type PoolEffect } from "../core/pool/model.ts";
import { restore } from "../core/pool/restore.ts";
import { type StoreChange } from "../store/schema.ts";
import { type IpStack } from "../core/ip-stack.ts";
import { openLog } from "./log.ts";
import { type Loop, startLoop } from "./loop.ts";
import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

const VSWITCH = vSwitchId("vsw-1");
const ENI = eniId("eni-1");

function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("undefined");
  return value;
}

export const VIEW: EniView = {
  id: ENI,
  mac: must(parseMac("00:16:3e:00:00:01")),
  status: "InUse",
  type: "Secondary",
  vSwitch: VSWITCH,
  instance: instanceId("i-1"),
  primary: must(parseIpv4("10.0.0.10")),
  addresses: [must(parseIpv4("10.0.0.10")), must(parseIpv4("10.0.0.11"))],
  securityGroups: [],
  tags: { creator: "terway" },
  addresses6: [],
  serviceManaged: false,
};

export type Lab = {
  readonly loop: Loop;
  /** What was written and done, in order. */
  readonly order: string[];
  readonly acts: PoolEffect[];
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  readonly failWrites: (fail: boolean) => void;
};

/** The ENI with an IPv6 address for each of IPv4. */
export const PAIRS: EniView = {
  ...VIEW,
  addresses6: ["fd00::10", "fd00::11"].map((ip) => must(parseIpv6(ip))),
};

/**
 * Room for one more ENI, whose creation nobody answers: a third pod waits. `atTurnEnd`: absent, each event is a turn of its
 * own.
 */
export function openLab(ipStack: IpStack = "ipv4", atTurnEnd: Timers["atTurnEnd"] = (run) => run()): Lab {
  const order: string[] = [];
  const acts: PoolEffect[] = [];
  let failing = false;
  let isReady = false;
  const write = (changes: readonly StoreChange[]): Result<void> => {
    if (failing) return failed({ kind: "store", op: "write", reason: "disk full" });
    if (changes.length > 0) order.push(`write ${changes.map(({ kind }) => kind).join(" ")}`);
    return ok(undefined);
  };
  const loop = startLoop({
    initial: restore({
      settings: {
        instance: instanceId("i-1"),
        ipStack,
        idleMin: 0,
        idleMax: 5,
        cooldownMs: 0,
        settleMs: 60_000,
        vSwitchRetryMs: 60_000,
        vSwitchPolicy: "ordered",
        eniPolicy: "most_ips",
        securityGroups: [],
        eniTags: {},
        ownTags: { creator: "terway" },
      },
      limits: { enisMax: 2, addressesPerEni: 2 },
      vSwitches: [
        {
          id: VSWITCH,
          vpc: "v",
          zone: "z",
          cidr: must(parseCidr("10.0.0.0/24")),
          cidr6: must(parseCidr6("fd00::/64")),
          availableAddresses: 100,
        },
      ],
      records: { enis: [], leases: [], cooldowns: [] },
      nowMs: 0,
      seed: 1,
    }),
    write,
    act: (effect) => {
      order.push(`act ${effect.kind}`);
      acts.push(effect);
    },
    nowMs: () => performance.now(),
    timers: { ...SYSTEM_TIMERS, atTurnEnd: (run) => (isReady ? atTurnEnd(run) : run()) },
    instanceType: "ecs.g7.xlarge",
    onPool: () => undefined,
    log: openLog("silent"),
  });
  loop.dispatch({ kind: "described", scope: { by: "instance" }, views: [ipStack === "ipv4" ? VIEW : PAIRS] });
  const link = acts.find((effect) => effect.kind === "link-eni");
  loop.dispatch({ kind: "eni-linked", slot: link?.slot ?? -1, eni: ENI, ifIndex: 7 });
  order.length = 0;
  isReady = true;
  return {
    loop,
    order,
    acts,
    write,
    failWrites: (fail) => {
      failing = fail;
    },
  };
}

export function attachment(containerId: string): Attachment {
  return { network: "terway", containerId, ifName: "eth0" };
}
