import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseIp } from "../../../proto/addr6.ts";
import { openSocketThread, type SocketThread } from "../socket.ts";
import { type HybridLab, openHybridLab } from "./lab.ts";
import { findUplink } from "./uplink.ts";

let lab: HybridLab;
let thread: SocketThread;

beforeAll(async () => {
  lab = openHybridLab();
  const nodeNetns = `/run/netns/${lab.node(1)}`;
  thread = await openSocketThread(new URL("../worker.ts", import.meta.url), { nodeNetns });
});

afterAll(async () => {
  await thread[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

async function found(text: string) {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(text);
  return findUplink(thread, ip);
}

describe("findUplink()", () => {
  it("finds the device of an address of either family", async () => {
    lab.run(lab.node(1), "ip link set eth0 mtu 1400");
    const ifIndex = lab.uplinkIndex(1);
    const value = { name: "eth0", ifIndex, mtuBytes: 1400 };
    expect(await found("10.10.0.1")).toEqual({ ok: true, value: { ...value, prefixLength: 24 } });
    expect(await found("fd00:10::1")).toEqual({ ok: true, value: { ...value, prefixLength: 64 } });
  });

  it("finds none for an address of somebody else", async () => {
    expect(await found("10.10.0.2")).toEqual({ ok: true, value: undefined });
  });
});
