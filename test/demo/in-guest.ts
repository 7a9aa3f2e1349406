/**
 * The demo of IPVLAN on a machine whose kernel has none: the same demo, on a kernel that is a process (test/uml/).
 *
 * @module
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { failed, ok, type Result } from "../../proto/result.ts";
import { hostSnapshot } from "../harness/snapshot.ts";
import { runInUml, umlNftObstacle } from "../uml/run-in-uml.ts";
import { proveMachineClean } from "./leftovers.ts";
import { type Report } from "./report.ts";

/** In the guest's environment: its verdict is this process's to say. */
export const GUEST_VARIABLE = "TERWAY_DEMO_GUEST";

const CHECKOUT = join(import.meta.dirname, "../..");
const TIMEOUT_MS = 900_000;
const MEMORY_MIB = 2048;

/**
 * Shows all of it and whether the machine is as it was. The fault is a sentence: the guest cannot be had on this machine.
 *
 * @throws what `signal` is aborted with; Error where the guest did not come to its end.
 */
export async function demoInGuest(
  report: Report,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<Result<void, string>> {
  report.line(
    "This machine's kernel has no IPVLAN, so the demo runs on one that has: User Mode Linux, a kernel",
  );
  report.line("that is a process. It sees the files of this machine, and what it writes goes away with it.");
  if ((await umlNftObstacle()) !== undefined) {
    report.line("That kernel is built first, from Debian's package linux-source-6.1: five minutes, once.");
    await builtKernel(signal);
  }
  const obstacle = await umlNftObstacle();
  if (obstacle !== undefined) return failed(obstacle);
  const before = await hostSnapshot();
  const { end, stderr } = await runInUml({
    command: [process.execPath, "test/demo/main.ts"],
    env: { DATAPATH: "ipvlan", [GUEST_VARIABLE]: "1" },
    memoryMib: MEMORY_MIB,
    timeoutMs: TIMEOUT_MS,
    onStdout: write,
    signal,
  });
  if (end.kind !== "exited")
    throw new Error(`the guest did not come to its end: ${JSON.stringify(end)}\n${stderr}`);
  report.section("User Mode Linux has ended");
  if (stderr !== "") report.line(stderr);
  report.check(end.status === 0, `the demo in the guest: exit status ${end.status}`);
  await proveMachineClean("twdemo-in-guest", before, report);
  return ok(undefined);
}

/** What could not be made is said by the obstacle that is found afterwards. */
async function builtKernel(signal: AbortSignal): Promise<void> {
  const child = spawn(join(CHECKOUT, "pkg-config/setup.sh"), ["uml-kernel"], { stdio: "inherit", signal });
  await new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
  signal.throwIfAborted();
}
