/**
 * The checks of the CNI_* environment variables.
 * Source: CNI SPEC.md 1.1.0, section "Parameters"; the name rules of containernetworking/cni `pkg/utils`.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Environment, type Utf8 } from "./input.ts";
import { type Command } from "./version.ts";
import { quote, shortName } from "./words.ts";

/** What the environment says about the attachment. Empty strings where the command does not need the variable. */
export type PodEnvironment = {
  readonly containerId: string;
  readonly ifName: string;
  /** Absolute path; may be empty for DEL. */
  readonly netns: string;
  /** CNI_ARGS as given. */
  readonly cniArgs: string;
};

/** IFNAMSIZ less the closing zero, <linux/if.h>. */
const IFNAME_BYTES_MAX = 15;

/** Keys of CNI_ARGS that the agent reads, or that containerd sends to every plugin. */
const KNOWN_ARGS = [
  "IgnoreUnknown",
  "K8S_POD_NAMESPACE",
  "K8S_POD_NAME",
  "K8S_POD_INFRA_CONTAINER_ID",
  "K8S_POD_UID",
];

/**
 * Reads and checks the variables that `command` needs. CNI_PATH is not among them: this plugin runs no other.
 * All missing variables are named in one fault. DEL does not look into CNI_ARGS, because it must always come to an end.
 */
export function checkEnvironment(command: Command, env: Environment, utf8: Utf8): Result<PodEnvironment> {
  const missing = requiredVariables(command).filter((name) => (env[name] ?? "") === "");
  if (missing.length > 0) {
    return failed({ kind: "bad-env", names: missing, reason: "required environment variables are missing" });
  }
  const pod = {
    containerId: env["CNI_CONTAINERID"] ?? "",
    ifName: env["CNI_IFNAME"] ?? "",
    netns: env["CNI_NETNS"] ?? "",
    cniArgs: env["CNI_ARGS"] ?? "",
  };
  if (command === "GC" || command === "STATUS") return ok(pod);
  if (!isIdentifier(pod.containerId)) {
    const rule = "must begin with a letter or digit and go on with letters, digits, '_', '.' and '-'";
    return bad("CNI_CONTAINERID", pod.containerId, rule);
  }
  const wrongName = wrongIfName(pod.ifName, utf8);
  if (wrongName !== undefined) return bad("CNI_IFNAME", pod.ifName, wrongName);
  if (command === "DEL") return ok(pod);
  if (!pod.netns.startsWith("/")) {
    return failed({ kind: "bad-netns", path: shortName(pod.netns), reason: "is not an absolute path" });
  }
  const wrongArgs = wrongCniArgs(pod.cniArgs);
  return wrongArgs === undefined ? ok(pod) : bad("CNI_ARGS", pod.cniArgs, wrongArgs);
}

/** The rule for container ids and network names: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`. */
export function isIdentifier(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const alphanumeric =
      (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
    if (!alphanumeric && (at === 0 || (code !== 0x5f && code !== 0x2e && code !== 0x2d))) return false;
  }
  return text !== "";
}

function requiredVariables(command: Command): readonly string[] {
  switch (command) {
    case "ADD":
    case "CHECK":
      return ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
    case "DEL":
      return ["CNI_CONTAINERID", "CNI_IFNAME"];
    case "GC":
    case "STATUS":
    case "VERSION":
      return [];
    default:
      return command satisfies never;
  }
}

/** The rule of the kernel, `dev_valid_name()` in net/core/dev.c, with Unicode's white space. */
function wrongIfName(name: string, utf8: Utf8): string | undefined {
  if (utf8.encode(name).length > IFNAME_BYTES_MAX) return `is longer than ${IFNAME_BYTES_MAX} bytes`;
  if (name === "." || name === "..") return "is not a name";
  for (let at = 0; at < name.length; at += 1) {
    const char = name.charAt(at);
    if (char === "/" || char === ":" || char.trim() === "") return "contains '/', ':' or white space";
  }
  return undefined;
}

/** "K=V;K=V". Unknown keys pass only with IgnoreUnknown, so that a misspelt one does not go unseen. */
function wrongCniArgs(text: string): string | undefined {
  if (text === "") return undefined;
  const unknown: string[] = [];
  let ignoreUnknown = false;
  for (const pair of text.split(";")) {
    const equals = pair.indexOf("=");
    if (equals < 1) return `has the pair ${quote(pair)}, which is not KEY=VALUE`;
    const [key, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
    if (key === "IgnoreUnknown") ignoreUnknown = isTrue(value);
    if (!KNOWN_ARGS.includes(key)) unknown.push(key);
  }
  if (ignoreUnknown || unknown.length === 0) return undefined;
  return `has keys that are not known (${shortName(unknown.join(", "))}) and no IgnoreUnknown=1`;
}

/** "1" and "true", in any case: how runtimes write a flag. */
export function isTrue(text: string | undefined): boolean {
  return text === "1" || text?.toLowerCase() === "true";
}

function bad(name: string, given: string, rule: string): Result<never> {
  return failed({ kind: "bad-env", names: [name], reason: `${quote(given)} ${rule}` });
}
