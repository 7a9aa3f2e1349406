import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FAR_ADDRESS, type Lab, must, openLab } from "../netlink/lab.ts";
import { openKernel } from "../netlink/kernel.ts";
import { type PodLink } from "../core/kernel.ts";
import { type ForwardAccept, openForwardAccept } from "./forward.ts";

const NOTHING = { changed: [], refused: [] };
const IPTABLES = ["nft", "legacy"] as const;

let lab: Lab;
let pod: PodLink;
let accept: ForwardAccept;

beforeEach(async () => {
  lab = openLab();
  pod = lab.newPod(0, 7);
  accept = openForwardAccept(lab.nodeNetns);
  await using kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  must(await kernel.prepareHost());
  must(await kernel.configureEni(lab.eni(0)));
  // The name that a pod's link really has begins alike.
  must(await kernel.attachPod({ ...pod, hostName: "tw0123456789abc" }));
});

afterEach(() => lab[Symbol.dispose]());

function node(command: string): string {
  return lab.run(lab.node, command);
}

function nft(text: string): void {
  execFileSync("ip", ["netns", "exec", lab.node, "nft", text], { stdio: "pipe" });
}

/** Packets of both directions: an answer has to come back. */
function passes(): boolean {
  return lab.pings(lab.nameOf(pod), FAR_ADDRESS);
}

describe("openForwardAccept()", () => {
  for (const kind of IPTABLES) {
    it(`lets pods' packets through a policy of DROP of iptables-${kind}, and Docker's rules before`, async () => {
      const iptables = `iptables-${kind}`;
      node(`${iptables} -N DOCKER-USER`);
      node(`${iptables} -A FORWARD -j DOCKER-USER`);
      node(`${iptables} -A FORWARD -i docker0 -j ACCEPT`);
      node(`${iptables} -P FORWARD DROP`);
      const theirs = node(`${iptables} -S`);
      const chain = kind === "nft" ? "ip filter FORWARD" : "iptables-legacy FORWARD";
      expect(passes()).toBe(false);
      expect(await accept.ensure()).toEqual({ changed: [chain], refused: [] });
      expect(passes()).toBe(true);
      expect(await accept.ensure()).toEqual(NOTHING);
      expect(node(`${iptables} -S FORWARD`).split("\n")).toEqual([
        "-P FORWARD DROP",
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -i docker0 -j ACCEPT",
        '-A FORWARD -i tw+ -m comment --comment "terway: from pods" -j ACCEPT',
        '-A FORWARD -o tw+ -m comment --comment "terway: to pods" -j ACCEPT',
        "",
      ]);

      // What a policy says about packets stays said.
      node(`${iptables} -A DOCKER-USER -i tw+ -j DROP`);
      expect(passes()).toBe(false);
      node(`${iptables} -F DOCKER-USER`);

      node(`${iptables} -F FORWARD`);
      expect(passes()).toBe(false);
      expect((await accept.ensure()).changed).toEqual([chain]);
      expect(passes()).toBe(true);

      node(`${iptables} -I FORWARD 1 -i docker0 -j ACCEPT`);
      node(`${iptables} -I FORWARD 1 -j DOCKER-USER`);
      expect(await accept.remove()).toEqual({ changed: [chain], refused: [] });
      expect(node(`${iptables} -S`)).toBe(theirs);
      expect(passes()).toBe(false);
    });

    it(`stands before a last rule of iptables-${kind} that rejects, also one that comes later`, async () => {
      const iptables = `iptables-${kind}`;
      node(`${iptables} -A FORWARD -j REJECT --reject-with icmp-host-prohibited`);
      expect(passes()).toBe(false);
      await accept.ensure();
      expect(passes()).toBe(true);
      node(`${iptables} -I FORWARD 1 -j REJECT`);
      expect(passes()).toBe(false);
      await accept.ensure();
      expect(passes()).toBe(true);
      node(`${iptables} -F FORWARD`);
      await accept.ensure();
      expect(node(`${iptables} -S FORWARD`)).toBe("-P FORWARD ACCEPT\n");
    });
  }

  it("stands first in firewalld's chain, which sends links that it does not know to a zone that rejects", async () => {
    nft(`table inet firewalld {
      chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_FORWARD_POLICIES
        reject with icmpx admin-prohibited
      }
      chain filter_FORWARD_POLICIES {
        reject with icmpx admin-prohibited
      }
    }`);
    const theirs = node("nft list table inet firewalld");
    expect(passes()).toBe(false);
    expect(await accept.ensure()).toEqual({ changed: ["inet firewalld filter_FORWARD"], refused: [] });
    expect(passes()).toBe(true);
    expect(await accept.ensure()).toEqual(NOTHING);
    await accept.remove();
    expect(node("nft list table inet firewalld")).toBe(theirs);
  });

  it("does the same for IPv6", async () => {
    for (const kind of IPTABLES) node(`ip6tables-${kind} -P FORWARD DROP`);
    const both = ["ip6 filter FORWARD", "ip6tables-legacy FORWARD"];
    expect(await accept.ensure()).toEqual({ changed: both, refused: [] });
    for (const kind of IPTABLES) expect(node(`ip6tables-${kind} -S FORWARD`)).toContain("-A FORWARD -o tw+");
    expect(await accept.remove()).toEqual({ changed: both, refused: [] });
    for (const kind of IPTABLES) expect(node(`ip6tables-${kind} -S FORWARD`)).toBe("-P FORWARD DROP\n");
  });

  it("adds nothing where nothing is dropped, and nothing of its own to a node without a firewall", async () => {
    const before = node("nft list ruleset");
    expect(await accept.ensure()).toEqual(NOTHING);
    expect(node("nft list ruleset")).toBe(before);
    node("iptables-nft -A FORWARD -i docker0 -j ACCEPT");
    expect(await accept.ensure()).toEqual(NOTHING);
  });

  it("says what it could not do", async () => {
    const blind = openForwardAccept("/run/netns/tw-no-such-node");
    const { changed, refused } = await blind.ensure();
    expect(changed).toEqual([]);
    expect(refused).toEqual([expect.stringContaining("tw-no-such-node")]);
  });
});
