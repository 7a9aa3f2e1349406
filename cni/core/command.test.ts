import { describe, expect, it } from "vitest";
import { crashed } from "./command.ts";
import { decodeHeaders } from "./hpack.ts";
import { takeFrame } from "./http2-frames.ts";
import { ADD_ENV, ALL_VERSIONS, CONFIG, errorIn, isCall, run } from "../test-run.ts";

function isOwnNetns(path: string): boolean {
  return path === ADD_ENV.CNI_NETNS;
}

function neverRead(): never {
  throw new Error("stdin was read");
}

describe("begin() without a command", () => {
  it("says on stderr what it is, does not read stdin and succeeds", () => {
    const start = run({}, { readStdin: neverRead });
    expect(start).toEqual({
      kind: "done",
      exit: 0,
      stdout: "",
      stderr:
        "terway: CNI plugin for Alibaba Cloud; a container runtime runs it with CNI_COMMAND set\n" +
        "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
    });
  });
});

describe("begin() with a wrong environment", () => {
  it("refuses an unknown command", () => {
    for (const command of ["add", "UPDATE", " ADD"]) {
      expect(errorIn(run({ ...ADD_ENV, CNI_COMMAND: command }))).toMatchObject({
        code: 4,
        msg: `"${command}" is not a CNI command: CNI_COMMAND`,
      });
    }
  });

  it("names all missing variables at once", () => {
    const missing: readonly (readonly [string, string])[] = [
      ["ADD", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"],
      ["CHECK", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"],
      ["DEL", "CNI_CONTAINERID, CNI_IFNAME"],
    ];
    for (const [command, names] of missing) {
      expect(errorIn(run({ CNI_COMMAND: command }))).toEqual({
        cniVersion: "1.1.0",
        code: 4,
        msg: `required environment variables are missing: ${names}`,
        details: "call the plugin as a CNI runtime does (CNI SPEC.md 1.1.0, section 2)",
      });
    }
  });

  it("needs neither CNI_PATH nor CNI_ARGS, and for DEL no CNI_NETNS", () => {
    expect(isCall(run(ADD_ENV))).toBe(true);
    expect(isCall(run({ ...ADD_ENV, CNI_COMMAND: "DEL", CNI_NETNS: undefined }))).toBe(true);
    expect(isCall(run({ ...ADD_ENV, CNI_COMMAND: "DEL", CNI_NETNS: "" }))).toBe(true);
  });

  it("takes container ids by the rule of the specification", () => {
    for (const id of ["a", "0", "A_b.c-9", "f".repeat(64)]) {
      expect(isCall(run({ ...ADD_ENV, CNI_CONTAINERID: id })), id).toBe(true);
    }
    for (const id of ["-a", ".a", "_a", "a/b", "a b", "ä", "a\n", "a:b"]) {
      expect(errorIn(run({ ...ADD_ENV, CNI_CONTAINERID: id })), id).toMatchObject({ code: 4 });
    }
  });

  it("takes interface names by the rule of the kernel", () => {
    for (const name of ["e", "eth0", "123456789012345", "ä1234567890123", "..."]) {
      expect(isCall(run({ ...ADD_ENV, CNI_IFNAME: name })), name).toBe(true);
    }
    for (const name of [
      ".",
      "..",
      "a/b",
      "a:b",
      "a b",
      "a\tb",
      "a\u00a0b",
      "1234567890123456",
      "ä12345678901234",
    ]) {
      for (const CNI_COMMAND of ["ADD", "DEL", "CHECK"]) {
        const error = errorIn(run({ ...ADD_ENV, CNI_COMMAND, CNI_IFNAME: name }));
        expect(error, name).toMatchObject({ code: 4, msg: expect.stringContaining("CNI_IFNAME") });
      }
    }
  });

  it("takes CNI_ARGS that are known, or of which the caller says that the unknown do not matter", () => {
    const containerd =
      "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u";
    for (const args of ["", containerd, "K8S_POD_NAME=a", "X=1;IgnoreUnknown=true", "K8S_POD_NAME=a=b"]) {
      expect(isCall(run({ ...ADD_ENV, CNI_ARGS: args })), args).toBe(true);
    }
    for (const [args, said] of [
      ["K8S_POD_NAME", 'the pair "K8S_POD_NAME"'],
      ["IgnoreUnknown=1;", 'the pair ""'],
      ["=x", 'the pair "=x"'],
      ["X=1;Y=2", "keys that are not known (X, Y)"],
      ["X=1;IgnoreUnknown=0", "keys that are not known (X)"],
    ] as const) {
      const error = errorIn(run({ ...ADD_ENV, CNI_ARGS: args }));
      expect(error, args).toMatchObject({ code: 4, msg: expect.stringContaining(said) });
      expect(isCall(run({ ...ADD_ENV, CNI_COMMAND: "DEL", CNI_ARGS: args })), args).toBe(true);
    }
  });

  it("refuses the namespace it runs in, unless told otherwise, and a path that is not absolute", () => {
    for (const CNI_COMMAND of ["ADD", "DEL"]) {
      const env = { ...ADD_ENV, CNI_COMMAND };
      expect(errorIn(run(env, { isOwnNetns }))).toEqual({
        cniVersion: "0.3.0",
        code: 8,
        msg: "CNI_NETNS /run/netns/pod: is the namespace that the plugin itself runs in",
        details: "give the path of a network namespace that exists, such as /run/netns/NAME",
      });
      expect(isCall(run({ ...env, CNI_NETNS_OVERRIDE: "1" }, { isOwnNetns }))).toBe(true);
      expect(isCall(run({ ...env, CNI_NETNS_OVERRIDE: "TRUE" }, { isOwnNetns }))).toBe(true);
      expect(errorIn(run({ ...env, CNI_NETNS_OVERRIDE: "0" }, { isOwnNetns }))).toMatchObject({ code: 8 });
    }
    expect(errorIn(run({ ...ADD_ENV, CNI_NETNS: "netns/pod" }))).toMatchObject({ code: 8 });
  });
});

describe("begin() with a wrong configuration", () => {
  const refused: readonly (readonly [string, number, string])[] = [
    ["", 6, "line 1, column 1: expected a value, found the end of the text"],
    ['{\n  "name": "n",\n}', 6, "line 2, column 14: a comma before '}'"],
    ["[]", 7, "(the whole): must be an object"],
    ['"x"', 7, "(the whole): must be an object"],
    ["null", 7, "(the whole): must be an object"],
    ['{"cniVersion":"1.0.0"}', 7, "name: is missing"],
    ['{"cniVersion":"1.0.0","name":""}', 7, "name: is missing"],
    ['{"cniVersion":"1.0.0","name":7}', 7, "name: is missing or is not a text"],
    ['{"cniVersion":"1.0.0","name":"a/b"}', 7, "name: must begin with"],
    ['{"cniVersion":"1.0.0","name":"-a"}', 7, "name: must begin with"],
    ['{"cniVersion":1,"name":"a"}', 7, "cniVersion: must be a text"],
    ['{"cniVersion":"1.0.0","name":"a","agent_socket":7}', 7, "agent_socket: must be a text"],
    [
      '{"cniVersion":"1.0.0","name":"a","agent_socket":"a.sock"}',
      7,
      "agent_socket: must be an absolute path",
    ],
    [
      `{"cniVersion":"1.0.0","name":"a","agent_socket":"/${"a".repeat(107)}"}`,
      7,
      "agent_socket: must not be longer",
    ],
    ['{"cniVersion":"1.0.0","name":"a","agent_socket":"/a\\u0000"}', 7, "agent_socket: must not contain"],
  ];

  it("says what is wrong, for every command that reads it", () => {
    for (const [stdin, code, said] of refused) {
      for (const CNI_COMMAND of ["ADD", "DEL"]) {
        const error = errorIn(run({ ...ADD_ENV, CNI_COMMAND }, { stdin }));
        expect(error, stdin).toMatchObject({ code, msg: expect.stringContaining(said) });
      }
    }
    for (const CNI_COMMAND of ["CHECK", "GC", "STATUS"]) {
      const stdin = '{"cniVersion":"1.1.0"}';
      expect(errorIn(run({ ...ADD_ENV, CNI_COMMAND }, { stdin }))).toMatchObject({ code: 7 });
    }
  });

  it("tells of a stdin that cannot be read", () => {
    expect(errorIn(run(ADD_ENV, { readStdin: () => ({ kind: "failed", reason: "EIO" }) }))).toEqual({
      cniVersion: "1.1.0",
      code: 5,
      msg: "cannot read the network configuration from stdin: EIO",
      details: "call the plugin as a CNI runtime does (CNI SPEC.md 1.1.0, section 2)",
    });
  });

  it("refuses a prevResult that is no result for ADD, and does not look at it for DEL", () => {
    for (const [prevResult, key] of [
      [7, "prevResult"],
      [{ interfaces: {} }, "prevResult.interfaces"],
      [{ ips: [1] }, "prevResult.ips"],
      [{ routes: "" }, "prevResult.routes"],
    ] as const) {
      const stdin = JSON.stringify({ ...CONFIG, prevResult });
      const error = errorIn(run(ADD_ENV, { stdin }));
      expect(error).toMatchObject({
        cniVersion: "0.3.0",
        code: 7,
        msg: expect.stringContaining(`: ${key}: `),
      });
      expect(isCall(run({ ...ADD_ENV, CNI_COMMAND: "DEL" }, { stdin }))).toBe(true);
    }
  });

  it("does not mind keys it does not know", () => {
    expect(isCall(run(ADD_ENV, { stdin: JSON.stringify({ ...CONFIG, foo: { bar: 1 } }) }))).toBe(true);
  });
});

describe("begin() and versions", () => {
  it("takes each supported version and no other, and names both sides", () => {
    for (const CNI_COMMAND of ["ADD", "DEL"]) {
      const env = { ...ADD_ENV, CNI_COMMAND };
      for (const cniVersion of ALL_VERSIONS) {
        expect(isCall(run(env, { stdin: JSON.stringify({ ...CONFIG, cniVersion }) })), cniVersion).toBe(true);
      }
      for (const cniVersion of ["0.0.1", "0.5.0", "1.2.0", "2.0.0", "1.0", "latest"]) {
        expect(errorIn(run(env, { stdin: JSON.stringify({ ...CONFIG, cniVersion }) }))).toEqual({
          cniVersion: "1.1.0",
          code: 1,
          msg: `cniVersion "${cniVersion}" is not supported`,
          details: `${CNI_COMMAND} with cniVersion "${cniVersion}": use one of ${ALL_VERSIONS.join(", ")}`,
        });
      }
    }
  });

  it("reads a missing or empty version as 0.1.0", () => {
    for (const stdin of ['{"name":"a"}', '{"name":"a","cniVersion":""}', '{"name":"a","cniVersion":null}']) {
      expect(isCall(run(ADD_ENV, { stdin })), stdin).toBe(true);
      const error = errorIn(run({ ...ADD_ENV, CNI_COMMAND: "STATUS" }, { stdin }));
      expect(error).toMatchObject({
        cniVersion: "0.1.0",
        code: 1,
        msg: 'cniVersion "0.1.0" is not supported',
        details: 'STATUS with cniVersion "0.1.0": use one of 1.1.0',
      });
    }
  });

  it("refuses CHECK, GC and STATUS in the versions that do not have them", () => {
    const first = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };
    const prevResult = { interfaces: [{ name: "eth0", sandbox: ADD_ENV.CNI_NETNS }] };
    for (const [CNI_COMMAND, since] of Object.entries(first)) {
      for (const [index, cniVersion] of ALL_VERSIONS.entries()) {
        const stdin = JSON.stringify({ ...CONFIG, cniVersion, prevResult });
        const start = run({ ...ADD_ENV, CNI_COMMAND }, { stdin });
        if (index >= ALL_VERSIONS.indexOf(since)) expect(isCall(start), CNI_COMMAND).toBe(true);
        else expect(errorIn(start), `${CNI_COMMAND} ${cniVersion}`).toMatchObject({ cniVersion, code: 1 });
      }
    }
  });

  it("answers VERSION to anybody, in the caller's version where it can", () => {
    for (const [stdin, cniVersion] of [
      ['{"cniVersion":"0.4.0"}', "0.4.0"],
      ['{"cniVersion":"9.9.9"}', "1.1.0"],
      ["garbage {", "1.1.0"],
      ["[1]", "1.1.0"],
      ["", "1.1.0"],
    ] as const) {
      const done = run({ CNI_COMMAND: "VERSION", CNI_NETNS: "dummy", CNI_IFNAME: "a/b" }, { stdin });
      const stdout = `${JSON.stringify({ cniVersion, supportedVersions: ALL_VERSIONS })}\n`;
      expect(done).toEqual({ kind: "done", exit: 0, stdout, stderr: "" });
    }
    const unreadable = run(
      { CNI_COMMAND: "VERSION" },
      { readStdin: () => ({ kind: "failed", reason: "EIO" }) },
    );
    expect(unreadable).toMatchObject({ kind: "done", exit: 0 });
  });
});

describe("begin() with all in order", () => {
  it("asks for a call with the deadline of its command and the socket of the configuration, environment, default", () => {
    const named = { stdin: JSON.stringify({ ...CONFIG, agent_socket: "/a.sock" }) };
    const variable = { TERWAY_AGENT_SOCKET: "/b.sock" };
    const plain = run(ADD_ENV);
    expect(plain).toMatchObject({ socketPath: "/var/run/terway/agent.sock", deadlineMs: 99_000 });
    expect(run({ ...ADD_ENV, CNI_COMMAND: "DEL" })).toMatchObject({ kind: "call", deadlineMs: 7_500 });
    expect(run({ ...ADD_ENV, ...variable })).toMatchObject({ socketPath: "/b.sock" });
    expect(run({ ...ADD_ENV, ...variable }, named)).toMatchObject({ socketPath: "/a.sock" });
    const wrong = run({ ...ADD_ENV, TERWAY_AGENT_SOCKET: "b.sock" });
    expect(errorIn(wrong)).toMatchObject({
      code: 4,
      msg: '"b.sock" must be an absolute path: TERWAY_AGENT_SOCKET',
    });
  });

  it("passes the trace context on, except what is no header value", () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const env = { ...ADD_ENV, TRACEPARENT: traceparent, TRACESTATE: "a=1\r\nx: y", BAGGAGE: "k=v" };
    const start = run(env);
    if (start.kind !== "call") throw new Error("no call");
    // Preface, then SETTINGS, WINDOW_UPDATE, HEADERS.
    let rest = start.call.opening.subarray(24);
    for (let frames = 0; ; frames += 1) {
      const taken = takeFrame(rest);
      if (taken.kind !== "frame" || frames > 5) throw new Error("no HEADERS");
      rest = taken.rest;
      if (taken.frame.type !== 1) continue;
      expect(decodeHeaders(taken.frame.payload)).toEqual({
        ok: true,
        value: [
          { name: ":method", value: "POST" },
          { name: ":scheme", value: "http" },
          { name: ":path", value: "/terway.agent.v1.Agent/Add" },
          { name: ":authority", value: "localhost" },
          { name: "te", value: "trailers" },
          { name: "content-type", value: "application/grpc" },
          { name: "user-agent", value: "terway-cni" },
          { name: "grpc-timeout", value: "99000m" },
          { name: "traceparent", value: traceparent },
          { name: "baggage", value: "k=v" },
        ],
      });
      return;
    }
  });
});

describe("crashed()", () => {
  it("is an error object all the same", () => {
    expect(errorIn(crashed("boom"))).toMatchObject({ code: 999, msg: "internal error: boom" });
  });
});
