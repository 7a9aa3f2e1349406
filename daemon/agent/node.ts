/**
 * The agent of one node: opens the socket and the parts behind it, serves, and runs until it is told to stop.
 *
 * @module
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { uptime } from "node:os";
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AgentApi, openRpcServer } from "../rpc/server.ts";
import { openForwardAccept } from "../firewall/forward.ts";
import { openStore, type Store } from "../store/store.ts";
import { drained } from "./drain.ts";
import { stopForwarding } from "./forward.ts";
import { patiently, type StartFault } from "./start-fault.ts";
import { SYSTEM_HOST } from "./host.ts";
import { removeHostFiles } from "./host-files.ts";
import { type NodeOptions } from "./node-options.ts";
import { countCalls } from "./in-flight.ts";
import { statusWith, storeStartFault, watchStore } from "./open-store.ts";
import { keepPublished } from "./publish.ts";
import { type Running } from "./serving.ts";

/**
 * How long calls under way may go on after the signal to stop; ADDs that still wait for the cloud are then told to try again,
 * and have the rest to hear of it. Five seconds in all.
 */
const [FINISH_MS, ANSWER_MS] = [4000, 500];

/** Between two attempts to open a database, which costs nothing, and to ask cloud and metadata service. */
const STORE_PAUSES_MS = [1000, 1000] as const;
const OPEN_PAUSES_MS = [2000, 30_000] as const;

const DAMAGED = `its database turned out to be damaged while it ran
  nothing has to be done: the next start sets the file aside and rebuilds it; the log has SQLite's words`;

/** Opens all behind the socket. Called again where its fault passes. */
export type OpenNode = (store: Store) => Promise<Result<Running, StartFault>>;

/** Runs the agent until `stop`; resolves with why it could not start, if so. */
export async function runNode(
  { args, log, stop }: NodeOptions,
  open: OpenNode,
): Promise<Result<void, StartFault>> {
  const bootId = (await readFile(args.bootIdPath, "utf8")).trim();
  let api = refusing("it is starting");
  const calls = countCalls(() => api, SYSTEM_HOST.timers);
  const rpc = await openRpcServer({
    socketPath: args.socketPath,
    drainMs: ANSWER_MS,
    onBug: (error) => log.error({ err: error }, "a call failed by a bug"),
    api: calls.api,
  });
  if (!rpc.ok) return failed({ text: rpc.fault });
  await using server = rpc.value;
  const attempts = {
    onWait(fault: Fault) {
      api = refusing(describeFault(fault), fault);
    },
    timers: SYSTEM_HOST.timers,
    isPatient: !args.drain,
    stop,
    log,
  };
  const opened = await patiently({
    ...attempts,
    what: "the database cannot be opened",
    pausesMs: STORE_PAUSES_MS,
    async attempt() {
      const { nowMs } = SYSTEM_HOST;
      const made = openStore({ directory: args.stateDir, bootId, nowMs: nowMs(), uptimeMs: uptimeMs() });
      return made.ok ? made : failed(storeStartFault(made.fault));
    },
  });
  if (!opened.ok) return stop.aborted ? ok(undefined) : opened;
  const damaged = new AbortController();
  using store = watchStore(opened.value, {
    elapsedMs: SYSTEM_HOST.timers.elapsedMs,
    log,
    onDamaged: (fault) => damaged.abort(fault),
  });
  for (const notice of store.notices) log.warn(notice);
  if (store.lost !== undefined) log.info({ why: store.lost }, "what the node has is found out anew");
  api = refusing("it is starting");
  const parts = await patiently({
    ...attempts,
    what: "what the node has cannot be found out",
    pausesMs: OPEN_PAUSES_MS,
    attempt: () => open(store),
  });
  if (!parts.ok) return stop.aborted ? ok(undefined) : parts;
  await using running = parts.value;
  // Awaited here: the parts must not be closed before it has ended.
  if (args.drain) return await drain(running, { args, log, stop });
  api = { ...running.api, status: () => statusWith(store, running.api.status) };
  server.setServing(true);
  log.info({ socket: args.socketPath, tookMs: Math.round(performance.now()) }, "serving");
  await keepPublished(args, log, stop);
  await aborted(AbortSignal.any([stop, damaged.signal]));
  server.setServing(false);
  // A pod that goes is let go; one that comes would only be in the way of the end.
  const { add, status } = refusing("it is stopping");
  api = { ...running.api, add, status };
  log.info("stopping; pods keep running");
  const left = await calls.ended(FINISH_MS);
  if (left > 0) log.info({ calls: left }, "calls that wait are told to try again");
  return damaged.signal.aborted ? failed({ text: DAMAGED }) : ok(undefined);
}

async function drain(
  running: Running,
  { args, log, stop }: Pick<NodeOptions, "args" | "log" | "stop">,
): Promise<Result<void, StartFault>> {
  const outcome = await drained(running, log, stop);
  if (!outcome.ok) return outcome;
  await stopForwarding(openForwardAccept(), log);
  if (args.hostRoot !== undefined) await removeHostFiles(args.hostRoot, log);
  return outcome;
}

/** Asks the caller to try again: at ADD with the cause, if there is one. A DEL is then kept by the plugin. */
function refusing(reason: string, cause?: Fault): AgentApi {
  const fault: Fault = { kind: "not-ready", reason };
  const refuse = async (): Promise<Result<never>> => failed(fault);
  const status = async (): Promise<Result<never>> =>
    failed({ kind: "cannot-serve", reason: `the terway agent is not ready: ${reason}` });
  return { add: async () => failed(cause ?? fault), del: refuse, check: refuse, gc: refuse, status };
}

/** CLOCK_BOOTTIME, to a hundredth of a second: /proc/uptime of proc(5). */
function uptimeMs(): number {
  return uptime() * 1000;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
