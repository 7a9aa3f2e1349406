/**
 * For tests: the agent's cloud edge wired to a simulated VPC of its own, over signed HTTP on the loopback interface.
 *
 * @module
 */
import { type Budget, openBudget } from "../daemon/cloud/budget.ts";
import { type AccessKey } from "../daemon/cloud/call.ts";
import { openCloud } from "../daemon/cloud/cloud.ts";
import { type Metadata, openMetadata } from "../daemon/cloud/metadata.ts";
import { type Cloud, type CloudResult, type CreateEni } from "../daemon/core/cloud.ts";
import { instanceId, securityGroupId, vSwitchId } from "../proto/ids.ts";
import { ok, type Result } from "../proto/result.ts";
import { openSimulator, type Simulator } from "../sim/http/server.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../sim/model/topology-default.ts";
import { parseTopology } from "../sim/model/topology-file.ts";
import { type TopologyFile } from "../sim/model/topology.ts";

/** The key of the default topology, which may do what the documentation says and no more. */
export const KEY: AccessKey = {
  accessKeyId: "LTAI5tSimulatedVpcKey",
  accessKeySecret: "simulated-vpc-secret",
  source: "Secret alibaba-addon-secret",
};
export const NODE = instanceId("i-node-1");
export const PODS = vSwitchId("vsw-pods-h2");
export const CREATE: CreateEni = {
  token: "token-1",
  vSwitch: PODS,
  securityGroups: [securityGroupId("sg-pods")],
  secondaryCount: 3,
  tags: { creator: "terway", node: "node 1/ä" },
};

export type Wire = AsyncDisposable & {
  readonly simulator: Simulator;
  readonly cloud: Cloud;
  readonly budget: Budget;
  readonly metadata: Metadata;
};

/** Simulated time runs a hundred times as fast. All ends with `await using`. */
export async function openWire(
  options: {
    readonly file?: Partial<TopologyFile>;
    readonly key?: AccessKey;
    readonly credentials?: (metadata: Metadata) => { current(): Promise<Result<AccessKey>> };
    readonly timeoutMs?: number;
  } = {},
): Promise<Wire> {
  const topology = parseTopology(JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, ...options.file }));
  if (!topology.ok) throw new Error(JSON.stringify(topology.fault));
  await using stack = new AsyncDisposableStack();
  const loopback = { host: "127.0.0.1", port: 0 };
  const simulator = stack.use(
    await openSimulator({
      topology: topology.value,
      seed: 7,
      timeScale: 100,
      api: loopback,
      metadata: [{ ...loopback, instance: NODE }],
    }),
  );
  const endpoint = `http://${simulator.apiEndpoint}`;
  const metadata = stack.use(
    openMetadata({
      baseUrl: `http://${simulator.metadataEndpoints[0]}`,
      timeoutMs: 1000,
      now: () => Date.now(),
      sleep: () => sleep(1),
    }),
  );
  const budget = openBudget({ burst: 200, now: () => performance.now(), sleep });
  const fixed = { current: () => Promise.resolve(ok(options.key ?? KEY)) };
  const cloud = stack.use(
    openCloud({
      region: "cn-hangzhou",
      ecsEndpoint: endpoint,
      vpcEndpoint: endpoint,
      credentials: options.credentials?.(metadata) ?? fixed,
      timeoutMs: options.timeoutMs ?? 5000,
      budget,
      now: () => performance.now(),
    }),
  );
  const opened = stack.move();
  return { simulator, cloud, budget, metadata, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** What a call must have given. */
export function value<Value>(result: CloudResult<Value>): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.fault));
  return result.value;
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
