import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { intToIpv4, macFromBytes } from "../../../proto/addr.ts";
import { intToIpv6 } from "../../../proto/addr6.ts";
import { eniId, securityGroupId, vSwitchId } from "../../../proto/ids.ts";
import {
  decodeCooldownRecord,
  decodeEniRecord,
  decodeLeaseRecord,
  decodeLimitsRecord,
  encodeRecord,
  type EniRecord,
} from "./records.ts";

const text = fc.string({ minLength: 1 });
const address = fc.integer({ min: 0, max: 0xffffffff }).map(intToIpv4);
const address6 = fc.bigInt(0n, 2n ** 128n - 1n).map(intToIpv6);
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => macFromBytes(bytes) ?? expect.fail("MAC"));
const common = { slot: fc.nat(), vSwitch: text.map(vSwitchId), borrowed: fc.constant(true as const) };
const creating = fc.record(
  {
    ...common,
    kind: fc.constant("creating" as const),
    request: fc.record(
      {
        token: fc.string({ minLength: 1, maxLength: 64 }),
        vSwitch: text.map(vSwitchId),
        securityGroups: fc.array(text.map(securityGroupId)),
        secondaryCount: fc.nat(49),
        count6: fc.integer({ min: 1, max: 10 }),
        tags: fc.dictionary(text, fc.string(), { noNullPrototype: true }),
        resourceGroup: text,
      },
      { requiredKeys: ["token", "vSwitch", "securityGroups", "secondaryCount", "tags"] },
    ),
  },
  { requiredKeys: ["slot", "vSwitch", "kind", "request"] },
);
const known = fc.record(
  {
    ...common,
    kind: fc.constantFrom("attaching" as const, "ready" as const, "detaching" as const, "deleting" as const),
    facts: fc.record({ id: text.map(eniId), mac, primary: address }),
    addresses: fc.array(fc.oneof(address, address6)),
    shrankAtMs: fc.nat(),
    unassigning: fc.array(fc.oneof(address, address6)),
  },
  { requiredKeys: ["slot", "vSwitch", "kind", "facts", "addresses", "unassigning"] },
);

const decoders = [decodeEniRecord, decodeLeaseRecord, decodeCooldownRecord, decodeLimitsRecord];

describe("records", () => {
  it("come back as they went", () => {
    fc.assert(
      fc.property(fc.oneof<fc.Arbitrary<EniRecord>[]>(creating, known), (value) => {
        // A key of this name is dropped by JSON readers on purpose.
        fc.pre(!("request" in value) || !Object.hasOwn(value.request.tags, "__proto__"));
        expect(decodeEniRecord(encodeRecord(value))).toEqual({ ok: true, value });
      }),
    );
    fc.assert(
      fc.property(
        fc.record(
          {
            attachment: fc.record({ network: text, containerId: text, ifName: text }),
            address,
            address6,
            slot: fc.nat(),
          },
          { requiredKeys: ["attachment", "address", "slot"] },
        ),
        (value) => {
          expect(decodeLeaseRecord(encodeRecord(value))).toEqual({ ok: true, value });
        },
      ),
    );
    for (const cooling of [intToIpv4(0x0a000001), intToIpv6(1n)]) {
      const cooldown = { address: cooling, untilMs: 1.5 };
      expect(decodeCooldownRecord(encodeRecord(cooldown))).toEqual({ ok: true, value: cooldown });
    }
    for (const limits of [{}, { enisMax: 0 }, { enisMax: 3, addressesPerEni: 15, addresses6PerEni: 1 }]) {
      const value = { instanceType: "ecs.g7.large", ...limits };
      expect(decodeLimitsRecord(encodeRecord(value))).toEqual({ ok: true, value });
    }
  });

  it("are refused by value, whatever stands there", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (json) => {
        for (const decode of decoders)
          expect(decode(json)).toMatchObject({ ok: false, fault: { kind: "store" } });
      }),
    );
  });

  it("are refused with the place of the mistake", () => {
    const good = { slot: 0, vSwitch: "vsw-a", kind: "ready", addresses: [], unassigning: [] };
    const facts = { id: "eni-1", mac: "00:16:3e:00:00:01", primary: "10.0.0.1" };
    const cases: readonly [unknown, string][] = [
      [{ ...good }, "facts: "],
      [{ ...good, facts: { ...facts, mac: "no" } }, "facts.mac: no MAC address"],
      [{ ...good, facts: { ...facts, primary: "10.0.0.01" } }, "facts.primary: no IPv4 address"],
      [{ ...good, facts, addresses: ["10.0.0.1", "x"] }, "addresses.1: no IP address"],
      [{ ...good, facts, slot: -1 }, "slot: "],
      [{ ...good, facts, kind: "linking" }, "kind: "],
    ];
    for (const [record, reason] of cases) {
      const decoded = decodeEniRecord(JSON.stringify(record));
      expect(decoded).toMatchObject({ ok: false, fault: { kind: "store", op: "read a record (ENI)" } });
      expect(decoded.ok || (decoded.fault.kind === "store" && decoded.fault.reason)).toContain(reason);
    }
  });
});
