/**
 * Everything that can be fuzzed, by name.
 *
 * @module
 */
import { begin } from "../../cni/core/command.ts";
import { agentReply, type BeginFunction } from "./agent-reply.ts";
import { hpack, netlink, protobuf, spool } from "./codecs.ts";
import { beginTarget, json } from "./input.ts";
import { type Target } from "./runner.ts";

/** What `npm run fuzz` runs. */
export const TARGETS: readonly Target[] = [
  agentReply(begin),
  hpack,
  protobuf,
  json,
  beginTarget(begin),
  spool,
  netlink,
];

/** A core with a mistake that only a few answers show. */
const throwing: BeginFunction = (input) => {
  const start = begin(input);
  if (start.kind === "done") return start;
  const feed = (bytes: Uint8Array) => {
    if (bytes.includes(0xee)) throw new RangeError("a mistake made on purpose");
    return start.call.feed(bytes);
  };
  return { ...start, call: { ...start.call, feed } };
};

/** Broken on purpose, to see that it is noticed; they run only where they are named. */
export const SELF_CHECKS: readonly Target[] = [
  { ...agentReply(throwing), name: "self-check-throw", about: "a core that throws for some answers" },
  {
    name: "self-check-hang",
    about: "a case that never ends",
    prepare: (random) => {
      const bytes = random.bytes(8);
      return {
        show: () => Buffer.from(bytes).toString("hex"),
        run: () => {
          for (;;) bytes.reverse();
        },
      };
    },
  },
];

/** `undefined` where there is none. */
export function targetOf(name: string): Target | undefined {
  return [...TARGETS, ...SELF_CHECKS].find((target) => target.name === name);
}
