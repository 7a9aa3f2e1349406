/** Waiting for devices, on the kernel. */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Mac } from "../../proto/addr.ts";
import { type Arrivals, openArrivals, READ_MS } from "./arrival.ts";
import { type Client, openClient } from "./client.ts";
import { createLink } from "./codec/link.ts";
import { type Lab, mac, must, openLab, sh } from "./lab.ts";
import { openSocketThread, type SocketThread } from "./socket.ts";

let lab: Lab;
let thread: SocketThread;
let client: Client;
let arrivals: Arrivals;
let number = 0;

beforeAll(async () => {
  lab = openLab();
  thread = await openSocketThread(new URL("./worker.ts", import.meta.url), { nodeNetns: lab.nodeNetns });
  client = openClient(thread);
});

beforeEach(async () => {
  await arrivals?.[Symbol.asyncDispose]();
  arrivals = openArrivals(thread, client);
});

afterAll(async () => {
  await arrivals[Symbol.asyncDispose]();
  await thread[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

function nextMac(): Mac {
  number += 1;
  return mac(`02:00:00:00:00:${number.toString(16).padStart(2, "0")}`);
}

function soon(): AbortSignal {
  return AbortSignal.timeout(10_000);
}

/** A device as a simulated VPC plugs it. */
async function plug(address: Mac, group = 0): Promise<void> {
  const name = `plug${address.slice(-2)}`;
  const link = createLink({ name, address, group, info: { kind: "veth" } });
  const answers = must(await client.ask([{ family: "route", requests: [link], ack: "each" }]));
  expect(answers[0]?.[0]?.kind).toBe("done");
}

describe("openArrivals()", () => {
  it("finds a device that is there", async () => {
    const { ifIndex, mac: address } = lab.eni(1);
    expect(await arrivals.wait(address, soon())).toEqual({ ok: true, value: { ifIndex, name: "eni1" } });
  });

  it("tells of a device when it is made, not when it looks next", async () => {
    const delaysMs: number[] = [];
    for (let times = 0; times < 15; times++) {
      const address = nextMac();
      const arrived = arrivals.wait(address, soon()).then((result) => ({ result, atMs: performance.now() }));
      await settled(thread);
      const sinceMs = performance.now();
      await plug(address);
      const { result, atMs } = await arrived;
      expect(must(result).name).toBe(`plug${address.slice(-2)}`);
      delaysMs.push(atMs - sinceMs);
    }
    // Somebody who looks every READ_MS is late by half of it. Some milliseconds are usual, and a busy machine may hold up many.
    const median = delaysMs.toSorted((a, b) => a - b)[7];
    expect(median).toBeLessThan(READ_MS / 4);
  });

  it("serves several at once, each with its own", async () => {
    const macs = [nextMac(), nextMac(), nextMac()];
    const waiting = macs.map((address) => arrivals.wait(address, soon()));
    for (const address of macs.toReversed()) await plug(address);
    const found = await Promise.all(waiting);
    expect(found.map((result) => must(result).name)).toEqual(macs.map((each) => `plug${each.slice(-2)}`));
  });

  it("ends with the signal, and says for how long it waited", async () => {
    const address = nextMac();
    const aborted = await arrivals.wait(address, AbortSignal.abort());
    const late = await arrivals.wait(address, AbortSignal.timeout(20));
    for (const result of [aborted, late])
      expect(result).toMatchObject({
        ok: false,
        fault: { kind: "deadline", what: `the appearance of the device ${address}` },
      });
  });

  it("does not take our pods' links or what lies on an ENI for one", async () => {
    const address = nextMac();
    const waiting = arrivals.wait(address, soon());
    await plug(address, 21_504);
    sh(`ip -n ${lab.node} link add onTop address ${address} type bridge`);
    sh(`ip -n ${lab.node} link add real address ${address} type veth`);
    expect(must(await waiting).name).toBe("real");
  });

  it("looks again where notifications were lost", async () => {
    const address = nextMac();
    const waiting = arrivals.wait(address, soon());
    await settled(thread);
    const noise = Array.from({ length: 12_000 }, (_, at) => `link set eth0 alias ${at}`);
    // The event loop stands still meanwhile, so nobody reads.
    execFileSync("ip", ["-n", lab.node, "-batch", "-"], {
      input: `${noise.join("\n")}\nlink add lost address ${address} type veth\n`,
      maxBuffer: 1024,
    });
    expect(must(await waiting).name).toBe("lost");
  });

  it("ends all waiting when it is closed", async () => {
    const waiting = arrivals.wait(nextMac(), soon());
    await arrivals[Symbol.asyncDispose]();
    expect(await waiting).toEqual({ ok: false, fault: { kind: "not-ready", reason: "the agent stops" } });
  });
});

/** The thread works in order: what was asked of it before, opening and looking, is done. */
async function settled(of: SocketThread): Promise<void> {
  for (let times = 0; times < 3; times++) await of.run({ kind: "close", fd: -1 });
}
