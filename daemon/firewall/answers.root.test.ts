/** Answers of pods that were asked by the node's address: with packets, and without leaving anything. */
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PodLink } from "../core/kernel.ts";
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
} from "../netlink/lab.ts";
import { openKernel } from "../netlink/kernel.ts";
import { type ForwardAccept, openForwardAccept } from "./forward.ts";

let lab: Lab;
let pod: PodLink;
let accept: ForwardAccept;

beforeEach(async () => {
  lab = openLab(1, "dual");
  // As Kubernetes asks of a node: what comes in by its own interface may go on.
  lab.run(lab.node, "sysctl -qw net.ipv4.conf.eth0.forwarding=1 net.ipv6.conf.eth0.force_forwarding=1");
  pod = lab.newPod(0, 7);
  accept = openForwardAccept(lab.nodeNetns);
  await using kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  must(await kernel.prepareHost());
  must(await kernel.configureEni(lab.eni(0)));
  must(await kernel.attachPod({ ...pod, hostName: "tw0123456789abc" }));
});

afterEach(() => lab[Symbol.dispose]());

function nft(text: string): void {
  execFileSync("ip", ["netns", "exec", lab.node, "nft", text], { stdio: "pipe" });
}

/** What arrives at the node's address is the pod's, as with a host port. */
function translate(family: "ip" | "ip6"): void {
  const [to, protocol, dnat] =
    family === "ip" ? [NODE_ADDRESS, "icmp", v4(pod)] : [NODE_ADDRESS6, "icmpv6", v6(pod)];
  nft(`table ${family} ports {
    chain pre {
      type nat hook prerouting priority dstnat;
      ${family} daddr ${to} ${protocol} type echo-request dnat to ${dnat}
    }
  }`);
}

const asked = {
  ip: (): boolean => lab.pings(lab.vpc, NODE_ADDRESS, FAR_ADDRESS),
  ip6: (): boolean => lab.pings(lab.vpc, NODE_ADDRESS6, FAR_ADDRESS6),
};

describe("openForwardAccept()", () => {
  for (const family of ["ip", "ip6"] as const)
    it(`lets answers of ${family} leave as the questions came, with the node's address`, async () => {
      expect(await accept.ensure()).toEqual({ changed: [], refused: [] });
      translate(family);
      const before = lab.spoofed();
      expect(asked[family]()).toBe(false);
      expect(lab.spoofed()).toBeGreaterThan(before);
      expect(await accept.ensure()).toEqual({ changed: [`${family} terway answers`], refused: [] });
      expect(asked[family]()).toBe(true);
      // Its own connections go by its ENI as before.
      const far = family === "ip" ? FAR_ADDRESS : FAR_ADDRESS6;
      expect(lab.pings(lab.nameOf(pod), far)).toBe(true);
      expect(await accept.ensure()).toEqual({ changed: [], refused: [] });
      expect(await accept.remove()).toEqual({ changed: [`${family} terway answers`], refused: [] });
      expect(asked[family]()).toBe(false);
      expect(await accept.remove()).toEqual({ changed: [], refused: [] });
    });

  it("sees the older iptables translate too", async () => {
    lab.run(
      lab.node,
      `iptables-legacy -t nat -A PREROUTING -p icmp -d ${NODE_ADDRESS} -j DNAT --to ${v4(pod)}`,
    );
    expect(asked.ip()).toBe(false);
    expect((await accept.ensure()).changed).toEqual(["ip terway answers"]);
    expect(asked.ip()).toBe(true);
  });
});
