/**
 * The simulated VPC: a cloud in memory that knows no clock but the times it is given and no chance but its seed.
 *
 * Whoever runs it calls `advance` when the clock has reached `nextDueMs`, and after each `submit`, and passes on what
 * comes out: answers to callers and changes of the data plane, both in order.
 *
 * @module
 */
import { type EniId, type InstanceId, type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { createAgenda } from "./agenda.ts";
import { type CallEnd, type CallReport, emptyCallLog, noteCall, reportCalls } from "./calls.ts";
import { catchUpMetadata, createPrimaryEni } from "./eni.ts";
import { applyEvent, type SimEvent } from "./events.ts";
import { type FabricChange } from "./fabric.ts";
import { type Fault, type StandingFault } from "./faults.ts";
import { type Latencies, latenciesWith, type LatencyChanges } from "./latencies.ts";
import { answerMetadata, instanceByAddress, type MetadataAnswer, type MetadataRequest } from "./metadata.ts";
import { type Parameters } from "./parameters.ts";
import { availableCount, createPool, createPool6 } from "./pool.ts";
import { drawRequestId, seededRandom } from "./random.ts";
import { findCredential, type KnownCredential } from "./role-credentials.ts";
import { type CloudState, reportState } from "./state.ts";
import { type ApiRequest, submit } from "./submit.ts";
import { type InstanceSpec, type Topology } from "./topology.ts";
import { poolOf, type Reply, type World } from "./world.ts";

/** What has come about. */
export type Progress = { readonly changes: readonly FabricChange[]; readonly replies: readonly Reply[] };

/** A fault in force, as operators see it. */
export type FaultReport = Fault & { readonly id: string; readonly remaining: number | undefined };

/** A simulated VPC. Times are milliseconds of its own clock unless they are called `wallMs`. */
export type Model = {
  readonly topology: Topology;
  /** Takes a call in; its answer comes out of `advance` with the number that is returned, now or later or never. */
  submit(request: ApiRequest, nowMs: number): number;
  /** When `advance` has something to do. */
  nextDueMs(): number | undefined;
  /** Does everything that is due, and hands out what came about since the last time. Time never goes back. */
  advance(nowMs: number): Progress;
  /** A metadata request; no delay. */
  metadata(request: MetadataRequest, nowMs: number, wallMs: number): MetadataAnswer;
  instanceBySourceIp(address: string): InstanceId | undefined;
  credential(accessKeyId: string): KnownCredential | undefined;
  /** The clock that signatures are judged by. */
  signatureClockMs(wallMs: number): number;
  /** Counts a call that was refused before it got in. */
  noteRefused(
    call: { readonly action: string; readonly parameters: Parameters; readonly code: string },
    nowMs: number,
  ): string;
  /** Puts a fault in force; its id. */
  addFault(fault: Fault): string;
  faults(): readonly FaultReport[];
  /** False where there is none with this id. */
  removeFault(id: string): boolean;
  clearFaults(): void;
  happen(event: SimEvent, nowMs: number): Result<{ readonly eni?: EniId }, string>;
  latencies(): Latencies;
  changeLatencies(changes: LatencyChanges): void;
  /** Only `leave` more addresses of the vSwitch can be had; `undefined` ends that. */
  drain(vSwitch: VSwitchId, leave: number | undefined): Result<{ readonly available: number }, string>;
  state(nowMs: number): CloudState;
  calls(): CallReport;
};

/** A cloud at `startMs` (since 1970): the instances are there with their primary ENIs, which `advance` plugs in. */
export function createModel(options: {
  readonly topology: Topology;
  readonly seed: number;
  readonly startMs: number;
}): Model {
  const world = createWorld(options);
  const goOn = (nowMs: number): void => catchUp(world, nowMs);
  return {
    topology: world.topology,
    submit: (request, nowMs) => {
      goOn(nowMs);
      return submit(world, request);
    },
    nextDueMs: () => world.agenda.nextDueMs(),
    advance: (nowMs) => {
      goOn(nowMs);
      const { changes, replies } = world.out;
      world.out.changes = [];
      world.out.replies = [];
      return { changes, replies };
    },
    metadata: (request, nowMs, wallMs) => {
      goOn(nowMs);
      return answerMetadata(world, request, wallMs);
    },
    instanceBySourceIp: (address) => instanceByAddress(world, address),
    credential: (accessKeyId) => findCredential(world, accessKeyId),
    signatureClockMs: (wallMs) => wallMs + world.clockSkewMs,
    noteRefused: (call, nowMs) => {
      goOn(nowMs);
      const requestId = drawRequestId(world.random);
      const end: CallEnd = "refused";
      noteCall(world.calls, { ...call, atMs: world.nowMs, end, requestId });
      return requestId;
    },
    latencies: () => world.latencies,
    changeLatencies: (changes) => {
      world.latencies = latenciesWith(changes, world.latencies);
    },
    happen: (event, nowMs) => {
      goOn(nowMs);
      return applyEvent(world, event);
    },
    drain: (vSwitch, leave) => drain(world, vSwitch, leave),
    state: (nowMs) => {
      goOn(nowMs);
      return reportState(world);
    },
    calls: () => reportCalls(world.calls),
    ...faultKeeper(world),
  };
}

function faultKeeper(world: World): Pick<Model, "addFault" | "faults" | "removeFault" | "clearFaults"> {
  const keep = (wanted: (entry: StandingFault) => boolean): boolean => {
    const left = world.faults.filter(wanted);
    const removed = left.length < world.faults.length;
    world.faults.splice(0, world.faults.length, ...left);
    catchUpMetadata(world);
    return removed;
  };
  return {
    addFault: (fault) => {
      const id = `fault-${++world.counters.fault}`;
      const remaining = "times" in fault ? fault.times : undefined;
      world.faults.push({ id, fault, skip: "skip" in fault ? fault.skip : 0, remaining });
      return id;
    },
    faults: () => world.faults.map(({ id, fault, remaining }) => ({ ...fault, id, remaining })),
    removeFault: (id) => keep((entry) => entry.id !== id),
    clearFaults: () => {
      keep(() => false);
    },
  };
}

function createWorld(options: {
  readonly topology: Topology;
  readonly seed: number;
  readonly startMs: number;
}): World {
  const { topology, seed, startMs } = options;
  const random = seededRandom(seed);
  const world: World = {
    topology,
    random,
    agenda: createAgenda(),
    nowMs: startMs,
    startedMs: startMs,
    instances: new Map(topology.instances.map((instance) => [instance.id, instance])),
    securityGroups: new Set([
      ...topology.instances.flatMap((instance) => instance.securityGroups),
      ...topology.securityGroups,
    ]),
    pools: new Map(topology.vSwitches.map((spec) => [spec.id, createPool(spec)])),
    pools6: new Map(
      topology.vSwitches.flatMap((spec) =>
        spec.ipv6Cidr === undefined ? [] : [[spec.id, createPool6(spec, spec.ipv6Cidr, random)] as const],
      ),
    ),
    enis: new Map(),
    described: new Map(),
    metadata: new Map(),
    metadataMissed: new Map(),
    shownAt: { described: new Map(), metadata: new Map() },
    fabric: new Map(),
    locks: new Map(),
    tokens: new Map(),
    throttle: new Map(),
    faults: [],
    calls: emptyCallLog(),
    latencies: topology.latencies,
    roleSessions: [],
    clockSkewMs: 0,
    metadataTokens: new Map(),
    out: { changes: [], replies: [] },
    counters: { call: 1, eni: 0, fault: 0 },
  };
  // Those whose address is given come first, so that nobody else gets it.
  for (const instance of topology.instances.toSorted(givenAddressFirst)) {
    createPrimaryEni(world, instance, poolOf(world, instance.vSwitch).spec);
  }
  return world;
}

function givenAddressFirst(a: InstanceSpec, b: InstanceSpec): number {
  return Number(a.address === undefined) - Number(b.address === undefined);
}

function catchUp(world: World, nowMs: number): void {
  for (;;) {
    const due = world.agenda.takeDue(nowMs);
    if (due === undefined) break;
    world.nowMs = Math.max(world.nowMs, due.dueMs);
    due.run();
  }
  world.nowMs = Math.max(world.nowMs, nowMs);
}

function drain(
  world: World,
  vSwitch: VSwitchId,
  leave: number | undefined,
): Result<{ readonly available: number }, string> {
  const pool = world.pools.get(vSwitch);
  if (pool === undefined) return failed(`there is no vSwitch ${vSwitch}`);
  pool.allowance = leave;
  return ok({ available: availableCount(pool) });
}
