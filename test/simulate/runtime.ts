/**
 * The container runtime and the plugin: sandboxes, the calls that are made for them, what is done with the answers, and
 * DELs that are kept in the spool where the agent does not answer.
 *
 * @module
 */
import { type Attachment } from "../../proto/attachment.ts";
import { parseIp } from "../../proto/addr6.ts";
import { type CacheEntry } from "../../daemon/core/rebuild/cache-entry.ts";
import { type Fault } from "../../proto/fault.ts";
import { type Result } from "../../proto/result.ts";
import { hostLinkName } from "../../daemon/core/datapath/link-name.ts";
import { type AddResult, type AgentApi } from "../../daemon/rpc/server.ts";
import { type KernelModel } from "./kernel-model.ts";
import { type Node } from "./node.ts";
import { PODS } from "./operations.ts";
import { type Scheduler } from "./scheduler.ts";
import { type SpoolModel } from "./spool-model.ts";

export type Sandbox = {
  readonly pod: number;
  readonly attachment: Attachment;
  readonly netns: string;
  readonly hostName: string;
  phase: "adding" | "running" | "leaving";
  /** ADDs under way. */
  adding: number;
  abort: AbortController | undefined;
  result: AddResult | undefined;
  /** Somebody broke what it has, behind our back. */
  damaged: boolean;
  /** The agent lost its database since. */
  wasRebuilt: boolean;
  /** The agent may know it by the name of its link alone. */
  mayBeUnknown: boolean;
  /** Somebody took away what the agent makes again. */
  tampered: boolean;
};

/** What the promises are told. */
export type CallWatch = {
  readonly onAdded: (sandbox: Sandbox, result: AddResult) => void;
  readonly onDeleted: (sandbox: Sandbox) => void;
  readonly onRefused: (command: string, fault: Fault) => void;
  readonly onLate: (command: string, sandbox: Sandbox) => void;
  readonly onCheckFailed: (sandbox: Sandbox, fault: Fault) => void;
};

export type Runtime = {
  /** All that the runtime knows. */
  readonly sandboxes: ReadonlySet<Sandbox>;
  readonly add: (pod: number, deadlineMs: number, retries: number) => void;
  readonly del: (pod: number, netns: "there" | "gone" | "empty", twice: boolean) => void;
  readonly cancel: (pod: number) => void;
  readonly vanish: (pod: number) => void;
  readonly check: (pod: number) => void;
  readonly gc: (list: boolean) => void;
  readonly status: () => void;
  readonly delUnknown: () => void;
  /** All sandboxes died; the runtime cleans up after half of them. */
  readonly reboot: () => void;
};

const NETWORK = "terway";
const DEL_DEADLINE_MS = 30_000;

type Answer<Value> =
  | { readonly kind: "ok"; readonly value: Value }
  | { readonly kind: "fault"; readonly fault: Fault }
  /** The connection ended, or nobody listens. */
  | { readonly kind: "gone" }
  | { readonly kind: "late" };

type Machine = {
  readonly scheduler: Scheduler;
  readonly node: Node;
  readonly kernel: KernelModel;
  readonly spool: SpoolModel;
  readonly watch: CallWatch;
  readonly sandboxes: Set<Sandbox>;
  readonly slots: (Sandbox | undefined)[];
};

export function openRuntime(parts: Omit<Machine, "sandboxes" | "slots">): Runtime {
  const machine: Machine = {
    ...parts,
    sandboxes: new Set(),
    slots: Array.from({ length: PODS }, () => undefined),
  };
  const { kernel, sandboxes, slots } = machine;
  let made = 0;
  return {
    sandboxes,
    add(pod, deadlineMs, retries) {
      const sandbox = slots[pod] ?? newSandbox(machine, pod, (made += 1));
      // An ADD makes the pod anew that the agent does not know.
      sandbox.damaged ||= sandbox.mayBeUnknown;
      void add(machine, sandbox, deadlineMs, retries);
    },
    del(pod, netns, twice) {
      const sandbox = slots[pod];
      if (sandbox === undefined) return;
      if (netns === "gone") kernel.endNamespace(sandbox.netns);
      leave(machine, sandbox, netns === "empty" ? "" : sandbox.netns);
      if (twice) void callDel(machine, sandbox, sandbox.netns);
    },
    cancel(pod) {
      const sandbox = slots[pod];
      if (sandbox?.abort === undefined) return;
      sandbox.abort.abort();
      leave(machine, sandbox, sandbox.netns);
    },
    vanish(pod) {
      const sandbox = slots[pod];
      if (sandbox === undefined) return;
      kernel.endNamespace(sandbox.netns);
      forget(machine, sandbox);
    },
    check(pod) {
      const sandbox = slots[pod];
      if (sandbox?.phase === "running") void check(machine, sandbox);
    },
    gc(list) {
      const valid = list ? [...sandboxes].map(({ attachment }) => attachment) : undefined;
      void plain(machine, "GC", ({ gc }) => gc({ network: NETWORK, valid }));
    },
    status() {
      void plain(machine, "STATUS", ({ status }) => status());
    },
    delUnknown() {
      const attachment = { network: NETWORK, containerId: "nobody", ifName: "eth0" };
      void plain(machine, "DEL of an unknown container", ({ del }, signal) =>
        del({ ...podCall(attachment, "", DEL_DEADLINE_MS), signal }),
      );
    },
    reboot() {
      for (const sandbox of sandboxes) {
        if (sandbox.pod % 2 === 0) leave(machine, sandbox, "");
        else forget(machine, sandbox);
      }
    },
  };
}

function newSandbox({ kernel, sandboxes, slots }: Machine, pod: number, serial: number): Sandbox {
  const attachment: Attachment = { network: NETWORK, containerId: `c${serial}`, ifName: "eth0" };
  const sandbox: Sandbox = {
    pod,
    attachment,
    netns: `/run/netns/c${serial}`,
    hostName: hostLinkName(attachment),
    phase: "adding",
    adding: 0,
    abort: undefined,
    result: undefined,
    damaged: false,
    wasRebuilt: false,
    mayBeUnknown: false,
    tampered: false,
  };
  kernel.tables.namespaces.add(sandbox.netns);
  sandboxes.add(sandbox);
  slots[pod] = sandbox;
  return sandbox;
}

function forget({ sandboxes, slots, kernel }: Machine, sandbox: Sandbox): void {
  sandbox.phase = "leaving";
  if (slots[sandbox.pod] === sandbox) slots[sandbox.pod] = undefined;
  kernel.endNamespace(sandbox.netns);
  sandboxes.delete(sandbox);
}

/** What libcni keeps: the results of ADDs that were answered, until a DEL was. */
export function resultsOf(sandboxes: ReadonlySet<Sandbox>): readonly CacheEntry[] {
  return [...sandboxes].flatMap(({ attachment, netns, result }) =>
    result === undefined
      ? []
      : [
          {
            attachment,
            netns,
            pod: "",
            addresses: result.ips.flatMap(({ address }) => parseIp(address.replace(/\/\d+$/, "")) ?? []),
          },
        ],
  );
}

function podCall(attachment: Attachment, netns: string, deadlineMs: number) {
  return { attachment, netns, args: {}, deadlineMs, traceparent: "" };
}

/** One call of the plugin: its connection, its deadline. */
async function call<Value>(
  { node, scheduler }: Machine,
  deadlineMs: number,
  invoke: (api: AgentApi, signal: AbortSignal) => Promise<Result<Value>>,
  abort = new AbortController(),
): Promise<Answer<Value>> {
  const serving = node.serving();
  if (serving === undefined) return { kind: "gone" };
  const { promise: late, resolve } = Promise.withResolvers<Answer<Value>>();
  using _timer = scheduler.after(deadlineMs, () => {
    resolve({ kind: "late" });
    abort.abort();
  });
  const gone = async (): Promise<Answer<Value>> => {
    await serving.lost;
    abort.abort();
    return { kind: "gone" };
  };
  const answered = async (): Promise<Answer<Value>> => {
    const result = await serving.life.during(invoke(serving.api, abort.signal));
    return result.ok ? { kind: "ok", value: result.value } : { kind: "fault", fault: result.fault };
  };
  return await Promise.race([answered(), gone(), late]);
}

/** A call whose only interesting answer is a refusal. */
async function plain(
  machine: Machine,
  name: string,
  invoke: (api: AgentApi, signal: AbortSignal) => Promise<Result<void>>,
): Promise<void> {
  const answer = await call(machine, DEL_DEADLINE_MS, invoke);
  if (answer.kind === "fault") machine.watch.onRefused(name, answer.fault);
}

async function add(machine: Machine, sandbox: Sandbox, deadlineMs: number, retries: number): Promise<void> {
  const { scheduler, watch } = machine;
  const abort = new AbortController();
  sandbox.abort = abort;
  sandbox.adding += 1;
  const answer = await call(
    machine,
    deadlineMs,
    (api, signal) =>
      api.add({ ...podCall(sandbox.attachment, sandbox.netns, deadlineMs), signal, bandwidth: {} }),
    abort,
  );
  sandbox.adding -= 1;
  if (sandbox.abort === abort) sandbox.abort = undefined;
  if (sandbox.phase === "leaving") return;
  if (answer.kind === "ok") {
    watch.onAdded(sandbox, answer.value.result);
    sandbox.result = answer.value.result;
    sandbox.phase = "running";
    return;
  }
  if (answer.kind === "fault") watch.onRefused("ADD", answer.fault);
  if (answer.kind === "late") watch.onLate("ADD", sandbox);
  if (sandbox.phase === "running" || sandbox.adding > 0) return;
  if (retries === 0) return leave(machine, sandbox, sandbox.netns);
  await scheduler.take(500, 3_000);
  if (isAdding(sandbox)) await add(machine, sandbox, deadlineMs, retries - 1);
}

/** Asked anew: it may have changed while something was awaited. */
function isAdding({ phase, adding }: Sandbox): boolean {
  return phase === "adding" && adding === 0;
}

/** The sandbox goes: DEL until somebody takes it. */
function leave(machine: Machine, sandbox: Sandbox, netns: string): void {
  if (sandbox.phase === "leaving") return;
  sandbox.phase = "leaving";
  if (machine.slots[sandbox.pod] === sandbox) machine.slots[sandbox.pod] = undefined;
  void callDel(machine, sandbox, netns);
}

async function callDel(machine: Machine, sandbox: Sandbox, netns: string): Promise<void> {
  const { scheduler, watch, kernel, spool, sandboxes } = machine;
  const { attachment } = sandbox;
  for (;;) {
    const answer = await call(machine, DEL_DEADLINE_MS, ({ del }, signal) =>
      del({ ...podCall(attachment, netns, DEL_DEADLINE_MS), signal }),
    );
    const isUnheard =
      answer.kind === "gone" || (answer.kind === "fault" && answer.fault.kind === "not-ready");
    if (isUnheard) spool.keep(attachment);
    if (answer.kind === "ok") watch.onDeleted(sandbox);
    if (isUnheard || answer.kind === "ok") break;
    if (answer.kind === "fault") watch.onRefused("DEL", answer.fault);
    await scheduler.take(500, 5_000);
  }
  kernel.endNamespace(sandbox.netns);
  sandboxes.delete(sandbox);
}

async function check(machine: Machine, sandbox: Sandbox): Promise<void> {
  const { attachment, netns, result } = sandbox;
  const deadlineMs = 30_000;
  const { kernel } = machine;
  const link = kernel.tables.links.get(sandbox.hostName);
  if (link !== undefined && kernel.isPassing(link)) sandbox.tampered = false;
  const answer = await call(machine, deadlineMs, (api, signal) =>
    api.check({
      ...podCall(attachment, netns, deadlineMs),
      signal,
      prevResult: { cniVersion: "1.0.0", ...result },
    }),
  );
  if (answer.kind !== "fault" || sandbox.phase !== "running") return;
  if (answer.fault.kind === "check-failed") machine.watch.onCheckFailed(sandbox, answer.fault);
  else machine.watch.onRefused("CHECK", answer.fault);
}
