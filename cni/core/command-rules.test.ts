import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ADD_ENV, CONFIG, errorIn, isCall, run } from "../test-run.ts";

describe("begin() with CHECK", () => {
  const env = { ...ADD_ENV, CNI_COMMAND: "CHECK" };
  const ours = { name: "eth0", sandbox: ADD_ENV.CNI_NETNS };
  const check = (config: object) =>
    run(env, { stdin: JSON.stringify({ ...CONFIG, cniVersion: "1.0.0", ...config }) });

  it("takes the result of an ADD for this pod, whatever later plugins added", () => {
    const interfaces = [{ name: "host" }, { name: "eth0", sandbox: "/other" }, ours, { name: "net1" }];
    expect(isCall(check({ prevResult: { interfaces, routes: [{ dst: "10.0.0.0/8" }] } }))).toBe(true);
  });

  it("refuses none, and that of another pod or interface", () => {
    for (const [config, said] of [
      [{}, "prevResult: is missing"],
      [{ prevResult: null }, "prevResult: is missing"],
      [{ prevResult: 7 }, "prevResult: must be an object"],
      [{ prevResult: { interfaces: [7] } }, "prevResult.interfaces: must be a list of objects"],
      [{ prevResult: {} }, "prevResult.interfaces: has no interface eth0 in /run/netns/pod"],
      [
        { prevResult: { interfaces: [{ ...ours, sandbox: "/run/netns/other" }] } },
        "prevResult.interfaces: has no interface eth0 in /run/netns/pod",
      ],
      [
        { prevResult: { interfaces: [{ ...ours, name: "eth1" }, { name: "eth0" }] } },
        "prevResult.interfaces: has no interface eth0 in /run/netns/pod",
      ],
    ] as const) {
      const error = errorIn(check(config));
      expect(error).toMatchObject({ cniVersion: "1.0.0", code: 7, msg: expect.stringContaining(said) });
    }
  });
});

describe("begin() with GC and STATUS", () => {
  it("need no pod in the environment, and do not mind one that is malformed", () => {
    const stdin = JSON.stringify({ ...CONFIG, cniVersion: "1.1.0" });
    for (const CNI_COMMAND of ["GC", "STATUS"]) {
      expect(isCall(run({ CNI_COMMAND }, { stdin }))).toBe(true);
      const dummy = { CNI_CONTAINERID: "/", CNI_NETNS: "dummy", CNI_IFNAME: "a/b", CNI_ARGS: "x" };
      expect(isCall(run({ CNI_COMMAND, ...dummy }, { stdin }))).toBe(true);
    }
  });

  it("have deadlines of their own", () => {
    const stdin = JSON.stringify({ ...CONFIG, cniVersion: "1.1.0" });
    expect(run({ CNI_COMMAND: "STATUS" }, { stdin })).toMatchObject({ deadlineMs: 800 });
    expect(run({ CNI_COMMAND: "GC" }, { stdin })).toMatchObject({ deadlineMs: 60_000 });
  });

  it("refuses a list of which an entry cannot be read: it would be taken for stale", () => {
    for (const [list, said] of [
      [{}, "cni.dev/valid-attachments: must be a list of objects"],
      ["c1", "cni.dev/valid-attachments: must be a list of objects"],
      [[null], "cni.dev/valid-attachments: must be a list of objects"],
      [
        [{ containerID: "c1", ifname: "eth0" }, { containerID: "c2" }],
        "cni.dev/valid-attachments[1]: must have the texts containerID and ifname",
      ],
      [[{ containerID: 7, ifname: "eth0" }], "cni.dev/valid-attachments[0]: must have the texts"],
      [[{ containerID: "", ifname: "eth0" }], "cni.dev/valid-attachments[0]: must have the texts"],
    ] as const) {
      for (const key of ["cni.dev/valid-attachments", "cni.dev/attachments"]) {
        const stdin = JSON.stringify({ ...CONFIG, cniVersion: "1.1.0", [key]: list });
        const error = errorIn(run({ CNI_COMMAND: "GC" }, { stdin }));
        expect(error).toMatchObject({ code: 7, msg: expect.stringContaining(said) });
      }
    }
  });
});

describe("begin() with values of a megabyte", () => {
  it("repeats only their beginning", () => {
    const long = "x".repeat(1_000_000);
    const named = { ...CONFIG, cniVersion: "1.1.0" };
    for (const [env, config, code] of [
      [{ CNI_COMMAND: long }, {}, 4],
      [{ CNI_CONTAINERID: `${long}/` }, {}, 4],
      [{ CNI_IFNAME: long }, {}, 4],
      [{ CNI_NETNS: long }, {}, 8],
      [{ CNI_ARGS: long }, {}, 4],
      [{ CNI_ARGS: `${long}=1` }, {}, 4],
      [{ TERWAY_AGENT_SOCKET: `/${long}` }, {}, 4],
      [{ TERWAY_SPOOL_DIR: long }, {}, 4],
      [{}, { cniVersion: long }, 1],
      [{}, { name: `${long}/` }, 7],
      [{}, { agent_socket: `/${long}` }, 7],
      [{ CNI_COMMAND: "CHECK", CNI_NETNS: `/${long}` }, { prevResult: {} }, 7],
    ] as const) {
      const start = run({ ...ADD_ENV, ...env }, { stdin: JSON.stringify({ ...named, ...config }) });
      expect(errorIn(start)).toMatchObject({ code });
      expect(start.kind === "done" && start.stdout.length).toBeLessThan(1_000);
    }
    const own = run({ ...ADD_ENV, CNI_NETNS: `/${long}` }, { isOwnNetns: () => true });
    expect(String(errorIn(own)["msg"]).length).toBeLessThan(400);
  });

  it("passes them on where they are in order", () => {
    expect(isCall(run({ ...ADD_ENV, CNI_ARGS: `IgnoreUnknown=1;X=${"x".repeat(1_000_000)}` }))).toBe(true);
    expect(isCall(run({ ...ADD_ENV, CNI_CONTAINERID: "c".repeat(100_000) }))).toBe(true);
  });
});

describe("begin() with anything", () => {
  it("asks for a call or ends with one error object and one line, and never throws", () => {
    const word = fc.oneof(
      fc.constantFrom("", "ADD", "DEL", "CHECK", "GC", "STATUS", "c1", "eth0", "/n", "IgnoreUnknown=1", "1"),
      fc.string({ unit: "binary", maxLength: 20 }),
    );
    const env = fc.record(
      {
        CNI_COMMAND: fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS"),
        CNI_CONTAINERID: word,
        CNI_NETNS: word,
        CNI_IFNAME: word,
        CNI_ARGS: word,
        CNI_NETNS_OVERRIDE: word,
        TERWAY_AGENT_SOCKET: word,
        TERWAY_SPOOL_DIR: word,
        TRACEPARENT: word,
      },
      { requiredKeys: ["CNI_COMMAND"] },
    );
    const config = fc.record(
      {
        cniVersion: fc.oneof(fc.constantFrom("", "0.2.0", "0.4.0", "1.1.0"), fc.jsonValue()),
        name: fc.oneof(fc.constant("net"), fc.jsonValue()),
        prevResult: fc.oneof(
          fc.record({ interfaces: fc.constant([{ name: "eth0", sandbox: "/n" }]) }),
          fc.jsonValue(),
        ),
        agent_socket: fc.oneof(fc.constant("/s"), fc.jsonValue()),
        spool_dir: fc.oneof(fc.constant("/d"), fc.jsonValue()),
        "cni.dev/valid-attachments": fc.oneof(
          fc.constant([{ containerID: "c", ifname: "e" }]),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    );
    const bytes = fc.oneof(
      config.map((value) => new TextEncoder().encode(JSON.stringify(value))),
      fc.uint8Array(),
    );
    let calls = 0;
    fc.assert(
      fc.property(env, bytes, (variables, stdin) => {
        const start = run(variables, { readStdin: () => ({ kind: "read", bytes: stdin }) });
        if (start.kind === "done") expect(errorIn(start)).toMatchObject({ code: expect.any(Number) });
        else calls += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(calls).toBeGreaterThan(0);
  });
});
