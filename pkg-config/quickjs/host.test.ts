/**
 * The conversation with an agent that goes away in the middle of it, on a host that has no real socket.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { runPlugin, type Host } from "../../cni/quickjs/host.ts";
import { ADD_ENV, CONFIG } from "../../cni/test-run.ts";
import { nodeUtf8 } from "../../cni/node-host.ts";
import { addReply, answer } from "./scripted-agent.ts";

const NOTHING = new Uint8Array(0);
const ANSWER = answer(addReply(ADD_ENV.CNI_NETNS, 1));

/** A host whose socket says `reads` one after the other, and takes `writes` writes. */
function hostOf(reads: readonly (Uint8Array | string)[], writes: number): Host {
  let [read, written] = [0, 0];
  return {
    ...nodeUtf8,
    env: ADD_ENV,
    userId: 0,
    readStdin: () => nodeUtf8.encode(JSON.stringify(CONFIG)),
    isSameFile: () => false,
    ownerOf: () => 0,
    connect: () => undefined,
    write: () => (written++ < writes ? undefined : "EPIPE"),
    read: () => reads[read++] ?? NOTHING,
    keepFile: () => undefined,
    end: () => {
      throw new Error("the process would have ended");
    },
  };
}

describe("runPlugin()", () => {
  // The settings come first, and have to be acknowledged: a write into a connection that is closed by then.
  const [settings, rest] = [ANSWER.subarray(0, 9), ANSWER.subarray(9)];

  it("reads an answer to its end although the agent has closed the connection", () => {
    expect(runPlugin(hostOf([settings, rest], 2))).toMatchObject({ exit: 0, stderr: "" });
    expect(runPlugin(hostOf([settings, rest], 1))).toMatchObject({ exit: 0, stderr: "" });
  });

  it("names the write that failed where no answer follows", () => {
    const stderr = expect.stringContaining("it broke the connection off before it answered (EPIPE)");
    expect(runPlugin(hostOf([settings], 1))).toMatchObject({ exit: 1, stderr });
    expect(runPlugin(hostOf([settings, "ECONNRESET"], 1))).toMatchObject({ exit: 1, stderr });
    expect(runPlugin(hostOf([], 0))).toMatchObject({ exit: 1, stderr });
  });
});
