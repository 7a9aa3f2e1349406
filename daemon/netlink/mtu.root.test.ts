/** Packets larger than an MTU: a pod's own, its ENI's, and that of a pod that somebody far away sends to. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { type PodLink } from "../core/kernel.ts";
import { openKernel, type OpenKernel } from "./kernel.ts";
import {
  FAR_ADDRESS,
  FAR_ADDRESS6,
  type Lab,
  must,
  NODE_ADDRESS,
  NODE_ADDRESS6,
  openLab,
  v4,
  v6,
} from "./lab.ts";

let lab: Lab;
let kernel: OpenKernel;

beforeAll(async () => {
  lab = openLab(0, "dual");
  kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  must(await kernel.prepareHost());
});

afterAll(async () => {
  await kernel[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

/** Bytes of the headers of an echo request: RFC 791, RFC 8200, RFC 792. */
const HEADERS = { v4: 20 + 8, v6: 40 + 8 };

type Far = { readonly family: "v4" | "v6"; readonly from: string; readonly to: string };

/** Sends two packets of so many bytes, headers included; `fragments`: DF is not set, the sender may cut them too. */
function sends(
  { family, from, to }: Far,
  bytes: number,
  fragments: "whole" | "fragments",
): readonly string[] {
  const size = String(bytes - HEADERS[family]);
  const discovery = fragments === "whole" ? "do" : "dont";
  const args = ["-n", "-c", "2", "-i", "0.05", "-W", "0.5", "-M", discovery, "-s", size];
  const source = from === lab.vpc ? ["-I", family === "v4" ? FAR_ADDRESS : FAR_ADDRESS6] : [];
  const { stdout, stderr } = spawnSync("ip", ["netns", "exec", from, "ping", ...args, ...source, to], {
    encoding: "utf8",
  });
  const said = `${stdout}${stderr}`.split("\n");
  const interesting = /^ping: |^From|, \d+ received/;
  return [...new Set(said.filter((line) => interesting.test(line)))].map((line) =>
    line.replace(/^\d.*?, (\d received).*/, "$1").replace(/icmp_seq=\d+ /, ""),
  );
}

/** The ENI of slot 0 and the VPC's end of it: a device drops what is larger than its MTU when it comes in. */
function carry(bytes: number): void {
  lab.run(lab.vpc, `ip link set p1 mtu ${bytes}`);
  lab.run(lab.node, `ip link set eni0 mtu ${bytes}`);
}

/** As the agent does it where no MTU is configured. */
async function attach(number: number): Promise<PodLink> {
  const eni = lab.eni(0);
  const mtu = must(await kernel.mtuOf(eni.ifIndex));
  must(await kernel.configureEni({ ...eni, mtu }));
  const pod = { ...lab.newPod(0, number), mtu };
  must(await kernel.attachPod(pod));
  return pod;
}

async function checked(pod: PodLink, mtuMax: number): Promise<unknown> {
  const made = must(await kernel.attachPod(pod));
  return kernel.checkPod({ ...pod, ...made, mtuMax });
}

function refused(op: string): unknown {
  return failed({ kind: "kernel", op, errno: "EINVAL" });
}

function outward(pod: PodLink): readonly Far[] {
  const from = lab.nameOf(pod);
  return [
    { family: "v4", from, to: FAR_ADDRESS },
    { family: "v6", from, to: FAR_ADDRESS6 },
  ];
}

function inward(pod: PodLink): readonly Far[] {
  return [
    { family: "v4", from: lab.vpc, to: v4(pod) },
    { family: "v6", from: lab.vpc, to: v6(pod) },
  ];
}

describe("the MTU of a pod", () => {
  it("is that of its ENI: what fits passes, what does not is refused in the pod, fragments pass", async () => {
    carry(1400);
    const pod = await attach(20);
    for (const far of [...outward(pod), ...inward(pod)]) {
      expect({ far, said: sends(far, 1400, "whole") }).toEqual({ far, said: ["2 received"] });
      expect({ far, said: sends(far, 1401, "whole") }).toEqual({
        far,
        said: ["0 received", expect.stringMatching(/^ping: local error: message too long, mtu[=:] ?1400$/)],
      });
      expect({ far, said: sends(far, 3000, "fragments") }).toEqual({ far, said: ["2 received"] });
    }
    must(await kernel.detachPod(pod));
  });

  it("follows a changed one: new pods have it, older ones are told by ICMP, CHECK finds them", async () => {
    carry(1500);
    const old = await attach(21);
    carry(1300);
    const [far4, far6] = outward(old);
    if (far4 === undefined || far6 === undefined) throw new Error("two families");
    expect(sends(far4, 1500, "whole")[0]).toBe(`From ${NODE_ADDRESS} Frag needed and DF set (mtu = 1300)`);
    expect(sends(far6, 1500, "whole")[0]).toBe(`From ${NODE_ADDRESS6} Packet too big: mtu=1300`);
    for (const far of outward(old)) {
      expect({ far, said: sends(far, 1300, "whole") }).toEqual({ far, said: ["2 received"] });
      expect({ far, said: sends(far, 3000, "fragments") }).toEqual({ far, said: ["2 received"] });
    }
    const young = await attach(22);
    expect(lab.run(lab.nameOf(young), "ip -o link show dev eth0")).toContain(" mtu 1300 ");
    for (const far of outward(young))
      expect({ far, said: sends(far, 1300, "whole") }).toEqual({ far, said: ["2 received"] });
    expect(await checked(young, 1300)).toEqual(ok([]));
    expect(await checked(old, 1500)).toEqual(ok([]));
    expect(await checked(old, 1300)).toEqual(
      ok([`device eth0 in ${old.netns} has the mtu 1500, more than the 1300 of what its packets leave by`]),
    );
    for (const pod of [old, young]) must(await kernel.detachPod(pod));
  });

  it("is told to whoever sends more than it, and what may be cut is cut", async () => {
    carry(1500);
    const pod = { ...lab.newPod(0, 23), mtu: 1300 };
    must(await kernel.configureEni({ ...lab.eni(0), mtu: 1500 }));
    must(await kernel.attachPod(pod));
    const [far4, far6] = inward(pod);
    if (far4 === undefined || far6 === undefined) throw new Error("two families");
    expect(sends(far4, 1500, "whole")[0]).toBe(`From ${NODE_ADDRESS} Frag needed and DF set (mtu = 1300)`);
    expect(sends(far6, 1500, "whole")[0]).toBe(`From ${NODE_ADDRESS6} Packet too big: mtu=1300`);
    for (const far of inward(pod))
      expect({ far, said: sends(far, 1300, "whole") }).toEqual({ far, said: ["2 received"] });
    expect(sends(far4, 1500, "fragments")).toEqual(["2 received"]);
    must(await kernel.detachPod(pod));
  });

  it("is refused where the device cannot have it, with both numbers, and nothing changes", async () => {
    carry(1500);
    const eni = lab.eni(1);
    const device = (): string => lab.run(lab.node, "ip -o link show dev eni1");
    const before = device();
    expect(await kernel.configureEni({ ...eni, mtu: 70_000 })).toEqual(
      refused("mtu is 70000, and eni1 carries 65535 at most: write 65535 or less, or leave mtu out"),
    );
    expect(await kernel.configureEni({ ...eni, mtu: 1279 })).toEqual(
      refused("eni1 has an MTU of 1279, and IPv6 needs 1280 bytes at least: raise it"),
    );
    expect(device()).toBe(before);
    expect(await kernel.mtuOf(eni.ifIndex)).toEqual(ok(1500));
    expect(await kernel.mtuOf(9999)).toEqual(
      failed({ kind: "kernel", op: "ip link show dev 9999", errno: "ENODEV" }),
    );
  });
});
