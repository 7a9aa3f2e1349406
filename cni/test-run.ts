/**
 * One run of the plugin up to the agent's call, for tests.
 *
 * @module
 */
import { expect } from "vitest";
import { nodeUtf8 } from "./node-host.ts";
import { begin, type Begin } from "./core/command.ts";
import { oneLine } from "./core/words.ts";
import { type Input } from "./core/input.ts";

/** The environment of an ADD. */
export const ADD_ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
};
/** The least configuration. */
export const CONFIG = { cniVersion: "0.3.0", name: "terway", type: "terway" };
/** All that the plugin speaks, oldest first. */
export const ALL_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

type Overrides = Partial<Input> & { readonly stdin?: string };

/** `begin()` with `stdin`, or `CONFIG`. */
export function run(env: Record<string, string | undefined>, overrides: Overrides = {}): Begin {
  const { stdin = JSON.stringify(CONFIG), ...rest } = overrides;
  return begin({
    env,
    readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(stdin) }),
    isOwnNetns: () => false,
    utf8: nodeUtf8,
    ...rest,
  });
}

/** The error object, after checking that standard error says the same on one line and that the status tells of it. */
export function errorIn(start: Begin): Record<string, unknown> {
  if (start.kind !== "done") throw new Error("the agent was called");
  const error: Record<string, unknown> = JSON.parse(start.stdout);
  expect(Object.keys(error)).toEqual(["cniVersion", "code", "msg", "details"]);
  const said = `${oneLine(`${String(error["msg"])}; ${String(error["details"])}`)}\n`;
  expect({ exit: start.exit, stderr: start.stderr.replace(/^terway: (?:[A-Z]+: )?/, "") }).toEqual({
    exit: 1,
    stderr: said,
  });
  return error;
}

/** Would the agent be called? */
export function isCall(start: Begin): boolean {
  return start.kind === "call";
}
