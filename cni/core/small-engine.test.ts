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
import { concatBytes } from "./bytes.ts";
import { type Begin } from "./command.ts";
import { encodeHeaders } from "./hpack.ts";
import { encodeFrame, encodeSettings } from "./http2-frames.ts";
import { type Input } from "./input.ts";

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

function start(env: Record<string, string>, stdin: string): Begin {
  return begin({
    env,
    readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(stdin) }),
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
    for (const end of [call.call.ended(), call.call.failed("ENOENT"), call.call.timedOut()]) {
      expect(end).toMatchObject({ kind: "done", exit: 1 });
    }
  });
});
