/**
 * A simulated VPC that answers over HTTP: API, metadata service and operator's endpoint around the model.
 *
 * @module
 */
import { type InstanceId } from "../../proto/ids.ts";
import { type FabricChange, type FabricCounters } from "../model/fabric.ts";
import { createModel } from "../model/model.ts";
import { type Topology } from "../model/topology.ts";
import { createApiHandler } from "./api-handler.ts";
import { type Clock, createDriver, systemClock } from "./driver.ts";
import { type Listen, openListener } from "./listener.ts";
import { createMetadataHandler } from "./metadata-handler.ts";
import { createOperatorHandler } from "./operator-handler.ts";
import { createOperator, type Operator } from "./operator.ts";

/** `instance`: whose metadata is served here, whatever the address of the caller. */
export type MetadataListen = Listen & { readonly instance?: InstanceId };

export type SimulatorOptions = {
  readonly topology: Topology;
  /** The same seed and the same calls at the same times give the same run. */
  readonly seed: number;
  /** Simulated milliseconds in a real one; above 0. Absent: 1. */
  readonly timeScale?: number;
  readonly clock?: Clock;
  /** Plain HTTP; ECS and VPC answer here. */
  readonly api: Listen;
  readonly metadata?: readonly MetadataListen[];
  /** Has no authentication. */
  readonly operator?: Listen;
  /** Carries changes of the data plane out, in order; the next changes wait for it. Absent: there is none. */
  readonly applyFabric?: (changes: readonly FabricChange[]) => Promise<void>;
  readonly fabricCounters?: () => Promise<FabricCounters>;
};

/** A simulator that serves. Disposing it cuts all connections and waits for the data plane's last change. */
export type Simulator = AsyncDisposable &
  Operator & {
    /** `127.0.0.1:41234`. */
    readonly apiEndpoint: string;
    /** In the order of the option. */
    readonly metadataEndpoints: readonly string[];
    readonly operatorEndpoint: string | undefined;
  };

/**
 * Opens a simulator. It serves, and the primary ENIs are plugged in, when the promise settles.
 *
 * @throws Error with `code` (EADDRINUSE and the like) where it cannot listen, Error where the data plane refuses the
 *   primary ENIs. Nothing stays open then.
 */
export async function openSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { topology, seed, timeScale = 1, clock = systemClock } = options;
  if (!(timeScale > 0)) throw new RangeError(`timeScale is ${timeScale}; it must be above 0`);
  const startMs = clock.wallMs();
  const model = createModel({ topology, seed, startMs });
  const applyFabric = options.applyFabric ?? (() => Promise.resolve());
  await using stack = new AsyncDisposableStack();
  const driver = stack.use(createDriver({ model, startMs, timeScale, clock, applyFabric }));
  const { fabricCounters } = options;
  const operator = createOperator({ model, driver, startMs, timeScale, seed, fabricCounters });
  driver.pump();
  await driver.fabricSettled();
  const [failure] = driver.fabricFailures();
  if (failure !== undefined) throw new Error(`the data plane does not take the primary ENIs: ${failure}`);
  const api = stack.use(await openListener(options.api, createApiHandler(model, driver, clock)));
  const metadata = [];
  for (const { instance, ...listen } of options.metadata ?? []) {
    const handle = createMetadataHandler(model, driver, clock, instance);
    metadata.push(stack.use(await openListener(listen, handle)));
  }
  const operatorListener =
    options.operator === undefined
      ? undefined
      : stack.use(await openListener(options.operator, createOperatorHandler(operator)));
  const opened = stack.move();
  return {
    ...operator,
    apiEndpoint: api.endpoint,
    metadataEndpoints: metadata.map((listener) => listener.endpoint),
    operatorEndpoint: operatorListener?.endpoint,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
