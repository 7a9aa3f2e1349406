/**
 * The Container Runtime Interface as kubelet calls it: pod sandboxes of a containerd, over its socket (cri.proto).
 *
 * @module
 */
import { join } from "node:path";
import { type ChannelOptions, credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import * as z from "zod";

export type SandboxRequest = {
  /** Of the pod; its uid is the same. */
  readonly name: string;
  readonly namespace: string;
  /** A control group that is there, from the root: "/tw1". */
  readonly cgroupParent: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** `"NODE"`: the network of the runtime itself, no plugin is called. */
  readonly network?: "POD" | "NODE";
};

export type Sandbox = {
  readonly id: string;
  readonly name: string;
  readonly state: "SANDBOX_READY" | "SANDBOX_NOTREADY";
  /** Empty where it has none (stopped, or the node's network). */
  readonly address: string;
  /** Path of its network namespace as the runtime sees it; empty for the node's. */
  readonly netns: string;
};

/** A condition of the runtime: `RuntimeReady`, `NetworkReady`. */
export type Condition = z.infer<typeof CONDITION>;

export type Cri = {
  /** Id of the sandbox. Throws what the runtime says. */
  readonly run: (request: SandboxRequest) => Promise<string>;
  readonly stop: (id: string) => Promise<void>;
  readonly remove: (id: string) => Promise<void>;
  readonly sandbox: (id: string) => Promise<Sandbox>;
  readonly list: () => Promise<readonly string[]>;
  readonly conditions: () => Promise<readonly Condition[]>;
  readonly version: () => Promise<string>;
  readonly close: () => void;
};

const RUN_TIMEOUT_MS = 120_000;

const CONDITION = z.object({
  type: z.string(),
  status: z.boolean(),
  reason: z.string(),
  message: z.string(),
});
const STATUS_REPLY = z.object({ status: z.object({ conditions: z.array(CONDITION) }) });
const RUN_REPLY = z.object({ pod_sandbox_id: z.string().min(1) });
const VERSION_REPLY = z.object({ runtime_version: z.string() });
const LIST_REPLY = z.object({ items: z.array(z.object({ id: z.string() })) });
const SANDBOX_REPLY = z.object({
  status: z.object({
    id: z.string(),
    metadata: z.object({ name: z.string() }),
    state: z.enum(["SANDBOX_READY", "SANDBOX_NOTREADY"]),
    network: z.object({ ip: z.string() }).nullish(),
  }),
  info: z.record(z.string(), z.string()),
});
/** containerd's own, in `info` of a verbose status. */
const INFO = z.looseObject({
  runtimeSpec: z.looseObject({
    linux: z.looseObject({
      namespaces: z.array(z.looseObject({ type: z.string(), path: z.string().default("") })),
    }),
  }),
});

type Method = (
  request: object,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, reply: unknown) => void,
) => void;

/** Connects to `socketPath` on the first call. */
export function openCri(socketPath: string): Cri {
  const definition = loadSync(join(import.meta.dirname, "cri.proto"), {
    keepCase: true,
    defaults: true,
    enums: String,
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- grpc-js types its packages as a tree of anything
  const loaded = loadPackageDefinition(definition) as unknown as {
    readonly runtime: {
      readonly v1: {
        readonly RuntimeService: new (address: string, channel: object, options: ChannelOptions) => Service;
      };
    };
  };
  const client = new loaded.runtime.v1.RuntimeService(
    `unix:${socketPath}`,
    credentials.createInsecure(),
    // It is asked while it starts.
    { "grpc.initial_reconnect_backoff_ms": 20, "grpc.max_reconnect_backoff_ms": 100 },
  );
  const call = async (name: string, request: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const method = client[name];
      if (typeof method !== "function") throw new Error(`cri.proto has no ${name}`);
      method.call(client, request, { deadline: Date.now() + RUN_TIMEOUT_MS }, (error, reply) => {
        if (error === null) resolve(reply);
        else reject(new Error(`${name}: ${error.details}`, { cause: error }));
      });
    });
  return {
    run: async (request) => RUN_REPLY.parse(await call("RunPodSandbox", runRequest(request))).pod_sandbox_id,
    async stop(id) {
      await call("StopPodSandbox", { pod_sandbox_id: id });
    },
    async remove(id) {
      await call("RemovePodSandbox", { pod_sandbox_id: id });
    },
    sandbox: async (id) => sandboxOf(await call("PodSandboxStatus", { pod_sandbox_id: id, verbose: true })),
    list: async () => LIST_REPLY.parse(await call("ListPodSandbox", {})).items.map((item) => item.id),
    conditions: async () => STATUS_REPLY.parse(await call("Status", {})).status.conditions,
    version: async () => VERSION_REPLY.parse(await call("Version", {})).runtime_version,
    close: () => client.close(),
  };
}

type Service = { readonly close: () => void } & Readonly<Record<string, Method | undefined>>;

function runRequest(request: SandboxRequest): object {
  const { name, namespace, cgroupParent, annotations = {}, network = "POD" } = request;
  return {
    config: {
      metadata: { name, uid: `${namespace}-${name}`, namespace, attempt: 0 },
      // A pod on the node's network has the node's name.
      ...(network === "POD" && { hostname: name }),
      annotations,
      linux: {
        cgroup_parent: cgroupParent,
        security_context: { namespace_options: { network } },
      },
    },
  };
}

function sandboxOf(reply: unknown): Sandbox {
  const { status, info } = SANDBOX_REPLY.parse(reply);
  const spec = INFO.safeParse(JSON.parse(info["info"] ?? "{}"));
  const namespaces = spec.data?.runtimeSpec.linux.namespaces ?? [];
  return {
    id: status.id,
    name: status.metadata.name,
    state: status.state,
    address: status.network?.ip ?? "",
    netns: namespaces.find(({ type }) => type === "network")?.path ?? "",
  };
}
