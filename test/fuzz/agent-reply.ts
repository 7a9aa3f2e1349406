/**
 * Hostile answers to a whole conversation of the plugin.
 *
 * @module
 */
import { type Begin } from "../../cni/core/command.ts";
import { type Done, type End } from "../../cni/core/done.ts";
import { type Input } from "../../cni/core/input.ts";
import { nodeUtf8 } from "../../cni/node-host.ts";
import { checkEnded, doneOf, type Asked } from "./invariants.ts";
import { cut, hexOf } from "./mutate.ts";
import { type Random } from "./random.ts";
import { POD, replyBytes } from "./replies.ts";
import { insist, type Case, type Target } from "./runner.ts";

/** `begin()` of the plugin's core, or a broken one. */
export type BeginFunction = (input: Input) => Begin;

/** How often each is asked. */
const COMMANDS = ["ADD", "ADD", "ADD", "DEL", "DEL", "CHECK", "GC", "STATUS"] as const;
const VERSIONS = {
  ADD: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
  DEL: ["0.1.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
  CHECK: ["0.4.0", "1.0.0", "1.1.0"],
  GC: ["1.1.0"],
  STATUS: ["1.1.0"],
} as const;

export function agentReply(begin: BeginFunction): Target {
  return {
    name: "agent-reply",
    about: "answers of the agent that are nearly gRPC, in any pieces, to each command",
    prepare: (random) => {
      const asked = askedBy(random);
      // Sometimes more than both windows of HTTP/2 let through at first.
      const padding = random.oneIn(100) ? " ".repeat(random.below(200_000)) : "";
      const bytes = replyBytes(random);
      const pieces = cut(random, bytes);
      return {
        run: () => converse(begin(inputOf(asked, padding)), asked, pieces, padding.length, random),
        show: () => `${JSON.stringify(asked)} ${hexOf(bytes)}`,
      } satisfies Case;
    },
  };
}

/** A command, in a version that has it. */
export function askedBy(random: Random): Required<Asked> {
  const command = random.pick(COMMANDS);
  return { command, cniVersion: random.pick(VERSIONS[command]) };
}

/** A valid call for `asked`; `padding` is white space in the configuration. */
export function inputOf({ command, cniVersion }: Required<Asked>, padding: string): Input {
  const interfaces = [{ name: POD.ifName, sandbox: POD.netns }];
  const prevResult = { cniVersion, interfaces, ips: [{ interface: 0, address: "10.0.0.5/32" }] };
  const config = { cniVersion, name: "terway", type: "terway", ...(command === "CHECK" && { prevResult }) };
  const bytes = nodeUtf8.encode(padding + JSON.stringify(config));
  return {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: POD.containerId,
      CNI_NETNS: POD.netns,
      CNI_IFNAME: POD.ifName,
      CNI_PATH: "/opt/cni/bin",
      TERWAY_TIMING: "1",
    },
    readStdin: () => ({ kind: "read", bytes }),
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  };
}

/** Plays the host; the name of how it ended. */
function converse(
  start: Begin,
  asked: Asked,
  pieces: readonly Uint8Array[],
  unsentMax: number,
  random: Random,
): string {
  insist(start.kind === "call", () => `no call was made: ${JSON.stringify(start)}`);
  const { call } = start;
  let end: End | undefined;
  let [sent, received] = [0, 0];
  for (const piece of pieces) {
    // The host uses its buffer again.
    const buffer = Uint8Array.from(piece);
    const step = call.feed(buffer);
    buffer.fill(0xaa);
    received += piece.length;
    if (step.kind !== "more") {
      end = step;
      break;
    }
    sent += step.send.length;
    // Each answer is no longer than what it answers, and the rest of the request is sent once.
    insist(sent <= received + unsentMax, () => `${sent} bytes sent after ${received} received`);
  }
  if (end !== undefined && random.oneIn(8)) {
    const again = call.feed(Uint8Array.of(0));
    insist(again.kind === end.kind, () => `after its end it says ${again.kind}`);
  }
  const done = doneOf(end ?? interrupt(call, random), asked, random);
  const name = checkEnded(done, asked);
  return end === undefined ? `${name}, not answered` : name;
}

function interrupt(call: Extract<Begin, { kind: "call" }>["call"], random: Random): End {
  switch (random.below(4)) {
    case 0:
      return call.ended();
    case 1:
      return call.failed(random.pick(["ECONNRESET", "EPIPE", "E\n2"]));
    case 2:
      return call.notTrusted(1000);
    default:
      return call.timedOut();
  }
}

/** `Done` of a run that was not to end in a call. */
export function withoutCall(start: Begin, asked: Asked, random: Random): Done {
  return start.kind === "done" ? start : doneOf(interrupt(start.call, random), asked, random);
}
