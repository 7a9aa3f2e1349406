/**
 * The core in a world like that of the small engine: base objects, JSON and typed arrays, and nothing of the platform.
 *
 * @module
 */
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { beforeAll, describe, expect, it } from "vitest";
import { nodeUtf8 } from "../node-host.ts";
import { concatBytes, uint32Bytes } from "./bytes.ts";
import { type Begin } from "./command.ts";
import { encodeHeaders } from "./hpack.ts";
import { encodeFrame, encodeSettings } from "./http2-frames.ts";
import { type Input } from "./input.ts";
import { encodeBytes, encodeMessage } from "./protobuf.ts";

/** What JS_AddIntrinsicBaseObjects, JS_AddIntrinsicJSON and JS_AddIntrinsicTypedArrays of quickjs.h bring. */
const KEPT =
  "Object Function Error TypeError RangeError SyntaxError ReferenceError Array Number Boolean String Symbol Math " +
  "parseInt parseFloat isNaN isFinite NaN Infinity undefined globalThis JSON ArrayBuffer Uint8Array DataView";

let begin: (input: Input) => Begin;

beforeAll(async () => {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("command.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "core",
    target: "es2020",
  });
  const context = createContext({});
  // A literal /x/ needs no global, so the methods behind it go as well.
  runInContext(
    `{
      const methods = [...Object.getOwnPropertyNames(RegExp.prototype), ...Object.getOwnPropertySymbols(RegExp.prototype)];
      for (const name of methods) delete RegExp.prototype[name];
      const kept = ${JSON.stringify(KEPT.split(" "))};
      for (const name of Object.getOwnPropertyNames(globalThis)) if (!kept.includes(name)) delete globalThis[name];
    }`,
    context,
  );
  expect(runInContext("typeof RegExp + typeof Map + typeof Promise + typeof TextEncoder", context)).toBe(
    "undefined".repeat(4),
  );
  runInContext(bundle.outputFiles[0]?.text ?? "", context);
  begin = runInContext("core.begin", context);
});

function start(env: Record<string, string>, stdin: string | Uint8Array): Begin {
  const bytes = typeof stdin === "string" ? nodeUtf8.encode(stdin) : stdin;
  return begin({
    env,
    readStdin: () => ({ kind: "read", bytes }),
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  });
}

const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "K8S_POD_NAME=a",
};
const STDIN = '{"cniVersion":"0.3.1","name":"terway"}';

const OK_HEADERS = [
  { name: ":status", value: "200" },
  { name: "content-type", value: "application/grpc" },
];
/** AddReply: eth0 in the pod's namespace, with one address. */
const ADD_REPLY = concatBytes([
  encodeMessage(1, [encodeBytes(1, nodeUtf8.encode("eth0")), encodeBytes(3, nodeUtf8.encode(ENV.CNI_NETNS))]),
  encodeMessage(2, [encodeBytes(1, nodeUtf8.encode("10.0.0.5/32"))]),
]);

describe("begin() in a small engine", () => {
  it("answers without the agent", () => {
    expect(start({}, "")).toMatchObject({ kind: "done", exit: 0 });
    expect(start({ CNI_COMMAND: "VERSION" }, "{")).toMatchObject({ exit: 0 });
    for (const stdin of ['{"a":[1,2.5e3,"\\u00e9"],}', "[]", "{}", '{"name":"a","cniVersion":"7"}']) {
      expect(start(ENV, stdin), stdin).toMatchObject({ kind: "done", exit: 1 });
    }
  });

  it("talks to the agent under a host that blocks", () => {
    const call = start(ENV, STDIN);
    if (call.kind !== "call") throw new Error(call.stdout);
    const huffmanCoded302 = Uint8Array.from([0x40, 1, 0x78, 0x82, 0x64, 0x02]);
    const trailers = {
      ":status": "200",
      "content-type": "application/grpc",
      "grpc-status": "14",
      "grpc-message": "b%C3%BCsy",
      "terway-fault-bin": "ECoa",
    };
    const list = Object.entries(trailers).map(([name, value]) => ({ name, value }));
    const block = concatBytes([encodeHeaders(list), huffmanCoded302]);
    const step = call.call.feed(concatBytes([encodeSettings([]), encodeFrame(1, 5, 1, block)]));
    const stdout =
      '{"cniVersion":"0.3.1","code":11,"msg":"the terway agent is not ready: UNAVAILABLE: büsy",';
    expect(step).toMatchObject({ kind: "done", exit: 1, stdout: expect.stringContaining(stdout) });
    for (const end of [
      call.call.notTrusted(7),
      call.call.ended(),
      call.call.failed("ENOENT"),
      call.call.timedOut(),
    ]) {
      expect(end).toMatchObject({ kind: "done", exit: 1 });
    }
  });

  it("reads what is large, deep or not UTF-8", () => {
    const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "a", list: ["\ufffd", {}] });
    expect(start(ENV, stdin)).toMatchObject({ kind: "call" });
    for (const bad of ["[".repeat(100_000), '{"a":'.repeat(10_000), `{"a":"${"\\u00e9".repeat(9_000)}"`]) {
      expect(start(ENV, bad)).toMatchObject({ kind: "done", stdout: expect.stringContaining('"code":6') });
    }
    expect(start(ENV, Uint8Array.of(0x7b, 0xff))).toMatchObject({
      stdout: expect.stringContaining("line 1, column 2: a byte that is not UTF-8"),
    });
  });

  it("has CHECK, GC and STATUS", () => {
    const config = {
      cniVersion: "1.1.0",
      name: "net",
      prevResult: { interfaces: [{ name: "eth0", sandbox: ENV.CNI_NETNS }] },
      "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
    };
    for (const [CNI_COMMAND, code] of [
      ["CHECK", 11],
      ["GC", 11],
      ["STATUS", 50],
    ] as const) {
      const call = start({ ...ENV, CNI_COMMAND }, JSON.stringify(config));
      if (call.kind !== "call") throw new Error(call.stdout);
      expect(call.call.failed("ENOENT")).toMatchObject({
        kind: "done",
        stdout: expect.stringContaining(`"code":${code}`),
      });
      const answer = concatBytes([encodeSettings([]), encodeFrame(1, 4, 1, encodeHeaders(OK_HEADERS))]);
      expect(call.call.feed(answer)).toMatchObject({ kind: "more" });
      const message = encodeFrame(0, 0, 1, new Uint8Array(5));
      const end = encodeFrame(1, 5, 1, encodeHeaders([{ name: "grpc-status", value: "0" }]));
      expect(call.call.feed(concatBytes([message, end]))).toMatchObject({ exit: 0, stdout: "", stderr: "" });
    }
  });

  it("keeps a DEL", () => {
    const call = start({ ...ENV, CNI_COMMAND: "DEL", TERWAY_SPOOL_DIR: "/s/" }, STDIN);
    if (call.kind !== "call") throw new Error(call.stdout);
    const spool = call.call.failed("ECONNREFUSED");
    if (spool.kind !== "spool") throw new Error(spool.stdout);
    expect(spool).toMatchObject({ directory: "/s", name: "terway@c1@eth0.del", filesMax: 4096 });
    expect(spool.kept()).toMatchObject({ exit: 0, stdout: "" });
    expect(spool.failed("ENOSPC")).toMatchObject({ exit: 1, stdout: expect.stringContaining('"code":11') });
  });

  it("renders a result of each version", () => {
    for (const cniVersion of ["0.2.0", "0.4.0", "1.1.0"]) {
      const call = start(ENV, JSON.stringify({ cniVersion, name: "net" }));
      if (call.kind !== "call") throw new Error(call.stdout);
      const answer = [
        encodeSettings([]),
        encodeFrame(1, 4, 1, encodeHeaders(OK_HEADERS)),
        encodeFrame(0, 0, 1, concatBytes([Uint8Array.of(0), uint32Bytes(ADD_REPLY.length), ADD_REPLY])),
        encodeFrame(1, 5, 1, encodeHeaders([{ name: "grpc-status", value: "0" }])),
      ];
      expect(call.call.feed(concatBytes(answer))).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining("10.0.0.5/32"),
      });
    }
  });
});
