/**
 * `terwayd` on a simulated node, with directories of its own, as docs/try-it.md starts it by hand.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type ClientReadableStream, credentials, makeClientConstructor } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import { type Background, background, must, run, until } from "./process.ts";
import { program } from "./programs.ts";

/** What every agent has. */
type AgentPlace = {
  /** Namespace of the node. */
  readonly namespace: string;
  /** Everything of this agent is below here. */
  readonly directory: string;
  /** `10-terway.conf` of the ConfigMap. */
  readonly cniConf: string;
  /** Command that enters the node; `ip netns exec` of its namespace where absent. */
  readonly enter?: readonly string[];
  /** Path of `terwayd`; the built one where absent. */
  readonly program?: string;
  /** More of its command line. */
  readonly flags?: readonly string[];
};

export type AgentOptions = AgentPlace & {
  /** `eni_conf` of the ConfigMap. */
  readonly eniConf: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** ECS_ENDPOINT and VPC_ENDPOINT. */
  readonly apiUrl: string;
};

/** On premises: no cloud. */
export type HybridAgentOptions = AgentPlace & {
  /** Path of the file that describes the hybrid network. */
  readonly hybridConf: string;
  /** Of this node's record in it. */
  readonly nodeName: string;
};

export type Agent = {
  readonly process: Background;
  readonly socketPath: string;
  /** SIGTERM, then wait; returns the exit status. */
  readonly stop: () => Promise<number | string>;
  /** SIGKILL, then wait. */
  readonly kill: () => Promise<void>;
};

/** Writes the mounted ConfigMap, and the Secret where there is a cloud. */
export async function prepareAgent(options: AgentOptions | HybridAgentOptions): Promise<void> {
  const config = join(options.directory, "eni-config");
  await mkdir(config, { recursive: true });
  await writeFile(join(config, "10-terway.conf"), options.cniConf);
  if ("hybridConf" in options) return;
  const secret = join(options.directory, "secret");
  await mkdir(secret, { recursive: true, mode: 0o700 });
  await writeFile(join(config, "eni_conf"), options.eniConf);
  await writeFile(join(secret, "access-key-id"), options.accessKeyId);
  await writeFile(join(secret, "access-key-secret"), options.accessKeySecret);
}

function commandOf(options: AgentOptions | HybridAgentOptions): string[] {
  const hybrid = "hybridConf" in options;
  return [
    ...(options.enter ?? ["ip", "netns", "exec", options.namespace]),
    ...(hybrid ? [] : ["env", `ECS_ENDPOINT=${options.apiUrl}`, `VPC_ENDPOINT=${options.apiUrl}`]),
    options.program ?? program("terwayd"),
    ...(hybrid
      ? ["--hybrid-conf", options.hybridConf, "--node-name", options.nodeName]
      : ["--secret-dir", join(options.directory, "secret")]),
    "--config",
    join(options.directory, "eni-config"),
    "--state-dir",
    join(options.directory, "state"),
    "--socket",
    join(options.directory, "run/agent.sock"),
    ...(options.flags ?? []),
  ];
}

/** Starts it and waits until its health service says SERVING, or `isUp`; fails with its log where it ends instead. */
export async function startAgent(
  options: AgentOptions | HybridAgentOptions,
  timeoutMs = 30_000,
  isUp: (socketPath: string) => Promise<boolean> = becomesServing,
): Promise<Agent> {
  const [file = "", ...args] = commandOf(options);
  const child = background(file, args, { logPath: join(options.directory, "agent.log") });
  const socketPath = join(options.directory, "run/agent.sock");
  let ended: number | string | undefined;
  const watch = (async () => {
    ended = await child.ended;
  })();
  await until(
    `terwayd in ${options.namespace} serves`,
    async () => {
      if (ended !== undefined) throw new Error(`terwayd ended with ${ended}:\n${child.output()}`);
      // Not asked before there is somebody: that would take the starting agent's processor time.
      return existsSync(socketPath) && isUp(socketPath);
    },
    timeoutMs,
    10,
  ).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${String(error)}\n${child.output()}`);
  });
  return {
    process: child,
    socketPath,
    async stop() {
      child.kill("SIGTERM");
      return child.ended;
    },
    async kill() {
      child.kill("SIGKILL");
      await watch;
    },
  };
}

/** `terwayd --drain`: gives back every ENI and cleans the node; the agent must be stopped. */
export async function drainAgent(options: AgentOptions | HybridAgentOptions): Promise<string> {
  const [file = "", ...args] = commandOf(options);
  return must(file, [...args, "--drain"]);
}

/** Runs it in the foreground to its end: for configurations that it must refuse. */
export async function runAgent(
  options: AgentOptions | HybridAgentOptions,
  extra: readonly string[] = [],
): ReturnType<typeof run> {
  const [file = "", ...args] = commandOf(options);
  return run(file, [...args, ...extra], { timeoutMs: 60_000 });
}

const HealthClient = makeClientConstructor(service, "Health");

/** How long a watch goes on, until it is looked whether the agent is still there. */
const WATCH_MS = 1000;

/** One Watch of grpc.health.v1.Health: costs the starting agent one call, however long it takes. */
async function becomesServing(socketPath: string): Promise<boolean> {
  const client = new HealthClient(`unix:${socketPath}`, credentials.createInsecure());
  const deadline = Date.now() + WATCH_MS;
  const stream: ClientReadableStream<unknown> | undefined = client["Watch"]?.call(
    client,
    { service: "" },
    { deadline },
  );
  try {
    return await new Promise<boolean>((resolve) => {
      stream?.on("data", (reply: unknown) => {
        if (isDeepStrictEqual(reply, { status: "SERVING" })) resolve(true);
      });
      stream?.on("error", () => resolve(false));
      stream?.on("end", () => resolve(false));
    });
  } finally {
    stream?.cancel();
    client.close();
  }
}

/** One Check of grpc.health.v1.Health. */
export async function isServing(socketPath: string): Promise<boolean> {
  const client = new HealthClient(`unix:${socketPath}`, credentials.createInsecure());
  try {
    return await new Promise<boolean>((resolve) => {
      const check = client["Check"];
      if (check === undefined) return resolve(false);
      check.call(
        client,
        { service: "" },
        { deadline: Date.now() + 1000 },
        (error: unknown, reply: unknown) => {
          resolve(error === null && isDeepStrictEqual(reply, { status: "SERVING" }));
        },
      );
    });
  } finally {
    client.close();
  }
}
