/**
 * The end of a run for each way in which the agent can answer, or not answer, each command.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { decodeSpooled } from "../../proto/spool.ts";
import { nodeUtf8 } from "../node-host.ts";
import { type AgentCall } from "./agent-call.ts";
import { concatBytes, uint32Bytes } from "./bytes.ts";
import { begin } from "./command.ts";
import { type End } from "./done.ts";
import { encodeHeaders } from "./hpack.ts";
import { encodeFrame, encodeSettings, takeFrame } from "./http2-frames.ts";
import { encodeBytes, encodeUint, readFields, type Field } from "./protobuf.ts";

const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;
type Command = (typeof COMMANDS)[number];

const ENV = { CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/pod", CNI_IFNAME: "eth0" };
const CONFIG = {
  cniVersion: "1.1.0",
  name: "net",
  prevResult: { interfaces: [{ name: "eth0", sandbox: "/run/netns/pod" }] },
};
const FILE = "/var/lib/terway/spool/net@c1@eth0.del";

function open(command: Command, env: object = {}, config: object = {}): AgentCall {
  const start = begin({
    env: { CNI_COMMAND: command, ...ENV, ...env },
    readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(JSON.stringify({ ...CONFIG, ...config })) }),
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  });
  if (start.kind !== "call") throw new Error(start.stdout);
  return start.call;
}

/** What the agent sends: headers and message, then trailers. */
function reply(message: Uint8Array, trailers: Readonly<Record<string, string>>): Uint8Array {
  return concatBytes([
    encodeSettings([]),
    encodeFrame(1, 4, 1, headerBlock({ ":status": "200", "content-type": "application/grpc" })),
    encodeFrame(0, 0, 1, concatBytes([Uint8Array.of(0), uint32Bytes(message.length), message])),
    encodeFrame(1, 5, 1, headerBlock(trailers)),
  ]);
}

function headerBlock(fields: Readonly<Record<string, string>>): Uint8Array {
  return encodeHeaders(Object.entries(fields).map(([name, value]) => ({ name, value })));
}

function answered(call: AgentCall, message: Uint8Array, trailers: object = {}): End {
  return ended(call.feed(reply(message, { "grpc-status": "0", ...trailers })));
}

function refusedBy(call: AgentCall, status: number, fault?: Uint8Array): End {
  const trailers = {
    "grpc-status": `${status}`,
    "grpc-message": "words",
    ...(fault && { "terway-fault-bin": Buffer.from(fault).toString("base64") }),
  };
  return ended(call.feed(reply(new Uint8Array(0), trailers)));
}

function ended(step: ReturnType<AgentCall["feed"]>): End {
  if (step.kind === "more") throw new Error("the call goes on");
  return step;
}

function agentFault(kind: string, code: number, message = "what happened"): Uint8Array {
  return concatBytes([
    textField(1, kind),
    encodeUint(2, code),
    textField(3, message),
    textField(4, "what to do"),
  ]);
}

function textField(field: number, words: string): Uint8Array {
  return encodeBytes(field, nodeUtf8.encode(words));
}

function errorIn(end: End): Record<string, unknown> {
  if (end.kind !== "done") throw new Error("the DEL was kept");
  expect(end.exit).toBe(1);
  expect(end.stderr.split("\n")).toHaveLength(2);
  return JSON.parse(end.stdout);
}

/** The agent was not heard: each way in which that can be. */
const UNHEARD: readonly (readonly [string, (call: AgentCall) => End, string])[] = [
  ["ENOENT", (call) => call.failed("ENOENT"), "there is no such socket (ENOENT)"],
  ["ECONNREFUSED", (call) => call.failed("ECONNREFUSED"), "nobody listens on the socket (ECONNREFUSED)"],
  ["EACCES", (call) => call.failed("EACCES"), "the plugin may not use the socket (EACCES)"],
  ["EPIPE", (call) => call.failed("EPIPE"), "it broke the connection off before it answered (EPIPE)"],
  ["EAGAIN", (call) => call.failed("EAGAIN"), "too many calls wait for it already (EAGAIN)"],
  ["EIO", (call) => call.failed("EIO"), ": EIO"],
  ["closed", (call) => call.ended(), "it closed the connection before it answered"],
  ["late", (call) => call.timedOut(), "took longer than"],
  ["owner", (call) => call.notTrusted(1000), "the socket belongs to user 1000, who is not trusted"],
  ["CANCELLED", (call) => refusedBy(call, 1), "CANCELLED: words"],
  ["DEADLINE_EXCEEDED", (call) => refusedBy(call, 4), "cause: DEADLINE_EXCEEDED: words"],
  ["UNAVAILABLE", (call) => refusedBy(call, 14), "UNAVAILABLE: words"],
  ["starting", (call) => refusedBy(call, 14, agentFault("not-ready", 11)), "what happened"],
  [
    "reset",
    (call) => ended(call.feed(concatBytes([encodeSettings([]), encodeFrame(3, 0, 1, uint32Bytes(8))]))),
    "the call was reset",
  ],
];

describe("openAgentCall() and an agent that is not there", () => {
  it("fails with code 11 for ADD, CHECK and GC, and with 50 for STATUS", () => {
    for (const command of ["ADD", "CHECK", "GC", "STATUS"] as const) {
      for (const [way, end, said] of UNHEARD) {
        const error = errorIn(end(open(command)));
        expect(error, `${command} ${way}`).toMatchObject({
          cniVersion: "1.1.0",
          code: command === "STATUS" ? 50 : 11,
          msg: expect.stringContaining(said),
        });
        expect(error["details"], `${command} ${way}`).not.toBe("");
      }
    }
  });

  it("keeps a DEL, and then succeeds without a word on standard output", () => {
    for (const [way, end, said] of UNHEARD) {
      const kept = end(open("DEL"));
      if (kept.kind !== "spool") throw new Error(`${way}: ${kept.stdout}`);
      const { directory, name, text, filesMax } = kept;
      expect({ file: `${directory}/${name}`, filesMax }).toEqual({ file: FILE, filesMax: 4096 });
      expect(decodeSpooled(text)).toEqual({
        ok: true,
        value: {
          attachment: { network: "net", containerId: "c1", ifName: "eth0" },
          netns: "/run/netns/pod",
        },
      });
      const done = kept.kept();
      expect(done, way).toMatchObject({ kind: "done", exit: 0, stdout: "" });
      expect(done.stderr, way).toMatch(/^terway: DEL: kept for the agent in [^\n]*\n$/);
      expect(done.stderr).toContain(FILE);
      expect(done.stderr).toContain(said);
    }
  });
});

describe("openAgentCall() and an agent that answers", () => {
  it("prints nothing for DEL, CHECK, GC and STATUS", () => {
    for (const command of ["DEL", "CHECK", "GC", "STATUS"] as const) {
      expect(answered(open(command), new Uint8Array(0)), command).toEqual({
        kind: "done",
        exit: 0,
        stdout: "",
        stderr: "",
      });
    }
  });

  it("repeats the agent's fault, also for DEL", () => {
    for (const command of COMMANDS) {
      const fault = agentFault("kernel", 100, "two\nlines");
      const error = errorIn(refusedBy(open(command), 13, fault));
      expect(error, command).toEqual(
        command === "STATUS"
          ? {
              cniVersion: "1.1.0",
              code: 50,
              msg: "a new pod could not be served: two\nlines",
              details: "what to do",
            }
          : { cniVersion: "1.1.0", code: 100, msg: "two\nlines", details: "what to do" },
      );
    }
  });

  it("gives the two answers of STATUS as they are", () => {
    for (const [kind, code] of [
      ["cannot-serve", 50],
      ["pods-affected", 51],
    ] as const) {
      const error = errorIn(refusedBy(open("STATUS"), 14, agentFault(kind, code)));
      expect(error).toEqual({ cniVersion: "1.1.0", code, msg: "what happened", details: "what to do" });
    }
  });

  it("does not keep a DEL that somebody refuses who is no agent, or another one", () => {
    for (const [end, code] of [
      [(call: AgentCall) => ended(call.feed(nodeUtf8.encode("HTTP/1.1 400 Bad Request\r\n"))), 101],
      [(call: AgentCall) => refusedBy(call, 12), 101],
      [(call: AgentCall) => refusedBy(call, 2), 999],
    ] as const) {
      expect(errorIn(end(open("DEL")))).toMatchObject({ code });
      expect(errorIn(end(open("STATUS")))).toMatchObject({ code: 50 });
    }
  });

  it("cuts what the agent says to a length for people", () => {
    const fault = agentFault("kernel", 100, "x".repeat(9_000));
    const error = errorIn(refusedBy(open("ADD"), 13, fault));
    expect(error["msg"]).toBe(`${"x".repeat(4_000)}…`);
  });

  it("shows the agent's timing where it is asked for, on one line of standard error", () => {
    const timing = { "terway-timing": "wait;dur=0.1, total;dur=1.8" };
    const shown = open("DEL", { TERWAY_TIMING: "1" });
    expect(answered(shown, new Uint8Array(0), timing)).toEqual({
      kind: "done",
      exit: 0,
      stdout: "",
      stderr: "terway: DEL: wait;dur=0.1, total;dur=1.8\n",
    });
    for (const [env, trailers] of [
      [{ TERWAY_TIMING: "1" }, {}],
      [{ TERWAY_TIMING: "0" }, timing],
      [{}, timing],
    ]) {
      expect(answered(open("DEL", env), new Uint8Array(0), trailers)).toMatchObject({ stderr: "" });
    }
  });
});

/** The message that `call` sends, behind the prefix of gRPC: the DATA frames of its opening. */
function messageOf(call: AgentCall): readonly Field[] {
  const parts: Uint8Array[] = [];
  // The preface has 24 bytes.
  for (let rest = call.opening.subarray(24); rest.length > 0;) {
    const taken = takeFrame(rest);
    if (taken.kind !== "frame") throw new Error(taken.kind);
    if (taken.frame.type === 0) parts.push(taken.frame.payload);
    rest = taken.rest;
  }
  const fields = readFields(concatBytes(parts).subarray(5));
  if (!fields.ok) throw new Error(fields.fault);
  return fields.value;
}

function textsIn(message: Uint8Array): readonly string[] {
  const inner = readFields(message);
  if (!inner.ok) throw new Error(inner.fault);
  return inner.value.map((field) => (field.kind === "bytes" ? nodeUtf8.decode(field.bytes) : field.kind));
}

/** The attachments of a GcRequest, and whether it says that there was a list. */
function gcOf(call: AgentCall): unknown {
  const fields = messageOf(call);
  return {
    network: fields.flatMap((field) =>
      field.number === 2 && field.kind === "bytes" ? [nodeUtf8.decode(field.bytes)] : [],
    ),
    given: fields.some((field) => field.number === 3 && field.kind === "varint" && field.value === 1),
    attachments: fields.flatMap((field) =>
      field.number === 4 && field.kind === "bytes" ? [textsIn(field.bytes)] : [],
    ),
  };
}

describe("openAgentCall() and the list of GC", () => {
  const [valid, older] = ["cni.dev/valid-attachments", "cni.dev/attachments"];
  const one = [{ containerID: "c1", ifname: "eth0", extra: 1 }];

  it("tells a list, an empty one and none apart, by either name", () => {
    const network = ["net"];
    for (const [config, expected] of [
      [{}, { given: false, attachments: [] }],
      [{ [valid]: null }, { given: false, attachments: [] }],
      [{ [older]: null }, { given: false, attachments: [] }],
      [{ [valid]: [] }, { given: true, attachments: [] }],
      [{ [older]: [] }, { given: true, attachments: [] }],
      [{ [valid]: one }, { given: true, attachments: [["net", "c1", "eth0"]] }],
      [{ [older]: one }, { given: true, attachments: [["net", "c1", "eth0"]] }],
      [
        { [valid]: one, [older]: [] },
        { given: true, attachments: [["net", "c1", "eth0"]] },
      ],
      [
        { [valid]: null, [older]: one },
        { given: true, attachments: [["net", "c1", "eth0"]] },
      ],
    ] as const) {
      const pod = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined };
      expect(gcOf(open("GC", pod, config)), JSON.stringify(config)).toEqual({ network, ...expected });
    }
  });

  it("sends thousands", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({ containerID: `c${index}`, ifname: "eth0" }));
    // Beyond the windows of a new connection the rest is sent later: what stands in the opening is whole frames.
    expect(open("GC", {}, { [valid]: many }).opening.length).toBeGreaterThan(65_535);
  });
});

describe("openAgentCall() and STATUS", () => {
  it("sends the call alone", () => {
    expect(messageOf(open("STATUS")).map(({ number }) => number)).toEqual([1]);
  });
});
