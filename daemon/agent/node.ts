/**
 * The agent of one node: opens the socket and the parts behind it, serves, and runs until it is told to stop.
 *
 * @module
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AgentApi, openRpcServer } from "../rpc/server.ts";
import { openForwardAccept } from "../firewall/forward.ts";
import { openStore, type Store } from "../store/store.ts";
import { drained } from "./drain.ts";
import { sentence, type StartFault } from "./facts.ts";
import { keepForwarding, stopForwarding } from "./forward.ts";
import { removeHostFiles } from "./host-files.ts";
import { type NodeOptions, nowMs } from "./node-options.ts";
import { keepPublished } from "./publish.ts";
import { type Running } from "./serving.ts";

/** How long calls under way may go on after the signal to stop. */
const DRAIN_MS = 5000;

/** Opens all behind the socket. */
export type OpenNode = (store: Store) => Promise<Result<Running, StartFault>>;

/** Runs the agent until `stop`; resolves with why it could not start, if so. */
export async function runNode(
  { args, log, stop }: NodeOptions,
  open: OpenNode,
): Promise<Result<void, StartFault>> {
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  let api = refusing("it is starting");
  const rpc = await openRpcServer({
    socketPath: args.socketPath,
    drainMs: DRAIN_MS,
    onBug: (error) => log.error({ err: error }, "a call failed by a bug"),
    api: {
      add: (call) => api.add(call),
      del: (call) => api.del(call),
      check: (call) => api.check(call),
      gc: (call) => api.gc(call),
      status: () => api.status(),
    },
  });
  if (!rpc.ok) return failed({ text: rpc.fault });
  await using server = rpc.value;
  const opened = openStore({ directory: args.stateDir, bootId, nowMs: nowMs() });
  if (!opened.ok) return failed({ text: sentence(opened.fault) });
  using store = opened.value;
  for (const notice of store.notices) log.warn(notice);
  const parts = await open(store);
  if (!parts.ok) return parts;
  await using running = parts.value;
  // Awaited here: the parts must not be closed before it has ended.
  if (args.drain) {
    const outcome = await drained(running, log, stop);
    if (!outcome.ok) return outcome;
    await stopForwarding(openForwardAccept(), log);
    if (args.hostRoot !== undefined) await removeHostFiles(args.hostRoot, log);
    return outcome;
  }
  await using _forwarding = await keepForwarding(openForwardAccept(), log);
  ({ api } = running);
  server.setServing(true);
  log.info({ socket: args.socketPath, tookMs: Math.round(performance.now()) }, "serving");
  await keepPublished(args, log, stop);
  await aborted(stop);
  server.setServing(false);
  // A pod that goes is let go; one that comes would only be in the way of the end.
  const { add, status } = refusing("it is stopping");
  api = { ...running.api, add, status };
  log.info("stopping; pods keep running");
  return ok(undefined);
}

/** Asks the caller to try again. */
function refusing(reason: string): AgentApi {
  const fault: Fault = { kind: "not-ready", reason };
  const refuse = async (): Promise<Result<never>> => failed(fault);
  const status = async (): Promise<Result<never>> =>
    failed({ kind: "cannot-serve", reason: `the terway agent is not ready: ${reason}` });
  return { add: refuse, del: refuse, check: refuse, gc: refuse, status };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
