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
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AttachmentRequest, loadContract } from "./contract.ts";
import { checkCall, checkPodCall, type PodCall } from "./request.ts";

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

export type AgentApi = {
  readonly add: (call: PodCall) => Promise<Result<AddResult>>;
  readonly del: (call: PodCall) => Promise<Result<void>>;
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
  const server = new Server();
  server.addService(contract.service, handlers(options, contract.toStatus));
  const health = new HealthImplementation({ "": "NOT_SERVING", [SERVICE]: "NOT_SERVING" });
  health.addToServer(server);
  new ReflectionService(contract.packageDefinition).addToServer(server);
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

function handlers(
  { api, onBug }: RpcOptions,
  toStatus: (fault: Fault) => object,
): Record<string, UntypedHandleCall> {
  /** A handler that answers with the outcome of `act`, and with `internal` where it throws. */
  const unary =
    <Request>(act: (request: Request) => Promise<Result<object>>) =>
    (call: ServerUnaryCall<Request, object>, reply: Reply): void => {
      act(call.request)
        .catch((error: unknown): Result<object> => {
          onBug(error);
          return failed({ kind: "internal", reason: error instanceof Error ? error.message : String(error) });
        })
        .then((outcome) => (outcome.ok ? reply(null, outcome.value) : reply(toStatus(outcome.fault))))
        .catch(onBug);
    };
  const notYet = (what: string): UntypedHandleCall =>
    unary<AttachmentRequest>(async ({ call }) => {
      const checked = checkCall(call);
      return checked.ok ? failed({ kind: "unsupported", what }) : checked;
    });
  return {
    Add: unary<AttachmentRequest>(async (request) => {
      const call = checkPodCall(request, true);
      return call.ok ? api.add(call.value) : call;
    }),
    Del: unary<AttachmentRequest>(async (request) => {
      const call = checkPodCall(request, false);
      if (!call.ok) return call;
      const outcome = await api.del(call.value);
      return outcome.ok ? ok({}) : outcome;
    }),
    Check: notYet("CHECK"),
    Gc: notYet("GC"),
    Status: notYet("STATUS"),
  };
}
