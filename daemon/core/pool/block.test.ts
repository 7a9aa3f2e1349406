import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../../proto/addr.ts";
import { parseIpv6 } from "../../../proto/addr6.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { type Cidr, cidrContains, firstAddress, lastAddress, parseCidr } from "../../../proto/cidr.ts";
import { type Cidr6, isCidr6, parseIpCidr } from "../../../proto/cidr6.ts";
import { describeFault } from "../../../proto/fault.ts";
import { type BlockPoolInput, blockPool, podAddresses } from "./block.ts";
import { type OwnBlock, type Pool, type PoolEffect, type PoolEvent } from "./model.ts";
import { outlook } from "./outlook.ts";
import { addressOf } from "./serve.ts";
import { step } from "./step.ts";

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function ip(text: string) {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function ip6(text: string) {
  const parsed = parseIpv6(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

const BLOCK = cidr("10.245.1.0/29");
const OTHER = cidr("10.245.2.0/29");
const WIDER = cidr("10.245.1.0/28");
const COOLDOWN_MS = 30_000;

function pod(number: number): Attachment {
  return { network: "terway", containerId: `c${number}`, ifName: "eth0" };
}

type Happening = PoolEvent extends infer Event
  ? Event extends PoolEvent
    ? Omit<Event, "nowMs">
    : never
  : never;

/** A pool and its clock. */
function openNode(input: Partial<BlockPoolInput> = {}) {
  let pool: Pool = blockPool({ leases: [], cooldowns: [], cooldownMs: COOLDOWN_MS, nowMs: 0, ...input });
  let nowMs = 0;
  const effects: PoolEffect[] = [];
  const send = (event: Happening): readonly PoolEffect[] => {
    const next = step(pool, { ...event, nowMs });
    pool = next.pool;
    effects.push(...next.effects);
    return next.effects;
  };
  return {
    effects,
    send,
    pool: () => pool,
    nowMs: () => nowMs,
    sleep(ms: number) {
      nowMs += ms;
      send({ kind: "ticked" });
    },
    setBlock: (block: Cidr) => send({ kind: "block-set", own: { kind: "block", cidr: block } }),
    loseBlock: (reason: string) => send({ kind: "block-set", own: { kind: "none", reason } }),
    add(number: number, waitMs = 1000): string {
      const done = send({ kind: "add-requested", attachment: pod(number), deadlineMs: nowMs + waitMs });
      const answer = done.find(({ kind }) => kind === "grant" || kind === "refuse");
      if (answer?.kind === "grant") return `${answer.address} of ${answer.slot}`;
      return answer?.kind === "refuse" ? describeFault(answer.fault) : "waits";
    },
    del: (number: number) => send({ kind: "released", attachment: pod(number) }),
  };
}

describe("podAddresses()", () => {
  it("leaves out the node's own address in the overlay and the broadcast address", () => {
    expect(podAddresses({ cidr: BLOCK })).toEqual(
      ["1", "2", "3", "4", "5", "6"].map((last) => `10.245.1.${last}`),
    );
    expect(podAddresses({ cidr: cidr("10.245.1.0/24") })).toHaveLength(254);
    expect(podAddresses({ cidr: cidr("10.245.1.4/30") })).toEqual(["10.245.1.5", "10.245.1.6"]);
  });
});

function cidr6(text: string): Cidr6 {
  const parsed = parseIpCidr(text);
  if (!parsed.ok || !isCidr6(parsed.value)) throw new Error(text);
  return parsed.value;
}

describe("blockPool() with both families", () => {
  const both: OwnBlock = { kind: "block", cidr: BLOCK, cidr6: cidr6("fd00:245::100/120") };

  it("gives pairs, keeps them together, and is full where one family is", () => {
    const node = openNode();
    node.send({ kind: "block-set", own: both });
    const pairOf = (number: number) => addressOf(node.pool(), pod(number));
    for (let number = 1; number <= 6; number++) node.add(number);
    expect(pairOf(1)).toEqual({ slot: 0, address: "10.245.1.1", address6: "fd00:245::101" });
    expect(pairOf(6)).toEqual({ slot: 0, address: "10.245.1.6", address6: "fd00:245::106" });
    expect(node.add(7)).toMatch(/full: 6 pods have its addresses/);
    node.del(3);
    node.sleep(COOLDOWN_MS);
    node.add(7);
    expect(pairOf(7)).toEqual({ slot: 0, address: "10.245.1.3", address6: "fd00:245::103" });
  });

  it("gives IPv4 alone from when the IPv6 block is gone; pairs stay with their pods", () => {
    const node = openNode();
    node.send({ kind: "block-set", own: both });
    node.add(1);
    node.setBlock(BLOCK);
    node.add(2);
    expect(addressOf(node.pool(), pod(1))).toEqual({
      slot: 0,
      address: "10.245.1.1",
      address6: "fd00:245::101",
    });
    expect(addressOf(node.pool(), pod(2))).toEqual({ slot: 1, address: "10.245.1.2" });
    node.del(1);
    node.sleep(COOLDOWN_MS);
    expect([...node.pool().enis.keys()]).toEqual([1]);
  });

  it("knows pairs again after a restart", () => {
    const lease = { attachment: pod(1), address: ip("10.245.1.4"), address6: ip6("fd00:245::104"), slot: 0 };
    const node = openNode({ leases: [lease] });
    node.send({ kind: "block-set", own: both });
    expect(addressOf(node.pool(), pod(1))).toEqual({
      slot: 0,
      address: lease.address,
      address6: lease.address6,
    });
    for (let number = 2; number <= 6; number++) node.add(number);
    expect(node.add(7)).toMatch(/full: 6 pods/);
  });
});

describe("blockPool()", () => {
  it("gives each pod one address, the same one again, and says when the block is full", () => {
    const node = openNode();
    node.setBlock(BLOCK);
    for (let number = 1; number <= 6; number++) expect(node.add(number)).toBe(`10.245.1.${number} of 0`);
    expect(node.add(3)).toBe("10.245.1.3 of 0");
    expect(node.add(7)).toBe(
      "no address for the pod: block 10.245.1.0/29 of this node is full: 6 pods have its addresses",
    );
    expect(outlook(node.pool(), 0)).toEqual({
      kind: "starved",
      fault: { kind: "block-full", block: BLOCK, reason: "6 pods have its addresses" },
    });
    node.del(2);
    expect(node.add(8)).toBe(
      "no address for the pod: block 10.245.1.0/29 of this node is full: 5 pods have its addresses, 1 more cool down",
    );
    // It waits where the address is free in time.
    expect(node.add(9, COOLDOWN_MS + 1)).toBe("waits");
    node.sleep(COOLDOWN_MS);
    expect(addressOf(node.pool(), pod(9))).toEqual({ slot: 0, address: "10.245.1.2" });
  });

  it("gives nothing before the block is known, and says why there is none", () => {
    const node = openNode();
    expect(node.add(1)).toBe("no address for the pod: the block of this node is not known yet");
    node.loseBlock("no record of this node");
    expect(node.add(1)).toBe("no address for the pod: no record of this node");
    node.setBlock(BLOCK);
    expect(node.add(1)).toBe("10.245.1.1 of 0");
  });

  it("keeps pods where the block is lost, and goes on as before when it is back", () => {
    const node = openNode();
    node.setBlock(BLOCK);
    node.add(1);
    node.add(2);
    node.del(2);
    node.loseBlock("no record of this node");
    expect(node.add(1)).toBe("10.245.1.1 of 0");
    expect(node.add(3)).toBe("no address for the pod: no record of this node");
    node.setBlock(BLOCK);
    expect(node.add(3)).toBe("10.245.1.3 of 0");
    for (const number of [4, 5, 6]) node.add(number);
    // The one that cools down went through all of it.
    expect(node.add(7)).toMatch(/full: 5 pods have its addresses, 1 more cool down/);
  });

  it("keeps addresses of a former block until their pods are gone, and forgets it then", () => {
    const node = openNode();
    node.setBlock(BLOCK);
    node.add(1);
    node.setBlock(OTHER);
    expect(node.add(2)).toBe("10.245.2.1 of 1");
    expect(node.add(1)).toBe("10.245.1.1 of 0");
    node.del(1);
    node.sleep(COOLDOWN_MS);
    expect([...node.pool().enis.values()].map(({ vSwitch }) => vSwitch)).toEqual([OTHER]);
    expect(node.add(1)).toBe("10.245.2.2 of 1");
  });

  it("takes addresses of a former block over where the new one has them", () => {
    const node = openNode();
    node.setBlock(BLOCK);
    node.add(1);
    node.setBlock(WIDER);
    expect(node.add(2)).toBe("10.245.1.2 of 0");
    node.setBlock(BLOCK);
    expect(node.add(3)).toBe("10.245.1.3 of 1");
    node.del(1);
    node.sleep(COOLDOWN_MS);
    for (const number of [4, 5, 6, 7]) node.add(number);
    expect(addressOf(node.pool(), pod(7))).toEqual({ slot: 1, address: "10.245.1.1" });
    expect(node.add(8)).toMatch(/full: 6 pods/);
  });

  it("knows its pods again after a restart, those of a former block too", () => {
    const leases = [
      { attachment: pod(1), address: ip("10.245.1.1"), slot: 0 },
      { attachment: pod(2), address: ip("10.245.2.3"), slot: 1 },
    ];
    const node = openNode({ leases, cooldowns: [{ address: ip("10.245.2.1"), untilMs: 10_000 }] });
    node.setBlock(OTHER);
    expect(node.add(1)).toBe("10.245.1.1 of 0");
    expect(node.add(2)).toBe("10.245.2.3 of 1");
    expect(node.add(3)).toBe("10.245.2.2 of 1");
    node.sleep(10_000);
    for (const number of [4, 5, 6, 7]) node.add(number);
    expect(addressOf(node.pool(), pod(7))).toEqual({ slot: 1, address: "10.245.2.1" });
  });

  it("says nothing twice where the same block is set again", () => {
    const node = openNode();
    node.setBlock(BLOCK);
    node.add(1);
    const before = node.pool().enis;
    expect(node.setBlock(BLOCK)).toEqual([]);
    expect(node.pool().enis).toEqual(before);
  });
});

type Act =
  | { readonly kind: "add" | "del"; readonly number: number }
  | { readonly kind: "block"; readonly block: Cidr | undefined }
  | { readonly kind: "sleep"; readonly ms: number }
  | { readonly kind: "restart" };

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom("add" as const, "del" as const), number: fc.nat(9) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("block" as const),
      block: fc.constantFrom(BLOCK, OTHER, WIDER, undefined),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("sleep" as const), ms: fc.constantFrom(1000, COOLDOWN_MS) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
);

describe("step() with blocks", () => {
  it("holds no address twice, gives none before its cooldown, none of another block, and never asks a cloud", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 40 }), (list) => {
        let node = openNode();
        let own: Cidr | undefined;
        let offsetMs = 0;
        const has = new Map<number, string>();
        const freedMs = new Map<string, number>();
        const nowMs = (): number => offsetMs + node.nowMs();
        for (const act of list) {
          if (act.kind === "block") {
            own = act.block;
            if (own === undefined) node.loseBlock("gone");
            else node.setBlock(own);
          } else if (act.kind === "sleep") node.sleep(act.ms);
          else if (act.kind === "del") {
            node.del(act.number);
            const address = has.get(act.number);
            if (address !== undefined) freedMs.set(address, nowMs());
            has.delete(act.number);
          } else if (act.kind === "add") {
            const said = node.add(act.number, 0);
            const address = / of \d+$/.test(said) ? said.replace(/ of \d+$/, "") : undefined;
            const former = has.get(act.number);
            if (former !== undefined) expect(address).toBe(former);
            else if (address !== undefined) {
              expect([...has.values()]).not.toContain(address);
              expect(nowMs() - (freedMs.get(address) ?? -COOLDOWN_MS)).toBeGreaterThanOrEqual(COOLDOWN_MS);
              expect(own !== undefined && cidrContains(own, ip(address))).toBe(true);
              expect(own !== undefined && [firstAddress(own), lastAddress(own)]).not.toContain(address);
              has.set(act.number, address);
            }
          } else {
            const leases = [...has].flatMap(([number]) => {
              const held = addressOf(node.pool(), pod(number));
              return held === undefined ? [] : [{ attachment: pod(number), ...held }];
            });
            expect(leases).toHaveLength(has.size);
            offsetMs = nowMs();
            const cooldowns = [...freedMs]
              .filter(
                ([address, atMs]) => atMs + COOLDOWN_MS > offsetMs && ![...has.values()].includes(address),
              )
              .map(([address, atMs]) => ({ address: ip(address), untilMs: atMs + COOLDOWN_MS - offsetMs }));
            node = openNode({ leases, cooldowns });
            if (own === undefined) node.loseBlock("gone");
            else node.setBlock(own);
          }
          const used = [...node.pool().enis.values()].flatMap(({ addresses }) =>
            [...addresses].filter(([, { kind }]) => kind === "used").map(([address]) => address),
          );
          const unplaced = [...node.pool().unplaced]
            .filter(([, { state }]) => state.kind === "used")
            .map(([address]) => address);
          expect([...used, ...unplaced].sort()).toEqual([...has.values()].sort());
        }
        const kinds = new Set(node.effects.map(({ kind }) => kind));
        for (const kind of kinds)
          expect(["grant", "refuse", "note", "persist-cooldown", "forget-cooldown"]).toContain(kind);
      }),
      { numRuns: 400 },
    );
  });
});
