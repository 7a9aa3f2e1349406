/**
 * The agent's gRPC server on a unix socket: agent.proto, the standard health service and server reflection. Messages
 * become calls of `AgentApi` and its results become messages; nothing is decided here.
 *
 * @module
 */
import { once } from "node:events";
import { chmod, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  type AttachmentRequest,
  type CallMessage,
  type GcRequest,
  loadContract,
  type StatusRequest,
  type Timing,
  timingTrailer,
} from "./contract.ts";
import { addReflection } from "./reflection.ts";
import {
  checkCall,
  type CheckCall,
  checkCheckCall,
  checkGcCall,
  type AddCall,
  checkAddCall,
  checkPodCall,
  deadlineOf,
  type GcCall,
  type PodCall,
} from "./request.ts";

/** The CNI result, without the version: agent.proto, AddReply. */
export type AddResult = {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly sandbox: string;
    readonly mtu: number;
  }[];
  readonly ips: readonly { readonly address: string; readonly gateway: string; readonly interface: number }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
};

/** `timing` goes to the caller in the trailer `TIMING_TRAILER`. */
export type Added = { readonly result: AddResult; readonly timing: Timing };

export type AgentApi = {
  readonly add: (call: AddCall) => Promise<Result<Added>>;
  readonly del: (call: PodCall) => Promise<Result<void>>;
  readonly check: (call: CheckCall) => Promise<Result<void>>;
  readonly gc: (call: GcCall) => Promise<Result<void>>;
  readonly status: () => Promise<Result<void>>;
};

export type RpcServer = AsyncDisposable & {
  /** What the health service answers, for "" and for "terway.agent.v1.Agent". */
  readonly setServing: (serving: boolean) => void;
};

export type RpcOptions = {
  readonly socketPath: string;
  readonly api: AgentApi;
  /** Called for what a handler threw: a bug. */
  readonly onBug: (error: unknown) => void;
  /** How long calls under way may go on when the server closes. */
  readonly drainMs: number;
};

const SERVICE = "terway.agent.v1.Agent";

/** Refuses to start where another agent answers on the socket; a socket that nobody serves is replaced. */
export async function openRpcServer(options: RpcOptions): Promise<Result<RpcServer, string>> {
  const { socketPath, drainMs } = options;
  const directory = dirname(socketPath);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  if (await answers(socketPath)) {
    return failed(
      `another terwayd answers on ${socketPath}; stop it first, or give this one another --socket`,
    );
  }
  await rm(socketPath, { force: true });
  const contract = loadContract();
  // Statistics of each connection, which nobody asks for: the plugin makes one for each call.
  const server = new Server({ "grpc.enable_channelz": 0 });
  server.addService(contract.service, handlers(options, contract.toStatus));
  const health = new HealthImplementation({ "": "NOT_SERVING", [SERVICE]: "NOT_SERVING" });
  health.addToServer(server);
  addReflection(server, contract.packageDefinition);
  const bound = await new Promise<string | undefined>((resolve) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
      resolve(error?.message),
    );
  });
  if (bound !== undefined) return failed(`cannot listen on ${socketPath}: ${bound}`);
  return ok({
    setServing(serving) {
      for (const service of ["", SERVICE]) health.setStatus(service, serving ? "SERVING" : "NOT_SERVING");
    },
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => server.forceShutdown(), drainMs);
      await new Promise<void>((resolve) => {
        server.tryShutdown(() => resolve());
      });
      clearTimeout(timer);
      await rm(socketPath, { force: true });
    },
  });
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

type Reply = sendUnaryData<object>;
type Call<Request> = ServerUnaryCall<Request, object>;
/** A message, and the trailer that goes with it. */
type Answer = { readonly message: object; readonly trailer?: Metadata };

/** What the signal of a call fires with; made once, for each would take along a stack. */
const GONE = new Error("the caller has gone");

/**
 * Fires when the connection is closed, when the deadline of gRPC passes, or when that of the request does. `done` ends the
 * watch: every connection is closed after its answer.
 */
function watchCaller(call: Call<{ readonly call: CallMessage | null }>): {
  readonly signal: AbortSignal;
  readonly done: () => void;
} {
  const gone = new AbortController();
  const leave = (): void => gone.abort(GONE);
  const timer = setTimeout(leave, deadlineOf(call.request.call));
  call.on("cancelled", leave);
  if (call.cancelled) leave();
  return {
    signal: gone.signal,
    done() {
      clearTimeout(timer);
      call.off("cancelled", leave);
    },
  };
}

function handlers(
  { api, onBug }: RpcOptions,
  toStatus: (fault: Fault) => object,
): Record<string, UntypedHandleCall> {
  /** A handler that answers with the outcome of `act`, and with `internal` where it throws. */
  const unary =
    <Request extends { readonly call: CallMessage | null }>(
      act: (request: Request, signal: AbortSignal) => Promise<Result<Answer>>,
    ) =>
    (call: Call<Request>, reply: Reply): void => {
      const caller = watchCaller(call);
      void (async () => {
        const outcome = await act(call.request, caller.signal).catch((error: unknown): Result<Answer> => {
          onBug(error);
          return failed({ kind: "internal", reason: error instanceof Error ? error.message : String(error) });
        });
        caller.done();
        if (outcome.ok) reply(null, outcome.value.message, outcome.value.trailer);
        else reply(toStatus(outcome.fault));
      })().catch(onBug);
    };
  return {
    Add: unary<AttachmentRequest>(async (request, signal) => {
      const call = checkAddCall(request, signal);
      if (!call.ok) return call;
      const added = await api.add(call.value);
      if (!added.ok) return added;
      return ok({ message: added.value.result, trailer: timingTrailer(added.value.timing) });
    }),
    Del: unary<AttachmentRequest>(async (request, signal) => {
      const call = checkPodCall(request, false, signal);
      return call.ok ? empty(await api.del(call.value)) : call;
    }),
    Check: unary<AttachmentRequest>(async (request, signal) => {
      const call = checkCheckCall(request, signal);
      return call.ok ? empty(await api.check(call.value)) : call;
    }),
    Gc: unary<GcRequest>(async (request) => {
      const call = checkGcCall(request);
      return call.ok ? empty(await api.gc(call.value)) : call;
    }),
    Status: unary<StatusRequest>(async (request) => {
      const call = checkCall(request.call);
      return call.ok ? empty(await api.status()) : call;
    }),
  };
}

/** DelReply, CheckReply, GcReply and StatusReply have no fields. */
function empty(outcome: Result<void>): Result<Answer> {
  return outcome.ok ? ok({ message: {} }) : outcome;
}
