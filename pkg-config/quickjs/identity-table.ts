/**
 * Inputs of the plugin for which both of its programs have to answer alike: each rule of the input, at its borders.
 *
 * @module
 */
import { SUPPORTED_VERSIONS } from "../../cni/core/version.ts";
import { type Given } from "./run-plugin.ts";

const ENV = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=web-0",
  CNI_PATH: "/opt/cni/bin",
};
/** Each command that reads a configuration. */
export const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;

/** What an ADD has made before, with numbers and keys that engines may write differently. */
const PREVIOUS = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", mac: "00:16:3e:00:00:02", sandbox: ENV.CNI_NETNS, mtu: 1500 }],
  ips: [{ address: "10.9.0.2/24", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0", mtu: 1e21, priority: 0.1 }],
  dns: { nameservers: ["10.0.0.10"], search: ["größe.example", "\u2028\u{1f600}\u0007"] },
  z: 1,
  10: "ten",
  9: [-0, 1e-7, 123_456_789_012_345_680, 5e-324, true, null, { "": "" }],
};

/** One run: environment for `command`, with `env` over it. */
export function given(command: string, stdin: string | Uint8Array, env: Record<string, string> = {}): Given {
  return { env: { ...ENV, CNI_COMMAND: command, ...env }, stdin };
}

/** A configuration for the agent at `socket` and the spool in `spool`. */
export function config(
  paths: { readonly socket: string; readonly spool: string },
  more: object = {},
): string {
  const base = { cniVersion: "1.1.0", name: "terway", type: "terway" };
  return JSON.stringify({ ...base, agent_socket: paths.socket, spool_dir: paths.spool, ...more });
}

/** Runs that end without an agent, by title. */
export function withoutAgent(): ReadonlyMap<string, Given> {
  const table = new Map<string, Given>();
  table.set("nobody says what to do", { env: {}, stdin: "" });
  for (const command of ["", "add", "UPDATE", "\u{1f600}\ud800".repeat(200), "A\nB"]) {
    table.set(`command ${JSON.stringify(command.slice(0, 9))}`, given(command, "{}"));
  }
  for (const version of [...SUPPORTED_VERSIONS, "1.2.0", "", "x"]) {
    table.set(`VERSION ${version}`, {
      env: { CNI_COMMAND: "VERSION" },
      stdin: JSON.stringify({ cniVersion: version }),
    });
  }
  for (const stdin of ["", "{", "[]", nested(200), '{"cniVersion":1}']) {
    table.set(`VERSION for ${stdin.slice(0, 16)}`, { env: { CNI_COMMAND: "VERSION" }, stdin });
  }
  for (const command of COMMANDS) {
    table.set(`${command} without its variables`, { env: { CNI_COMMAND: command }, stdin: "{}" });
    table.set(`${command} without a configuration`, given(command, ""));
    table.set(
      `${command} in a version that nobody speaks`,
      given(command, '{"name":"a","cniVersion":"9.9.9"}'),
    );
  }
  for (const [name, value] of [
    ["CNI_CONTAINERID", "a/b"],
    ["CNI_CONTAINERID", "ü".repeat(30_000)],
    ["CNI_IFNAME", "0123456789abcdef"],
    ["CNI_IFNAME", "a b"],
    ["CNI_IFNAME", ".."],
    ["CNI_NETNS", "relative"],
    ["CNI_NETNS", "/proc/self/ns/net"],
    ["CNI_ARGS", `IgnoreUnknown=1;${"x".repeat(100_000)}`],
    ["CNI_ARGS", "a=b;c=d"],
    ["TERWAY_AGENT_SOCKET", "relative"],
    ["TERWAY_AGENT_SOCKET", `/${"y".repeat(120_000)}`],
    ["TERWAY_SPOOL_DIR", "relative"],
  ] as const) {
    table.set(`${name}=${value.slice(0, 20)}`, given("ADD", '{"name":"a"}', { [name]: value }));
  }
  for (const stdin of wrongConfigurations()) {
    const title = typeof stdin === "string" ? stdin : Buffer.from(stdin).toString("latin1");
    table.set(
      `${table.size} ADD for ${JSON.stringify(title.slice(0, 24))}, ${stdin.length} long`,
      given("ADD", stdin),
    );
  }
  for (const prevResult of [1, "x", [], { interfaces: 1 }, { ips: [1] }, { interfaces: [{ name: 1 }] }]) {
    const stdin = JSON.stringify({ name: "a", cniVersion: "1.1.0", prevResult });
    table.set(`prevResult ${JSON.stringify(prevResult)}`, given("CHECK", stdin));
  }
  for (const list of [1, [1], [{}], [{ containerID: "a" }]]) {
    const stdin = JSON.stringify({ name: "a", cniVersion: "1.1.0", "cni.dev/valid-attachments": list });
    table.set(`GC of ${JSON.stringify(list)}`, given("GC", stdin));
  }
  return table;
}

function nested(depth: number): string {
  return `${"[".repeat(depth)}${"]".repeat(depth)}`;
}

/** A text, begun in the second line, that goes on with these bytes. */
function badText(...bytes: number[]): Uint8Array {
  return Buffer.concat([Buffer.from('{\n "é": "'), Buffer.from(bytes)]);
}

function wrongConfigurations(): readonly (string | Uint8Array)[] {
  return [
    "[]",
    "null",
    '{"name":1}',
    '{"name":"a/b"}',
    '{"name":"ok","cniVersion":2}',
    '{"name":"\\ud800\\udc00\\ud800"}',
    '{"name":"a","__proto__":{"cniVersion":"0.1.0"},"cniVersion":"7"}',
    '{"name":"a","name":"b","cniVersion":"7\\u0000\\u2028"}',
    '{"name":"a","agent_socket":"\\u0000"}',
    '{"name":"a","agent_socket":"x"}',
    '{"name":"a","spool_dir":["x"]}',
    "\ufeff{}",
    '{\n "größe": 1,\n "\u{1f600}": tru }',
    '{"a":1e400,"b":-0.0,"c":01}',
    '{"a":"\\x"}',
    '{"a":"\t"}',
    '{"a":1,}',
    '{"a":1} trailing',
    "{'a':1}",
    "// comment\n{}",
    badText(0xff),
    badText(0xc3, 0x28),
    badText(0xe2, 0x82),
    badText(0xed, 0xa0, 0x80),
    badText(0xf4, 0x90, 0x80, 0x80),
    badText(0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f, 0x22),
    badText(0xc0, 0xaf, 0xe0, 0x80, 0xbf),
    nested(128),
    nested(129),
    nested(100_000),
    '{"a":'.repeat(200_000),
    `{"name":"a","cniVersion":"7","x":"${"é".repeat(500_000)}"}`,
    `{"name":"a","cniVersion":"7","x":[${"[],".repeat(340_000)}1]}`,
    `{"name":"a","cniVersion":"7","x":[${'{"":{}},'.repeat(120_000)}1]}`,
    `{"name":"a","cniVersion":"7","x":{${Array.from({ length: 90_000 }, (_, key) => `"${key}":1`).join(",")}}}`,
    `"${"x".repeat(1_048_574)}"`,
    `"${"x".repeat(1_048_575)}"`,
    "x".repeat(3_000_000),
  ];
}

/** Runs that call the agent, by title. */
export function withAgent(paths: {
  readonly socket: string;
  readonly spool: string;
}): ReadonlyMap<string, Given> {
  const table = new Map<string, Given>();
  for (const command of COMMANDS) {
    for (const cniVersion of SUPPORTED_VERSIONS) {
      const prevResult = command === "CHECK" ? PREVIOUS : undefined;
      table.set(`${command} ${cniVersion}`, given(command, config(paths, { cniVersion, prevResult })));
    }
  }
  table.set("ADD in a chain", given("ADD", config(paths, { cniVersion: "1.0.0", prevResult: PREVIOUS })));
  const trace = {
    TRACEPARENT: "00-a-b-01",
    TRACESTATE: "ä",
    BAGGAGE: "k=v".repeat(2_000),
    TERWAY_TIMING: "1",
  };
  table.set("ADD with a trace", given("ADD", config(paths), trace));
  const many = { "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] };
  table.set("GC with a list", given("GC", config(paths, many)));
  table.set("GC with an empty list", given("GC", config(paths, { "cni.dev/attachments": [] })));
  table.set("ADD with 300 kB", given("ADD", config(paths, { padding: "ü".repeat(150_000) })));
  return table;
}
