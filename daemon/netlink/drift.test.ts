import { beforeEach, describe, expect, it } from "vitest";
import { parseIp } from "../../proto/addr6.ts";
import { failed, ok } from "../../proto/result.ts";
import { GROUP } from "../core/datapath/layout.ts";
import { type Suspect } from "../core/kernel.ts";
import { type Client } from "./client.ts";
import { i32, schema, writeFields } from "./codec/attribute.ts";
import { AF } from "./codec/ip.ts";
import { encodeLink } from "./codec/link.ts";
import { RTM_RULE } from "./codec/rule.ts";
import { Writer } from "./codec/wire.ts";
import { driftWatcher } from "./drift.ts";
import { type Watcher } from "./watch.ts";

/** A device of a pod, within the numbers that pods' devices have. */
const DEVICE = 20_000;
const POD = parseIp("10.0.0.5") ?? expect.fail("no address");

let suspects: Suspect[];
let isBroken: boolean;
let watcher: Watcher;

const client: Client = {
  isOwn: () => false,
  ask: async () => {
    if (isBroken) return failed({ kind: "not-ready", reason: "the netlink thread is too busy" });
    const payload = encodeLink({ index: DEVICE, name: "tw1", group: GROUP.pods, alias: `terway:${POD}` });
    return ok([[{ kind: "done", messages: [{ type: 16, flags: 0, seq: 1, port: 1, payload }] }]]);
  },
  dump: async () => failed({ kind: "internal", reason: "not asked for" }),
};

beforeEach(() => {
  [suspects, isBroken] = [[], false];
  const facts = { isOwn: () => false, isEni: () => false };
  watcher = driftWatcher(client, facts, (suspect) => suspects.push(suspect));
});

/** RTM_NEWNETCONF: forwarding of the device is off. */
function forwardingOff(): Uint8Array {
  const writer = new Writer();
  writer.u8(AF.INET);
  writer.zeros(3);
  writeFields(writer, schema({ ifIndex: i32(1), forwarding: i32(2) }), { ifIndex: DEVICE, forwarding: 0 });
  return writer.take();
}

function hear(type: number, payload: Uint8Array): void {
  watcher.seen([{ type, flags: 0, seq: 0, port: 0, payload }]);
}

describe("driftWatcher()", () => {
  it("suspects all where something was not heard, or cannot be read", () => {
    watcher.lost();
    hear(RTM_RULE.DEL, Uint8Array.of(2));
    expect(suspects).toEqual([{ kind: "all" }, { kind: "all" }]);
  });

  it("asks whose device it is where a notification does not say", async () => {
    hear(80, forwardingOff());
    await expect.poll(() => suspects).toEqual([{ kind: "pod", address: POD }]);
  });

  it("suspects all where that cannot be asked", async () => {
    isBroken = true;
    hear(80, forwardingOff());
    await expect.poll(() => suspects).toEqual([{ kind: "all" }]);
  });
});
