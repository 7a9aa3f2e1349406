/** All steps of a plan or none, on the kernel: a failure is put in at each place. */
import { closeSync, openSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planEniRoutes, nftHostText, nftEniText, planHost } from "../core/datapath/host-plan.ts";
import { type PodLink } from "../core/kernel.ts";
import { POD_ENDS_BYTES, podEnds, planPod, planPodAgain } from "../core/datapath/pod-plan.ts";
import { describeThing, type Device, type Place, type Thing } from "../core/datapath/thing.ts";
import { hostCidr } from "../../proto/cidr6.ts";
import { applyPlan } from "./apply.ts";
import { type Client, openClient } from "./client.ts";
import { batch } from "./codec/request.ts";
import { getLink } from "./codec/link.ts";
import { type Lab, must, mac, openLab, sh } from "./lab.ts";
import { runNft } from "./nft.ts";
import { openSocketThread, type SocketThread } from "./socket.ts";

const HOST = { ipv6: true };
const MACS = { v4: mac("02:00:00:00:00:01") };

let lab: Lab;
let thread: SocketThread;
let client: Client;
let pod: PodLink;

beforeAll(async () => {
  lab = openLab();
  thread = await openSocketThread(new URL("./worker.ts", import.meta.url), { nodeNetns: lab.nodeNetns });
  client = openClient(thread);
  must(await runNft(nftHostText(HOST) + nftEniText(0, HOST), lab.nodeNetns));
  await applyPlan(client, planHost(HOST));
  sh(`ip -n ${lab.node} link set eni0 up`);
  pod = lab.newPod(0, 20);
  // It stays up when everything else is undone.
  sh(`ip -n ${lab.nameOf(pod)} link set lo up`);
});

afterAll(async () => {
  await thread[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

function eniDevice(): Device {
  return { name: "eni0", ifIndex: lab.eni(0).ifIndex };
}

/** A thing that the kernel refuses: there is no such device. */
function refused(place: Place): Thing {
  const device = { name: "none", ifIndex: 999_999 };
  return { kind: "route", place, table: 254, device, to: hostCidr(lab.eni(0).gateway) };
}

function seen(): string {
  return `${lab.snapshot()}\n${sh(`ip -n ${lab.nameOf(pod)} address`)}\n${sh(`ip -n ${lab.nameOf(pod)} route`)}`;
}

const ends = podEnds(Uint8Array.from({ length: POD_ENDS_BYTES }, (_, at) => 17 * at));

describe("applyPlan()", () => {
  it("leaves nothing of a pod, whichever thing is refused and in whichever namespace", async () => {
    const steps = planPod(pod, ends);
    const before = seen();
    const fd = openSync(pod.netns, "r");
    try {
      for (let at = 0; at <= steps.length; at++) {
        for (const where of ["node", "pod"] as const) {
          const applied = await applyPlan(client, steps.toSpliced(at, 0, refused(where)), fd);
          expect(applied).toEqual({
            ok: false,
            thing: refused(where),
            fault: { kind: "kernel", op: describeThing(refused(where)), errno: "ENODEV" },
          });
          expect(seen(), `${where} ${at}`).toBe(before);
        }
      }
    } finally {
      closeSync(fd);
    }
  });

  it("leaves nothing where the last step, the element, is refused", async () => {
    const steps = planPod({ ...pod, slot: 7 }, ends);
    const before = seen();
    const fd = openSync(pod.netns, "r");
    const applied = await applyPlan(client, steps, fd);
    closeSync(fd);
    expect(applied).toMatchObject({ ok: false, thing: { kind: "element" }, fault: { errno: "ENOENT" } });
    expect(seen()).toBe(before);
  });

  it("leaves nothing where the namespace cannot be entered", async () => {
    const before = seen();
    const fd = openSync("/etc/hostname", "r");
    const applied = await applyPlan(client, planPod(pod, ends), fd);
    closeSync(fd);
    expect(applied).toMatchObject({ ok: false, thing: { kind: "veth" }, fault: { errno: "EINVAL" } });
    expect(seen()).toBe(before);
  });

  it("touches nothing of a device that has the chosen index already", async () => {
    sh(`ip -n ${lab.node} link add taken index ${ends.hostIndex} type bridge`);
    const before = seen();
    const fd = openSync(pod.netns, "r");
    const applied = await applyPlan(client, planPod(pod, ends), fd);
    closeSync(fd);
    expect(applied).toMatchObject({ ok: false, thing: { kind: "veth" }, fault: { errno: "EEXIST" } });
    expect(seen()).toBe(before);
    sh(`ip -n ${lab.node} link del taken`);
  });

  it("leaves nothing of an ENI, whichever thing is refused", async () => {
    const steps = planEniRoutes(lab.eni(0), eniDevice(), MACS, HOST);
    const before = seen();
    for (let at = 0; at <= steps.length; at++) {
      const applied = await applyPlan(client, steps.toSpliced(at, 0, refused("node")));
      expect(applied).toMatchObject({ ok: false, thing: refused("node") });
      expect(seen(), String(at)).toBe(before);
    }
  });

  it("takes what was done before as done, and goes on", async () => {
    const eni = lab.eni(0);
    const steps = [...planHost(HOST), ...planEniRoutes(eni, eniDevice(), MACS, HOST)];
    expect(await applyPlan(client, steps)).toEqual({ ok: true });
    const after = seen();
    expect(await applyPlan(client, steps)).toEqual({ ok: true });
    expect(seen()).toBe(after);
  });

  it("takes everything back where the link was made and the pod's part refused", async () => {
    const fd = openSync(pod.netns, "r");
    const [link, ...rest] = planPod(pod, ends);
    const before = seen();
    // An index that the pod does not have: what is to be set there is refused.
    const wrong = planPodAgain(pod, { ...ends, podIndex: 12_345 });
    expect(rest.length).toBe(wrong.length);
    const applied = await applyPlan(client, link === undefined ? [] : [link, ...wrong], fd);
    closeSync(fd);
    expect(applied).toMatchObject({
      ok: false,
      thing: { kind: "settings", place: "pod" },
      fault: { errno: "ENODEV" },
    });
    expect(seen()).toBe(before);
  });
});

describe("openSocketThread()", () => {
  it("is in another namespace only while it makes a socket", async () => {
    const fd = openSync(pod.netns, "r");
    const own = sh("readlink /proc/self/ns/net");
    for (let times = 0; times < 50; times++) {
      const answers = must(
        await client.ask([
          { netnsFd: fd, family: "route", requests: [getLink({ name: "lo" })], ack: "each" },
        ]),
      );
      expect(answers[0]?.[0]?.kind).toBe("done");
      const namespaces = new Set(
        readdirSync("/proc/self/task").map((task) => sh(`readlink /proc/${process.pid}/task/${task}/ns/net`)),
      );
      expect([...namespaces]).toEqual([own]);
    }
    closeSync(fd);
  });

  it("gives up on an answer that does not come, and works on", async () => {
    const { bytes } = batch([getLink({ name: "lo" })], 1, "as-is");
    const result = await thread.run({
      kind: "exchange",
      exchanges: [{ family: "route", bytes, lastSeq: 99, tolerated: [] }],
    });
    const [outcome] = result.kind === "exchanged" ? result.outcomes : [];
    expect(outcome).toMatchObject({ kind: "failed", failure: { call: "recv", errno: 11 } });
    const answers = must(
      await client.ask([{ family: "route", requests: [getLink({ name: "lo" })], ack: "each" }]),
    );
    expect(answers[0]?.map(({ kind }) => kind)).toEqual(["done"]);
  });

  it("closes what it opened", async () => {
    const before = openFiles();
    for (let times = 0; times < 3; times++) {
      await using other = await openSocketThread(new URL("./worker.ts", import.meta.url), {
        nodeNetns: lab.nodeNetns,
      });
      const answers = must(
        await openClient(other).ask([
          { family: "route", requests: [getLink({ name: "eth0" })], ack: "each" },
        ]),
      );
      expect(answers[0]?.[0]?.kind).toBe("done");
    }
    expect(openFiles()).toBe(before);
  });
});
