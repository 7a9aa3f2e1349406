/**
 * One life of the agent: its own parts (`daemon/agent/`), opened as `daemon/agent/parts.ts` opens them, over ports of the
 * models instead of netlink, HTTP, SQLite and the machine's clock.
 *
 * @module
 */
import { type Arguments } from "../../daemon/agent/arguments.ts";
import { type StartFault } from "../../daemon/agent/start-fault.ts";
import { type Host } from "../../daemon/agent/host.ts";
import { learnAbout } from "../../daemon/agent/known.ts";
import { type Log, openLog } from "../../daemon/agent/log.ts";
import { eniSupply, recoverEnis } from "../../daemon/agent/parts.ts";
import { recordsOf } from "../../daemon/agent/persist.ts";
import { openServing, type Running, type ServingBase } from "../../daemon/agent/serving.ts";
import { sleep } from "../../daemon/agent/timers.ts";
import { openBudget } from "../../daemon/cloud/budget.ts";
import { type Caller } from "../../daemon/cloud/call.ts";
import { openCloud } from "../../daemon/cloud/cloud.ts";
import { type LoadedConfig } from "../../daemon/config/load.ts";
import { type EniMetadata } from "../../daemon/core/metadata.ts";
import { type NodeIdentity } from "../../daemon/core/cloud.ts";
import { type Spool, type SpoolOptions } from "../../daemon/spool/spool.ts";
import { type Store } from "../../daemon/store/store.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type CacheEntry } from "../../daemon/core/rebuild/cache-entry.ts";
import { type KernelPort } from "./kernel-model.ts";
import { type Life } from "./life.ts";
import { VSWITCHES } from "./setting.ts";

/** What one life works with. A test puts a bug in by changing one of them. */
export type Ports = {
  readonly life: Life;
  readonly host: Host;
  readonly store: Pick<Store, "write" | "load" | "lost">;
  readonly kernel: KernelPort;
  /** The kernel as it is asked before something is given back to the cloud. */
  readonly releaseKernel: ServingBase["kernel"];
  readonly caller: Caller;
  readonly metadata: EniMetadata;
  /** What the runtime has kept of its ADDs. */
  readonly results: () => readonly CacheEntry[];
  readonly spoolFor: (carryOut: SpoolOptions["carryOut"]) => Spool;
};

export type AgentOptions = { readonly config: LoadedConfig; readonly node: NodeIdentity };

const ARGUMENTS: Arguments = {
  configDir: "",
  secretDir: "",
  stateDir: "",
  socketPath: "",
  spoolDir: "",
  bootIdPath: "",
  cniCacheDir: "",
  logLevel: "silent",
  drain: false,
  check: false,
  help: false,
};
const KEY = { accessKeyId: "LTAI5tSimulated", accessKeySecret: "secret", source: "Secret" };

let silent: Log | undefined;

/** Where the life ends meanwhile, it never resolves. */
export async function startAgent(
  ports: Ports,
  { config, node }: AgentOptions,
): Promise<Result<Running, StartFault>> {
  await using stack = new AsyncDisposableStack();
  const { life, host, kernel, caller } = ports;
  const log = (silent ??= openLog("silent"));
  const store: Store = {
    ...ports.store,
    notices: [],
    isDamaged: () => false,
    [Symbol.dispose]: () => undefined,
  };
  const { timers } = life;
  const cloud = stack.use(
    openCloud({
      region: node.region,
      timeoutMs: config.eni.cloudTimeoutMs,
      caller,
      credentials: { current: async () => ok(KEY) },
      budget: openBudget({
        ratesPerMinute: config.eni.rateLimits,
        now: timers.elapsedMs,
        sleep: (ms) => sleep(timers, ms),
      }),
      now: timers.elapsedMs,
    }),
  );
  const options = { args: ARGUMENTS, log, config, stop: new AbortController().signal };
  const known = await learnAbout(options, store, {
    cloud,
    metadata: ports.metadata,
    node,
    configured: VSWITCHES,
  });
  if (!known.ok) return known;
  const late: ServingBase["late"] = {};
  const spool = ports.spoolFor(
    async ({ attachment }, pending) =>
      late.pods?.replayDel(attachment, pending) ?? failed({ kind: "not-ready", reason: "it is starting" }),
  );
  if (store.lost !== undefined) {
    const view = await kernel.survey();
    if (!view.ok) return failed({ text: view.fault.kind });
    const about = { store, known: known.value, cache: ports.results(), nowMs: host.nowMs(), log };
    const recovered = recoverEnis({ ...about, view: view.value });
    if (!recovered.ok) return recovered;
  }
  const prepared = await kernel.prepareHost();
  if (!prepared.ok) return failed({ text: prepared.fault.kind });
  const base: ServingBase = { options, host, store, kernel, spool, leases: store.load().leases, late };
  const records = recordsOf(store.load(), node.instanceType);
  const ofEnis = eniSupply(
    options,
    { kernel: ports.releaseKernel, host },
    { ...known.value, records },
    stack,
  );
  const supply = { ...ofEnis, datapath: "veth" as const };
  const serving = await openServing(base, supply, stack);
  const moved = stack.move();
  return ok({ ...serving, [Symbol.asyncDispose]: () => moved.disposeAsync() });
}
