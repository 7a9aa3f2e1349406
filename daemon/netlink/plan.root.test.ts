/** Promises of plans on the kernel, over generated pods, ENIs and moments of death. */
import * as fc from "fast-check";
import { closeSync, openSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostCidr } from "../../proto/cidr6.ts";
import { failed } from "../../proto/result.ts";
import { type DeletionBounds } from "../core/datapath/deletion.ts";
import { planEniLink, planEniRoutes } from "../core/datapath/host-plan.ts";
import { addressesOf } from "../core/datapath/layout.ts";
import { POD_ENDS_BYTES, podEnds, planPod } from "../core/datapath/pod-plan.ts";
import { type Plan } from "../core/datapath/thing.ts";
import { type PodLink } from "../core/kernel.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { type Call, type Client, openClient } from "./client.ts";
import { differences } from "./differ.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import { FAR_ADDRESS, FAR_ADDRESS6, ip, ip6, type Lab, mac, must, openLab, sh, type Stack } from "./lab.ts";
import { repairPlan } from "./repair.ts";
import { openSocketThread, type SocketThread } from "./socket.ts";

/** Doomed links stay until somebody wants them gone. */
const NEVER: DeletionBounds = { gapMs: 600_000, latestMs: 600_000, linksMax: 1000 };

let lab: Lab;
let kernel: OpenKernel;
let thread: SocketThread;
let client: Client;
/** Addresses of both families, and one namespace for all generated pods: it has to be as new after each. */
let both: PodLink;

beforeAll(async () => {
  lab = openLab(0, "dual");
  kernel = await openKernel({ nodeNetns: lab.nodeNetns, deletionBounds: NEVER });
  thread = await openSocketThread(new URL("./worker.ts", import.meta.url), { nodeNetns: lab.nodeNetns });
  client = openClient(thread);
  must(await kernel.prepareHost());
  for (const slot of [0, 1]) must(await kernel.configureEni(lab.eni(slot)));
  both = lab.newPod(0, 20);
  // It stays up when everything else is gone.
  lab.run(lab.nameOf(both), "ip link set lo up");
});

afterAll(async () => {
  await thread[Symbol.asyncDispose]();
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

type Case = { readonly stack: Stack; readonly slot: number; readonly number: number };

const CASE: fc.Arbitrary<Case> = fc.record({
  stack: fc.constantFrom("ipv4", "dual", "ipv6"),
  slot: fc.nat(1),
  number: fc.integer({ min: 20, max: 99 }),
});

function podOf({ stack, slot, number }: Case): PodLink {
  const v4 = ip(`10.0.${slot + 1}.${number}`);
  const v6 = ip6(`fd00:0:0:${slot + 1}::${number}`);
  const addresses = { ...(stack !== "ipv6" && { v4 }), ...(stack !== "ipv4" && { v6 }) };
  return { ...both, slot, addresses, hostName: `twp${number}` };
}

/** The pod's own link-local address, which changes by itself a second after the link is up. */
const PASSING = /fe80::[0-9a-f:]+(\/64 scope link| dev eth0 table local)/;

function inPod(): string {
  const name = lab.nameOf(both);
  return ["link", "address", "route show table all", "-6 route show table all", "neighbour"]
    .flatMap((what) => sh(`ip -n ${name} ${what}`).split("\n"))
    .filter((line) => !PASSING.test(line))
    .join("\n");
}

function seen(): string {
  return `${lab.snapshot()}\n${inPod()}`;
}

/** Gone, and the link too. */
async function detached(pod: PodLink): Promise<void> {
  must(await kernel.detachPod(pod));
  must(await kernel.prepareHost());
}

/** Everything that a pod needs is there, and packets pass. */
async function isWhole(pod: PodLink): Promise<boolean> {
  const made = must(await kernel.attachPod(pod));
  const wrong = must(await kernel.checkPod({ ...pod, ...made }));
  const silent = addressesOf(pod.addresses).filter(
    (address) => !lab.pings(lab.nameOf(pod), address.includes(":") ? FAR_ADDRESS6 : FAR_ADDRESS),
  );
  return wrong.length + silent.length === 0;
}

/** A client of a process that dies when it has sent so many messages: nothing after them is sent, no undoing either. */
function dyingClient(messages: number): Client {
  let left = messages;
  const cut = (call: Call): readonly Call[] => {
    const size = call.family === "files" ? call.settings.length : call.requests.length;
    const part = Math.min(left, call.family === "netfilter" ? 1 : size);
    left -= part;
    if (part === 0) return [];
    if (call.family === "files") return [{ ...call, settings: call.settings.slice(0, part) }];
    return [call.family === "netfilter" ? call : { ...call, requests: call.requests.slice(0, part) }];
  };
  return {
    async ask(calls) {
      await client.ask(calls.flatMap(cut));
      return failed({ kind: "not-ready", reason: "the process is dead" });
    },
    dump: (...call) => client.dump(...call),
    isOwn: (port) => client.isOwn(port),
  };
}

describe("a pod's plan", () => {
  it("applied and removed leaves all as it was, and applied twice is as once", async () => {
    const before = seen();
    await fc.assert(
      fc.asyncProperty(CASE, async (of) => {
        const pod = podOf(of);
        await using _gone = { [Symbol.asyncDispose]: () => detached(pod) };
        const first = must(await kernel.attachPod(pod));
        const once = seen();
        expect(must(await kernel.attachPod(pod))).toEqual(first);
        expect(seen()).toBe(once);
        await detached(pod);
        expect(seen()).toBe(before);
      }),
      { numRuns: 4 },
    );
  });

  it("interrupted after any message is made whole by the next ADD, and taken away by the next DEL", async () => {
    const before = seen();
    const ends = podEnds(Uint8Array.from({ length: POD_ENDS_BYTES }, (_, at) => 17 * at));
    const interrupted = async (of: Case, messages: number): Promise<PodLink> => {
      const pod = podOf(of);
      const fd = openSync(pod.netns, "r");
      await applyPlan(dyingClient(messages), planPod(pod, ends), fd);
      closeSync(fd);
      return pod;
    };
    await fc.assert(
      fc.asyncProperty(CASE, fc.nat(26), fc.boolean(), async (of, messages, goesOn) => {
        const pod = await interrupted(of, messages);
        await using _gone = { [Symbol.asyncDispose]: () => detached(pod) };
        if (goesOn) expect(await isWhole(pod)).toBe(true);
        await detached(pod);
        expect(seen()).toBe(before);
      }),
      {
        numRuns: 24,
        // Right behind the link's birth; and all of it.
        examples: [1, 26].map((messages) => [{ stack: "dual", slot: 0, number: 20 }, messages, true]),
      },
    );
  });
});

/** What an ENI's device was set to stays. */
function others(text: string): string[] {
  return text.split("\n").filter((line) => !/eni1|addrgenmode/.test(line));
}

describe("an ENI's plan", () => {
  it("interrupted after any message is made whole by configureEni(), and taken away by forgetEni()", async () => {
    const eni = lab.eni(1);
    const device = { name: "eni1", ifIndex: eni.ifIndex };
    const host = { ipv6: true };
    const whole = seen();
    must(await kernel.forgetEni(1));
    const before = others(seen());
    const macs = { v4: mac("02:00:00:00:00:01"), v6: mac("02:00:00:00:00:02") };
    const plan = [...planEniLink(eni, device, host), ...planEniRoutes(eni, device, macs, host)];
    for (let messages = 0; messages <= 13; messages++) {
      await applyPlan(dyingClient(messages), plan);
      if (messages % 2 === 1) {
        must(await kernel.configureEni(eni));
        expect(must(await kernel.checkNode([eni])), String(messages)).toEqual([]);
        if (messages === 13) expect(seen()).toBe(whole);
      }
      must(await kernel.forgetEni(1));
      expect(others(seen()), String(messages)).toEqual(before);
    }
    must(await kernel.configureEni(eni));
  });
});

/** Things that no plan of pods or ENIs has. */
function overlayPlan(): Plan {
  const device = { name: "twvx", ifIndex: 4242, mac: mac("02:00:00:00:00:33") };
  const underlay = {
    name: "eth0",
    ifIndex: Number(sh(`ip netns exec ${lab.node} cat /sys/class/net/eth0/ifindex`)),
  };
  const route = { kind: "route", place: "node", table: 7777 } as const;
  const peer = ip("172.16.1.0");
  return [
    { kind: "vxlan", device, vni: 7, port: 8472, local: ip("10.0.0.10"), underlay, mtu: 1450 },
    {
      kind: "settings",
      place: "node",
      device,
      settings: { up: true, linkLocal: false, ipv6: { enabled: true, acceptRa: false } },
    },
    { kind: "address", place: "node", device, address: ip("172.16.0.0"), prefixLength: 32 },
    { kind: "address", place: "node", device, address: ip6("fd00:5::1"), prefixLength: 64 },
    ...Array.from({ length: 10 }, (_, at) => ({
      kind: "neighbour" as const,
      place: "node" as const,
      device,
      address: ip(`172.16.1.${at}`),
      mac: mac(`02:00:00:00:01:0${at}`),
    })),
    { kind: "fdb", device, mac: mac("02:00:00:00:01:00"), remote: ip("10.0.0.20") },
    {
      ...route,
      to: hostCidr(ip("172.16.9.9")),
      device,
      via: peer,
      onlink: true,
      src: ip("172.16.0.0"),
      metric: 7,
    },
    { ...route, to: hostCidr(ip("172.16.9.10")), type: "unreachable" },
    { ...route, to: hostCidr(ip6("fd00:6::1")), type: "blackhole", metric: 9 },
  ];
}

describe("differences() and repairPlan()", () => {
  it("name and mend what is missing or wrong of any kind of thing, and removePlan() takes all away", async () => {
    const before = seen();
    const plan = overlayPlan();
    expect(await applyPlan(client, plan)).toEqual({ ok: true });
    expect(must(await differences(client, plan))).toEqual([]);
    const cases: readonly (readonly [command: string, ...lines: string[]])[] = [
      ["ip link set twvx mtu 1400", "device twvx has the mtu 1400, not 1450"],
      ["ip link set twvx down", "device twvx is down"],
      ["ip address del 172.16.0.0/32 dev twvx", "address 172.16.0.0/32 dev twvx is missing"],
      ["ip address del fd00:5::1/64 dev twvx", "address fd00:5::1/64 dev twvx is missing"],
      ["ip neighbour del 172.16.1.7 dev twvx", "neighbour 172.16.1.7 dev twvx is missing"],
      [
        "bridge fdb replace 02:00:00:00:01:00 dev twvx dst 10.0.0.99 self permanent",
        "fdb 02:00:00:00:01:00 dev twvx leads to 10.0.0.99, not 10.0.0.20",
      ],
      ["bridge fdb del 02:00:00:00:01:00 dev twvx self", "fdb 02:00:00:00:01:00 dev twvx is missing"],
      [
        "ip route replace 172.16.9.9 dev twvx via 172.16.1.1 onlink table 7777 metric 7",
        "route 172.16.9.9/32 via 172.16.1.0 dev twvx table 7777 is missing",
      ],
      ["ip route del 172.16.9.10 table 7777", "route unreachable 172.16.9.10/32 table 7777 is missing"],
      ["ip -6 route flush table 7777", "route blackhole fd00:6::1/128 table 7777 is missing"],
      ["ip link del twvx", "device twvx is missing"],
    ];
    for (const [command, line] of cases) {
      lab.run(lab.node, command);
      const lines = must(await differences(client, plan)).map((difference) => difference.line);
      expect(lines, command).toContain(line);
      const repaired = must(await repairPlan(client, plan)).map((difference) => difference.line);
      expect(repaired, command).toEqual(expect.arrayContaining(lines));
      expect(must(await differences(client, plan)), command).toEqual([]);
      expect(must(await repairPlan(client, plan))).toEqual([]);
    }
    must(await removePlan(client, plan));
    expect(seen()).toBe(before);
    must(await removePlan(client, plan));
  });
});
