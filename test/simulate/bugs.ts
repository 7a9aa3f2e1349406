/**
 * Bugs that are put in on purpose, each by changing what a life of the agent works with: the agent's code stays as it is. The
 * simulation has to find every one of them (`bites.test.ts`).
 *
 * @module
 */
import { type Caller } from "../../daemon/cloud/call.ts";
import { type StoreChange } from "../../daemon/store/schema.ts";
import { failed, ok } from "../../proto/result.ts";
import { type Variant } from "./node.ts";

/** Parameters that are not those of the agent, for a request that is otherwise the same. */
function withParameters(
  caller: Caller,
  change: (action: string, parameters: Record<string, unknown>) => Record<string, unknown>,
): Caller {
  return {
    ...caller,
    call: (call) =>
      caller.call({
        ...call,
        parameters: { toMap: () => change(call.action, call.parameters.toMap()) },
      }),
  };
}

/** Each call has a token of its own, so a call that is repeated has its effect twice. */
const noTokenReuse: Variant = (ports) => {
  let calls = 0;
  const caller = withParameters(ports.caller, (_, parameters) =>
    "ClientToken" in parameters
      ? { ...parameters, ClientToken: `life-${ports.life.number}-${(calls += 1)}` }
      : parameters,
  );
  return { ...ports, caller };
};

/** The kernel is not asked whether a pod has an address before it is given back: the pool's word is enough. */
export const releaseOnOneSource: Variant = (ports) => ({
  ...ports,
  releaseKernel: { ...ports.releaseKernel, podTraces: async () => ok([]) },
});

/** Cooldowns are not on disk. */
const forgottenCooldown: Variant = (ports) => without(ports, ({ kind }) => kind === "put-cooldown");

/** Leases are said to be written before they are. */
const replyBeforePersist: Variant = (ports) => ({
  ...ports,
  store: {
    ...ports.store,
    write(changes) {
      if (!changes.some(({ kind }) => kind === "put-lease")) return ports.store.write(changes);
      ports.life.timers.after(5, () => void ports.store.write(changes));
      return ok(undefined);
    },
  },
});

/** A DEL of the spool is thrown away. */
const lostDel: Variant = (ports) => ({
  ...ports,
  spoolFor: () =>
    ports.spoolFor(async (_, { finish }) => {
      finish();
      return ok(undefined);
    }),
});

/** The lease outlives its pod: it is never deleted. */
const keptLease: Variant = (ports) => without(ports, ({ kind }) => kind === "delete-lease");

/** An interface is said to be gone before it is. */
const reportedTooEarly: Variant = (ports) => ({
  ...ports,
  kernel: {
    ...ports.kernel,
    async detachPod(pod) {
      ports.life.timers.after(200, () => void ports.kernel.detachPod(pod));
      return ok(undefined);
    },
  },
});

/** A refusal that names a bug instead of its cause. */
const wrongRefusal: Variant = (ports) => ({
  ...ports,
  host: {
    ...ports.host,
    checkNetns: (path) => failed({ kind: "internal", reason: `${path} could not be looked at` }),
  },
});

/** Nobody hears what others change: it is found by looks alone, minutes later. */
const deafToChanges: Variant = (ports) => ({
  ...ports,
  kernel: { ...ports.kernel, watchDrift: () => ports.kernel.watchDrift(() => undefined) },
});

/** What is said of a listener that has overflowed, or of all pods at once, is not heard. */
const lostOverflow: Variant = (ports) => ({
  ...ports,
  kernel: {
    ...ports.kernel,
    watchDrift: (onSuspect) =>
      ports.kernel.watchDrift((suspect) => {
        if (suspect.kind !== "all") onSuspect(suspect);
      }),
  },
});

function without(ports: Parameters<Variant>[0], isLost: (change: StoreChange) => boolean): typeof ports {
  const write: typeof ports.store.write = (changes) =>
    ports.store.write(changes.filter((change) => !isLost(change)));
  return { ...ports, store: { ...ports.store, write } };
}

/** By name: the bug, and what the simulation says about it. */
export const BUGS: Readonly<Record<string, { readonly variant: Variant; readonly said: RegExp }>> = {
  "no token reuse": { variant: noTokenReuse, said: /promise 2/ },
  "forgotten cooldown": { variant: forgottenCooldown, said: /promise 4/ },
  "reply before persist": { variant: replyBeforePersist, said: /promise 1/ },
  "lost DEL": { variant: lostDel, said: /promise 3|leak/ },
  "kept lease": { variant: keptLease, said: /promise [13]|leak/ },
  "interface gone too early": { variant: reportedTooEarly, said: /promise [13]/ },
  "deaf to changes": { variant: deafToChanges, said: /promise 7: \S+ is not mended/ },
  "an overflow without a look": { variant: lostOverflow, said: /promise 7: \S+ is not mended/ },
  "refusal without a cause": { variant: wrongRefusal, said: /promise 8/ },
};
