import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { must, run } from "../../test/harness/process.ts";
import { openSender, type Traffic } from "./sender.ts";

const [HERE, THERE] = [`twbs${process.pid}a`, `twbs${process.pid}b`];
const [FROM, TO] = [`/run/netns/${HERE}`, `/run/netns/${THERE}`];

async function ip(words: string): Promise<void> {
  await must("ip", words.split(" "));
}

beforeEach(async () => {
  for (const name of [HERE, THERE]) await ip(`netns add ${name}`);
  await ip(`-n ${HERE} link add veth0 type veth peer name veth1 netns ${THERE}`);
  for (const [name, device, end] of [
    [HERE, "veth0", 1],
    [THERE, "veth1", 2],
  ]) {
    await ip(`-n ${name} address add 10.0.0.${end}/24 dev ${device}`);
    await ip(`-n ${name} address add fd00::${end}/64 dev ${device} nodad`);
    await ip(`-n ${name} link set ${device} up`);
  }
});

afterEach(async () => {
  for (const name of [HERE, THERE]) await run("ip", ["netns", "delete", name]);
});

describe("openSender()", () => {
  it("tells what a packet, a round trip and a MB cost, in either family", async () => {
    const sender = await openSender();
    const kinds: readonly (readonly [Traffic, number])[] = [
      ["udp", 500],
      ["echo", 200],
      ["stream", 5],
    ];
    for (const address of ["10.0.0.2", "fd00::2"]) {
      for (const [traffic, count] of kinds) {
        const ns = await sender({ traffic, from: FROM, to: TO, address, count });
        // From a system call to a second: what it is not is nothing or a wall clock's idle time.
        expect(ns, `${traffic} ${address}`).toBeGreaterThan(100);
        expect(ns, `${traffic} ${address}`).toBeLessThan(1e9);
      }
    }
  });

  it("is no figure where packets are lost", async () => {
    const sender = await openSender();
    const drop = [
      "add table ip x",
      "add chain ip x in { type filter hook input priority 0; }",
      "add rule ip x in meta l4proto udp numgen inc mod 50 0 drop",
    ];
    await must("ip", ["netns", "exec", THERE, "nft", drop.join("\n")]);
    await expect(
      sender({ traffic: "udp", from: FROM, to: TO, address: "10.0.0.2", count: 1000 }),
    ).rejects.toThrow(`980 of 1000 packets from ${FROM} arrived at 10.0.0.2`);
  });

  it("says what is wrong with a namespace that is not there", async () => {
    const sender = await openSender();
    const to = "/run/netns/twbs-none";
    await expect(sender({ traffic: "udp", from: FROM, to, address: "10.0.0.2", count: 1 })).rejects.toThrow(
      to,
    );
  });
});
