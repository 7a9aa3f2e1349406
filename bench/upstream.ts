/**
 * What upstream Terway (Go) needs for the same things, and what we want to reach. Pure.
 *
 * Upstream was measured elsewhere, not in this run: commit 89aadf8, legacy mode, its unmodified daemon, against a
 * simulated cloud with the delays of `topology.ts`. Its own time on an empty pool leaves out every delay that it waits
 * for, the metadata service included; ours leaves out less, see the rows.
 *
 * @module
 */

/** What upstream needs. Times in milliseconds; calls are OpenAPI calls, reads are metadata reads. */
export const UPSTREAM = {
  warm: { addMs: 17.7, delMs: 28.8 },
  /** With 250 pods on the node, and a daemon that answers at once. */
  full: { addMs: 56 },
  start: { servingMs: 253, rssMb: 54 },
  coldStart: { calls: 1, reads: 8 },
  emptyPool: { calls: 4, reads: 6, ownMs: 750, wallMs: 4225 },
  noIdle: { calls: 1, reads: 1, ownMs: 1330, wallMs: 1930 },
  oneByOne: { calls: 46, reads: 57, secondsPerPod: 182 / 37 },
  together: { calls: 12, reads: 20, wallMs: 6200 },
  churn: { calls: 0, reads: 0 },
  /** In four minutes with 40 pods. */
  idle: { calls: 0, reads: 8, seconds: 240 },
  restart: { calls: 1, reads: 29 },
} as const;

/** What ours wants to reach: in the same units, or as a ratio of medians to a peer's in the same run. */
export const TARGET = {
  /** To a shim by grpc-go. */
  execRatio: 0.35,
  pluginFileMb: 1,
  /** To `ptp` with `host-local`. */
  addRatio: 0.3,
  delRatio: 0.35,
  addAtOnceRatio: 0.2,
  delAtOnceRatio: 0.2,
  /** With 250 pods on the node, to itself without. */
  addFullRatio: 1.1,
  /** RSS after 20,000 ADD and DEL, and how much of it the second half of them may add. */
  agentRssMb: 90,
  agentGrowthMb: 3,
  emptyPoolOwnMs: 50,
  noIdleOwnMs: 50,
  oneByOneCalls: 20,
  togetherCalls: 10,
  churnCalls: 0,
  restart: { calls: 2, reads: 10 },
  /** Packets a second with 250 pods on the node, to one with 1 pod. */
  fullNodeRate: 0.95,
  /** A pod's interface with addresses of both families, to one with IPv4. */
  dualAddRatio: 1.3,
  /** A pod's interface of ipvlan, to one of veth. */
  ipvlanAddRatio: 1,
  /** Packets a second, to a pair of veths with routes alone. */
  plainVethRate: 0.9,
  /** Of our overlay: packets or round trips a second, and bits a second over TCP, to one made by hand. */
  overlayRate: 0.95,
  overlayTcpRate: 0.98,
  /** Of our underlay to a plain route, and to our overlay. */
  underlayRate: 0.98,
  underlayToOverlay: 1.2,
  /** A thousand peers from nothing, and a change of one of them. */
  peersMs: 500,
  onePeerMs: 5,
} as const;
