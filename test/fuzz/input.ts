/**
 * What whoever runs the plugin gives it: the environment and standard input.
 *
 * @module
 */
import { parseJson } from "../../cni/core/json.ts";
import { nodeUtf8 } from "../../cni/node-host.ts";
import { withoutCall, type BeginFunction } from "./agent-reply.ts";
import { checkEnded } from "./invariants.ts";
import { hexOf, mutateBytes, mutateText } from "./mutate.ts";
import { type Random } from "./random.ts";
import { insist, type Target } from "./runner.ts";

const INTERFACES = '"interfaces":[{"name":"eth0","sandbox":"/run/netns/pod"}]';
const CONFIGS = [
  '{"cniVersion":"0.4.0","name":"terway","type":"terway"}',
  `{"cniVersion":"1.1.0","name":"n","prevResult":{"cniVersion":"1.1.0",${INTERFACES},"ips":[],"routes":[]}}`,
  '{\n "cniVersion": "1.1.0",\n "name": "größer", "x": [1, -2.5e3, true, null, "\\u00e9\\n"]\n}\n',
  '{"cniVersion":"1.1.0","name":"n","cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}]}',
  '{"name":"n","agent_socket":"/run/a.sock","spool_dir":"/var/spool/","runtimeConfig":{"bandwidth":{}}}',
];
const ENVIRONMENTS = {
  CNI_COMMAND: ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "", "add"],
  CNI_CONTAINERID: ["c1", "", "-a", "f".repeat(300), "f".repeat(1_000_000)],
  CNI_NETNS: ["/run/netns/pod", "", "pod", "/own"],
  CNI_IFNAME: ["eth0", "", "..", "a/b", "123456789012345"],
  CNI_ARGS: ["", "IgnoreUnknown=1;K8S_POD_NAME=a", "A=B", "=;;="],
  CNI_PATH: ["/opt/cni/bin", ""],
  TERWAY_AGENT_SOCKET: ["", "", "/run/terway/agent.sock", "agent.sock"],
  TERWAY_SPOOL_DIR: ["", "", "/var/spool", "spool"],
  TRACEPARENT: ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
};

/** Environment and configuration, up to the call or the refusal. */
export function beginTarget(begin: BeginFunction): Target {
  return {
    name: "begin",
    about: "environment and standard input of the plugin",
    prepare: (random) => {
      const env: Record<string, string> = {};
      for (const [name, values] of Object.entries(ENVIRONMENTS)) {
        // The first one mostly, so that what comes after it is reached.
        const value = random.oneIn(4) ? random.pick(values) : (values[0] ?? "");
        // An environment holds no zero byte: environ(7).
        env[name] = random.oneIn(30) ? mutateText(random, value).replaceAll("\0", "") : value;
      }
      if (random.oneIn(2)) env["CNI_COMMAND"] = random.pick(ENVIRONMENTS.CNI_COMMAND);
      const stdin = configBytes(random);
      const unreadable = random.oneIn(50);
      return {
        show: () => `${JSON.stringify(env).slice(0, 2_000)} ${hexOf(stdin)}`,
        run: () => {
          let reads = 0;
          const start = begin({
            env,
            readStdin: () => {
              reads += 1;
              return unreadable ? { kind: "failed", reason: "EIO" } : { kind: "read", bytes: stdin };
            },
            isOwnNetns: (path) => path === "/own",
            utf8: nodeUtf8,
          });
          insist(reads <= 1, () => `standard input was read ${reads} times`);
          const asked = { command: env["CNI_COMMAND"] ?? "" };
          // Both windows of HTTP/2, and the headers, of which the trace is the longest.
          const opening = start.kind === "call" ? start.call.opening.length : 0;
          insist(opening <= 65_535 + 20_000, () => `an opening of ${opening} bytes`);
          const name = checkEnded(withoutCall(start, asked, random), asked);
          return start.kind === "call" ? `${name} after a call` : name;
        },
      };
    },
  };
}

function configBytes(random: Random): Uint8Array {
  const config = random.pick(CONFIGS);
  if (random.oneIn(3)) return nodeUtf8.encode(config);
  return damaged(random, config);
}

function damaged(random: Random, text: string): Uint8Array {
  if (random.oneIn(200))
    return nodeUtf8.encode(random.pick(["[", '{"a":', '[{"a":']).repeat(random.below(20_000)));
  const bytes = nodeUtf8.encode(mutateText(random, random.oneIn(2) ? mutateText(random, text) : text));
  return random.oneIn(4) ? mutateBytes(random, bytes) : bytes;
}

/** The JSON reader beside the platform's. */
export const json: Target = {
  name: "json",
  about: "standard input as JSON, beside JSON.parse",
  prepare: (random) => {
    const bytes = damaged(random, random.pick(CONFIGS));
    return {
      show: () => hexOf(bytes),
      run: () => {
        const text = nodeUtf8.decode(bytes);
        const parsed = parseJson(bytes, nodeUtf8);
        const platform = byPlatform(text);
        if (parsed.ok) {
          const same = JSON.stringify(parsed.value) === JSON.stringify(platform?.value);
          insist(same, () => "JSON.parse reads something else");
          return "read";
        }
        const { line, column, reason } = parsed.fault;
        const lines = text.split("\n");
        const within = line >= 1 && line <= lines.length && column >= 1;
        insist(
          within && column <= (lines[line - 1]?.length ?? 0) + 1,
          () => `line ${line}, column ${column}`,
        );
        insist(reason !== "" && reason.length < 200, () => `reason ${reason}`);
        // It refuses two things more than the platform: bytes that are no UTF-8, and more than 128 open brackets.
        const stricter = text.includes("\ufffd") || text.split(/[[{]/u).length > 129;
        insist(
          platform === undefined || stricter,
          () => `JSON.parse reads it, and it was refused: ${reason}`,
        );
        return "refused";
      },
    };
  },
};

function byPlatform(text: string): { readonly value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return { value };
  } catch {
    return undefined;
  }
}
