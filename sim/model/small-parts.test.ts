import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAgenda } from "./agenda.ts";
import { lookUpToken, noteToken, type TokenBook } from "./idempotency.ts";
import { isoMinutes, isoSeconds } from "./iso-time.ts";
import { businessParameters, canonicalParameters, listParameter, tagParameters } from "./parameters.ts";
import { globMatches, judge, type RamPolicy } from "./ram-policy.ts";
import { seededRandom } from "./random.ts";
import { admit, type ThrottleWindows } from "./throttle.ts";

describe("isoSeconds()", () => {
  it("agrees with the calendar of the language", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (epochMs) => {
        const text = new Date(epochMs).toISOString();
        expect(isoSeconds(epochMs)).toBe(`${text.slice(0, 19)}Z`);
        expect(isoMinutes(epochMs)).toBe(`${text.slice(0, 16)}Z`);
      }),
    );
  });
});

describe("createAgenda()", () => {
  it("hands out in the order of time, then of insertion", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20)), (times) => {
        const agenda = createAgenda();
        const ran: (readonly [number, number])[] = [];
        times.forEach((dueMs, index) => agenda.at(dueMs, () => ran.push([dueMs, index])));
        expect(agenda.nextDueMs()).toBe(times.length === 0 ? undefined : Math.min(...times));
        for (let due = agenda.takeDue(20); due !== undefined; due = agenda.takeDue(20)) due.run();
        const expected = times.map((dueMs, index) => [dueMs, index] as const);
        expect(ran).toEqual(expected.toSorted(([a, i], [b, j]) => a - b || i - j));
        expect(agenda.nextDueMs()).toBeUndefined();
      }),
    );
  });

  it("keeps what is not due", () => {
    const agenda = createAgenda();
    agenda.at(5, () => undefined);
    expect(agenda.takeDue(4.9)).toBeUndefined();
    expect(agenda.takeDue(5)?.dueMs).toBe(5);
  });
});

function draw(seed: number): readonly number[] {
  const random = seededRandom(seed);
  return Array.from({ length: 5 }, () => random.unit());
}

describe("seededRandom()", () => {
  it("repeats itself for a seed, and differs between seeds", () => {
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it("stays in its range and reaches both ends", () => {
    const random = seededRandom(3);
    const drawn = Array.from({ length: 1000 }, () => random.between(-2, 2));
    expect([...new Set(drawn)].toSorted((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  });
});

describe("globMatches()", () => {
  it("agrees with the regular expression of the same meaning", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", ":"), maxLength: 12 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", ":", "*", "?"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (glob, value) => {
        const expression = new RegExp(`^${glob.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        expect(globMatches(glob, value)).toBe(expression.test(value));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("judge()", () => {
  const policy: RamPolicy = {
    Statement: [
      { Effect: "Allow", Action: ["ecs:Describe*", "ecs:CreateNetworkInterface"], Resource: "*" },
      { Effect: "Allow", Action: "ecs:Delete*", Resource: ["acs:ecs:*:*:eni/eni-1"] },
      { Effect: "Deny", Action: "ecs:DescribeInstances", Resource: "*" },
    ],
  };

  it.each([
    ["ecs:DescribeNetworkInterfaces", "*", "Allow"],
    ["ecs:createnetworkinterface", "*", "Allow"],
    ["ecs:DescribeInstances", "*", "ExplicitDeny"],
    ["ecs:AttachNetworkInterface", "*", "ImplicitDeny"],
    ["vpc:DescribeVSwitches", "*", "ImplicitDeny"],
    ["ecs:DeleteNetworkInterface", "acs:ecs:cn-hangzhou:1:eni/eni-1", "Allow"],
    ["ecs:DeleteNetworkInterface", "acs:ecs:cn-hangzhou:1:eni/eni-2", "ImplicitDeny"],
  ])("%s on %s: %s", (action, resource, verdict) => {
    expect(judge(policy, action, resource)).toBe(verdict);
  });
});

describe("admit()", () => {
  it("admits the quota of each minute and action, and says when the next minute begins", () => {
    const windows: ThrottleWindows = new Map();
    const call = (atMs: number): number | undefined => admit(windows, "AttachNetworkInterface", 2, atMs);
    expect([call(60_000), call(119_000), call(119_500), call(120_000)]).toEqual([
      undefined,
      undefined,
      500,
      undefined,
    ]);
    expect(admit(windows, "DetachNetworkInterface", 1, 119_000)).toBeUndefined();
    expect(windows.get("AttachNetworkInterface")).toEqual({ window: 2, admitted: 1, exceeded: 1 });
  });
});

describe("lookUpToken()", () => {
  it("knows new, pending, other and done, for a day", () => {
    const book: TokenBook = new Map();
    expect(lookUpToken(book, "t", "p", 0)).toEqual({ kind: "new" });
    noteToken(book, "t", "p", 0);
    expect(lookUpToken(book, "t", "p", 1)).toEqual({ kind: "pending" });
    expect(lookUpToken(book, "t", "q", 1)).toEqual({ kind: "mismatch" });
    noteToken(book, "t", "p", 1, { a: 1 });
    expect(lookUpToken(book, "t", "p", 2)).toEqual({ kind: "done", body: { a: 1 } });
    expect(lookUpToken(book, "t", "p", 24 * 3_600_000 + 2)).toEqual({ kind: "new" });
  });

  it("forgets the oldest of too many", () => {
    const book: TokenBook = new Map();
    for (let index = 0; index <= 10_000; index++) noteToken(book, `t${index}`, "p", 0);
    expect([book.size, book.has("t0"), book.has("t1")]).toEqual([10_000, false, true]);
  });
});

describe("parameters", () => {
  it("leaves out what belongs to the signature", () => {
    const sent = {
      Action: "A",
      Version: "V",
      Format: "JSON",
      AccessKeyId: "K",
      SecurityToken: "S",
      Timestamp: "T",
      Signature: "s",
      SignatureMethod: "m",
      SignatureNonce: "n",
      SignatureType: "",
      SignatureVersion: "1.0",
      RegionId: "r",
    };
    expect(businessParameters(sent)).toEqual({ RegionId: "r" });
  });

  it("are the same in any order, the token apart", () => {
    expect(canonicalParameters({ b: "2", a: "1", ClientToken: "x" })).toBe(
      canonicalParameters({ a: "1", b: "2" }),
    );
    expect(canonicalParameters({ a: "1" })).not.toBe(canonicalParameters({ a: "2" }));
  });

  it("read lists by their numbers", () => {
    expect(
      listParameter({ "A.10": "j", "A.2": "b", "A.1": "a", "A.0": "-", "A.x": "-", "AB.1": "-" }, "A"),
    ).toEqual(["a", "b", "j"]);
    expect(tagParameters({ "Tag.2.Key": "k2", "Tag.1.Key": "k1", "Tag.1.Value": "v1" })).toEqual([
      { key: "k1", value: "v1" },
      { key: "k2", value: "" },
    ]);
  });
});
