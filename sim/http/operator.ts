/**
 * What an operator can see and do: as functions for programs, and over HTTP in `operator-handler.ts`.
 *
 * @module
 */
import { type EniId, vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type CallReport } from "../model/calls.ts";
import { type FabricCounters } from "../model/fabric.ts";
import { type Latencies, type LatencyChanges } from "../model/latencies.ts";
import { type FaultReport, type Model } from "../model/model.ts";
import { parseOrder, type OrderInput } from "../model/orders.ts";
import { type CloudState } from "../model/state.ts";
import { type Topology } from "../model/topology.ts";
import { type Driver } from "./driver.ts";

/** `GET /_sim/state`. */
export type SimulatorState = CloudState & {
  /** Absent where nobody counts. */
  readonly fabric?: FabricCounters;
};

/** `GET /_sim/status`. */
export type SimulatorStatus = {
  /** Simulated milliseconds since 1970. */
  readonly nowMs: number;
  readonly upMs: number;
  readonly timeScale: number;
  readonly seed: number;
  readonly region: string;
  readonly faults: number;
  readonly broken: number;
};

/** What an order has led to: the id of a fault that stands, or the ENI that an event concerned. */
export type OrderResult = { readonly id?: string; readonly eni?: EniId };

export type Operator = {
  readonly topology: Topology;
  status(): SimulatorStatus;
  /** What the cloud holds and what is broken, the data plane's failures included. */
  state(): Promise<SimulatorState>;
  calls(): CallReport;
  /** Puts a fault in force or makes an event happen. The failure is a sentence for people. */
  order(order: unknown): Result<OrderResult, string>;
  /** As `order`, for what is known to be right. Throws where it is not. */
  mustOrder(order: OrderInput): OrderResult;
  faults(): readonly FaultReport[];
  /** False where there is none with this id. */
  removeFault(id: string): boolean;
  clearFaults(): void;
  latencies(): Latencies;
  changeLatencies(changes: LatencyChanges): Latencies;
  /** Only `leave` more addresses of the vSwitch can be had, whatever is released, until it is refilled. */
  drain(vSwitch: string, leave?: number): Result<{ readonly available: number }, string>;
  refill(vSwitch: string): Result<{ readonly available: number }, string>;
};

/** An operator of `model`, which `driver` runs. */
export function createOperator(options: {
  readonly model: Model;
  readonly driver: Driver;
  readonly startMs: number;
  readonly timeScale: number;
  readonly seed: number;
  readonly fabricCounters: (() => Promise<FabricCounters>) | undefined;
}): Operator {
  const { model, driver, startMs, timeScale, seed, fabricCounters } = options;
  const order = (input: unknown): Result<OrderResult, string> => {
    const parsed = parseOrder(input);
    if (!parsed.ok) return parsed;
    if (parsed.value.order === "fault") return ok({ id: model.addFault(parsed.value.fault) });
    const happened = model.happen(parsed.value.event, driver.nowMs());
    driver.pump();
    return happened;
  };
  const cloud = (): CloudState => {
    const state = model.state(driver.nowMs());
    driver.pump();
    const failures = driver.fabricFailures().map((detail) => ({ invariant: "data-plane" as const, detail }));
    return { ...state, broken: [...state.broken, ...failures] };
  };
  return {
    topology: model.topology,
    status: () => {
      const { nowMs, region, broken } = cloud();
      const upMs = nowMs - startMs;
      return { nowMs, upMs, timeScale, seed, region, faults: model.faults().length, broken: broken.length };
    },
    state: async () => {
      await driver.fabricSettled();
      const fabric = await fabricCounters?.();
      return fabric === undefined ? cloud() : { ...cloud(), fabric };
    },
    calls: () => model.calls(),
    order,
    mustOrder: (input) => {
      const done = order(input);
      if (!done.ok) throw new Error(done.fault);
      return done.value;
    },
    faults: () => model.faults(),
    removeFault: (id) => model.removeFault(id),
    clearFaults: () => model.clearFaults(),
    latencies: () => model.latencies(),
    changeLatencies: (changes) => {
      model.changeLatencies(changes);
      return model.latencies();
    },
    drain: (vSwitch, leave = 0) =>
      Number.isSafeInteger(leave) && leave >= 0
        ? model.drain(vSwitchId(vSwitch), leave)
        : failed(`leave is ${leave}; it must be 0 or more`),
    refill: (vSwitch) => model.drain(vSwitchId(vSwitch), undefined),
  };
}
