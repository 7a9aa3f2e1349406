/** What differs between pool, kernel and metadata service, and what is decided. */
import { describe, expect, it } from "vitest";
import { parseCidr } from "../../../proto/cidr.ts";
import { parseMac } from "../../../proto/addr.ts";
import { isIpv6 } from "../../../proto/addr6.ts";
import { eniId } from "../../../proto/ids.ts";
import { type MetadataEni } from "../metadata.ts";
import { eniOf, IDLE, ip, poolOf, used } from "../pool/fake-pool.ts";
import { type Eni, type Pool } from "../pool/model.ts";
import { ASK_AGAIN_MS, reconcile, type Reconciled, type Views, type Watch } from "./reconcile.ts";

const MAC = parseMac("00:16:3e:00:00:99") ?? expect.fail("MAC");
const CIDR = parseCidr("10.0.0.0/24") ?? expect.fail("CIDR");
const ENI = eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": used("a") });
const POOL = poolOf([ENI]);

/** What the metadata service shows of the ENI: the same, or these addresses. */
function shownOf(eni: Eni, addresses?: readonly string[]): MetadataEni {
  const { facts, vSwitch } = eni;
  if (facts === undefined) throw new Error("not created yet");
  const all = addresses?.map(ip) ?? [...eni.addresses.keys()].filter((address) => !isIpv6(address));
  return { ...facts, vSwitch, cidr: CIDR, addresses: all, addresses6: [] };
}

const PRIMARY: MetadataEni = { ...shownOf(ENI), id: eniId("eni-primary"), mac: MAC };

function look(pool: Pool, more: Partial<Views> = {}, watch: Watch = new Map()): Reconciled {
  return reconcile(watch, {
    before: pool,
    after: pool,
    traces: [{ address: ip("10.0.0.2"), hostName: "twa" }],
    shown: [PRIMARY, shownOf(ENI)],
    primaryMac: MAC,
    nowMs: 0,
    ...more,
  });
}

const keys = ({ watch }: Reconciled): string[] => [...watch.keys()];
const decisions = ({ differences }: Reconciled): string[] => differences.map(({ decision }) => decision.kind);

describe("reconcile()", () => {
  it("has nothing to say where all agree", () => {
    const nothing = { differences: [], fresh: [], hold: [], forget: [], ask: [], survey: false };
    expect(look(POOL)).toEqual({ ...nothing, watch: new Map() });
  });

  it("takes a slot without an ENI away when two looks found it, and nobody who may use it", () => {
    const slots = [0, 4];
    const first = look(POOL, { slots });
    expect([keys(first), first.forget]).toEqual([["slot-without-eni 4"], []]);
    expect(look(POOL, { slots }, first.watch).forget).toEqual([4]);
    const unknown = [{ address: ip("10.9.9.9"), hostName: "twx" }];
    const unplaced = new Map([[ip("10.0.0.9"), { state: used("b"), slot: 4 }]]);
    const held: readonly [Pool, Partial<Views>][] = [
      [POOL, { traces: unknown }],
      [{ ...POOL, cloudSeen: false }, {}],
      [{ ...POOL, unplaced }, {}],
      [poolOf([ENI, eniOf(4, { "10.0.0.4": IDLE })]), {}],
    ];
    for (const [pool, more] of held) expect(look(pool, { slots, ...more }, first.watch).forget).toEqual([]);
  });

  it("holds back what the kernel uses and no lease has, as long as it does, and says so once", () => {
    const traces = [{ address: ip("10.0.0.1"), hostName: "twx" }];
    const first = look(POOL, { traces });
    const subject = {
      kind: "used-without-lease",
      address: "10.0.0.1",
      hostName: "twx",
      pool: "idle",
    };
    expect(first.fresh).toEqual([{ subject, decision: { kind: "hold" } }]);
    const second = look(POOL, { traces, nowMs: 60_000 }, first.watch);
    expect([second.fresh, second.hold]).toEqual([[], ["10.0.0.1"]]);
    expect(keys(look(POOL, { traces: undefined }, second.watch))).toEqual(["used-without-lease 10.0.0.1"]);
    expect(keys(look(POOL, {}, second.watch))).toEqual([]);
  });

  it("takes a pod that came or went meanwhile for no difference", () => {
    const traces = [{ address: ip("10.0.0.1"), hostName: "twx" }];
    const later = poolOf([eniOf(0, { "10.0.0.1": used("x"), "10.0.0.2": used("a") })]);
    expect(look(POOL, { traces, after: later }).hold).toEqual([]);
    expect(look(later, { traces, after: POOL }).hold).toEqual([]);
    const unknown = [{ address: ip("10.9.9.9"), hostName: "twx" }];
    expect(look(POOL, { traces: unknown }).fresh).toMatchObject([{ subject: { pool: "unknown" } }]);
  });

  it.each<[what: string, shown: readonly MetadataEni[], key: string, asked: object]>([
    [
      "lacks an address",
      [shownOf(ENI, ["10.0.0.1"])],
      "address-not-shown eni-0 10.0.0.2",
      { ask: ["eni-0"], survey: false },
    ],
    [
      "shows one more",
      [shownOf(ENI, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])],
      "address-not-known eni-0 10.0.0.3",
      { ask: ["eni-0"], survey: false },
    ],
    ["lacks an ENI", [PRIMARY], "eni-not-shown eni-0", { ask: ["eni-0"], survey: false }],
    [
      "shows an ENI more",
      [PRIMARY, shownOf(ENI), { ...shownOf(ENI), id: eniId("eni-7") }],
      "eni-not-known eni-7",
      { ask: [], survey: true },
    ],
  ])(
    "asks the API at the second look where the metadata service %s, and once more when no view can be late",
    (_, shown, key, asked) => {
      let watch: Watch = new Map();
      const said: string[][] = [];
      for (const nowMs of [0, 60_000, 120_000, ASK_AGAIN_MS + 1, ASK_AGAIN_MS + 60_000]) {
        const found = look(POOL, { shown, nowMs }, watch);
        expect(keys(found)).toEqual([key]);
        if (decisions(found).includes("ask")) expect(found).toMatchObject(asked);
        else expect(found).toMatchObject({ ask: [], survey: false });
        said.push(decisions(found));
        ({ watch } = found);
      }
      expect(said).toEqual([["wait"], ["ask"], ["leave"], ["ask"], ["leave"]]);
      expect(keys(look(POOL, { shown: undefined }, watch))).toEqual([key]);
      expect(keys(look(POOL, {}, watch))).toEqual([]);
    },
  );

  it("says nothing about an ENI whose addresses change, or that comes or goes", () => {
    const shown = [PRIMARY];
    const changed: readonly Eni[] = [
      { ...ENI, state: { kind: "detaching", sinceMs: 0, unsure: false } },
      { ...ENI, unassigning: { unsure: false, call: { tries: 0 } } },
      { ...ENI, assigning: { family: "ipv4", token: "t", count: 1, unsure: false, call: { tries: 0 } } },
    ];
    for (const eni of changed) expect(keys(look(poolOf([eni]), { shown }))).toEqual([]);
    expect(keys(look(POOL, { shown, before: poolOf([{ ...ENI }]) }))).toEqual([]);
  });

  it("reports the address of a pod that the API has said to be gone, and does not ask about it", () => {
    const attachment = { network: "terway", containerId: "a", ifName: "eth0" };
    const lost = eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": { kind: "used", attachment, lost: true } });
    const found = look(poolOf([lost]), { shown: [shownOf(lost, ["10.0.0.1"])] });
    const subject = { kind: "address-lost", eni: "eni-0", address: "10.0.0.2", attachment: "terway/a/eth0" };
    expect(found.differences).toEqual([{ subject, decision: { kind: "report" } }]);
  });
});
