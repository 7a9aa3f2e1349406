/**
 * Opens the parts of the agent on premises: what every agent has, with the block of the node, and the network of all hybrid
 * nodes. There is no cloud, no metadata service and no credential.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failed, ok, type Result } from "../../proto/result.ts";
import { parseHybridConf } from "../core/hybrid/conf.ts";
import { ownRecord } from "../core/hybrid/desire.ts";
import { type HybridNews } from "../core/hybrid/source.ts";
import { blockPool, podAddresses } from "../core/pool/block.ts";
import { type OwnBlock } from "../core/pool/model.ts";
import { type KernelView } from "../core/rebuild/rebuild.ts";
import { openHybridConf, readHybridConf } from "../hybrid-conf/file.ts";
import { type HybridNetwork, openHybridNetwork } from "../netlink/hybrid/network.ts";
import { findUplink } from "../netlink/hybrid/uplink.ts";
import { type Store } from "../store/store.ts";
import { type HybridArguments } from "./arguments.ts";
import { sentence, type StartFault } from "./start-fault.ts";
import { type Followed, type Follower, openFollower, ownBlock } from "./hybrid-follow.ts";
import { openHostFiles } from "./host-files.ts";
import { SYSTEM_HOST } from "./host.ts";
import { type NodeOptions, nowMs } from "./node-options.ts";
import { recordsOf } from "./persist.ts";
import { readResultCache } from "../result-cache/read.ts";
import { recoverStore } from "./rebuild.ts";
import { type Base, openBase, openServing, type Running, type Supply } from "./serving.ts";

export type HybridNodeOptions = NodeOptions & { readonly hybrid: HybridArguments };

/** What `address_cooldown` and `add_timeout` of eni_conf are where they are not given. */
const [COOLDOWN_MS, ADD_TIMEOUT_MS] = [30_000, 90_000];
/** How long the node's address is awaited at a start: DHCP may be late. */
const UPLINK_WAIT_MS = 10_000;
const UPLINK_LOOK_MS = 200;
/** Of a pod's interface where there is no network: at a drain. */
const NO_MTU = 0;

/** The same promises as `openParts`. */
export async function openHybridParts(
  options: HybridNodeOptions,
  store: Store,
): Promise<Result<Running, StartFault>> {
  await using stack = new AsyncDisposableStack();
  const base = await openBase(options, store, (view) => recover(options, store, view), stack);
  if (!base.ok) return base;
  const late: Late = { onUplinkMtu: () => undefined };
  const { thread } = base.value.kernel;
  const opened = await openHybridNetwork({ thread, onUplinkMtu: () => late.onUplinkMtu() });
  if (!opened.ok) return failed({ text: sentence(opened.fault) });
  const network = stack.use(opened.value);
  const serving = options.args.drain
    ? ok(await openServing(base.value, blockSupply(options, base.value, undefined, stack), stack))
    : await follow(options, base.value, { network, late }, stack);
  if (!serving.ok) return serving;
  await base.value.forwarding;
  const moved = stack.move();
  return ok({
    ...serving.value,
    async clean() {
      const cleaned = await network.clean();
      return cleaned.ok ? serving.value.clean() : cleaned;
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  });
}

/** Of a store that was lost: the kernel and the runtime alone know who has addresses. */
function recover(
  { args, hybrid, log }: HybridNodeOptions,
  store: Store,
  view: KernelView,
): Result<void, StartFault> {
  const news = readHybridConf(hybrid.confPath);
  const own = news.kind === "unusable" ? undefined : ownBlock(ownRecord(news.view, hybrid.nodeName));
  const block = own?.kind === "block" ? podAddresses(own) : [];
  const cache = readResultCache(args.cniCacheDir);
  const nowMs = SYSTEM_HOST.nowMs();
  return recoverStore({
    store,
    view,
    cache,
    enis: undefined,
    block,
    cooldownMs: COOLDOWN_MS,
    nowMs,
    log,
  });
}

/** What the network calls, which has to be there before who answers is. */
type Late = { onUplinkMtu: () => void };

/** Makes the node's network, serves pods, and from then on goes with what is published. */
async function follow(
  options: HybridNodeOptions,
  base: Base,
  { network, late: lateNetwork }: { readonly network: HybridNetwork; readonly late: Late },
  stack: AsyncDisposableStack,
): Promise<Result<Omit<Running, typeof Symbol.asyncDispose>, StartFault>> {
  const { log, hybrid } = options;
  const first = readHybridConf(hybrid.confPath);
  const start = firstView(options, base.store, first);
  if (!start.ok) return start;
  const late: { onOwn: (own: OwnBlock) => void } = { onOwn: () => undefined };
  const follower = openFollower({
    nodeName: hybrid.nodeName,
    start: start.value,
    network,
    findUplink: (ip) => findUplink(base.kernel.thread, ip),
    keep(value) {
      const kept = base.store.write([{ kind: "put-meta", key: "hybrid", value }]);
      if (!kept.ok)
        log.warn({ fault: kept.fault }, "the hybrid network could not be kept for the next start");
    },
    onOwn: (own) => late.onOwn(own),
    log,
  });
  const made = await makeNetwork(follower, base);
  if (!made.ok) return made;
  lateNetwork.onUplinkMtu = (): void => {
    follower.apply().catch((error: unknown) => log.error({ err: error }, "another MTU failed by a bug"));
  };
  const supply = blockSupply(options, base, follower, stack);
  const serving = await openServing(
    base,
    {
      ...supply,
      begin({ dispatch }) {
        late.onOwn = (own) => dispatch({ kind: "block-set", own });
        late.onOwn(start.value.block);
      },
    },
    stack,
  );
  const take = (news: HybridNews): void => {
    follower.take(news).catch((error: unknown) => log.error({ err: error }, "news failed by a bug"));
  };
  const source = stack.use(
    openHybridConf({
      path: hybrid.confPath,
      onNews: take,
      onUnwatched: (reason) => log.warn({ reason }, "the hybrid network's file is read only now and then"),
    }),
  );
  // Again, so that what is wrong with it is said, what is right is kept, and what has changed meanwhile is not missed.
  take(source.news());
  return ok(serving);
}

type Start = Followed & { readonly block: OwnBlock };

/**
 * What is published now; where that cannot be used, or has no record of this node, what the last run knew, so that pods
 * keep their network. At a first start it has to be right.
 */
function firstView(
  { hybrid, log }: HybridNodeOptions,
  store: Store,
  news: HybridNews,
): Result<Start, StartFault> {
  const kept = keptView(store, hybrid.nodeName);
  if (news.kind === "unusable") {
    if (kept === undefined) return failed({ text: `the hybrid network cannot be used\n${news.report}` });
    log.error({ report: news.report }, "the hybrid network's file cannot be used; the former one is");
    return ok({ ...kept, block: ownBlock(ok(kept.own)) });
  }
  const own = ownRecord(news.view, hybrid.nodeName);
  const record = own.ok ? own.value : kept?.own;
  if (record === undefined)
    return failed({ text: [own.ok ? "" : own.fault, news.report].filter((part) => part !== "").join("\n") });
  return ok({ view: news.view, own: record, block: ownBlock(own) });
}

function keptView(store: Store, nodeName: string): Followed | undefined {
  const text = store.load().meta.hybrid;
  const parsed = text === undefined ? undefined : parseHybridConf(text);
  if (parsed?.ok !== true) return undefined;
  const own = ownRecord(parsed.view, nodeName);
  return own.ok ? { view: parsed.view, own: own.value } : undefined;
}

/**
 * The network is there before pods are. What keeps it from being made ends a first start; an agent with pods goes on, and
 * tries again.
 */
async function makeNetwork(follower: Follower, { leases, options }: Base): Promise<Result<void, StartFault>> {
  const deadlineMs = performance.now() + UPLINK_WAIT_MS;
  let made = await follower.apply();
  while (follower.mtu() === undefined && performance.now() < deadlineMs && !options.stop.aborted) {
    await sleep(UPLINK_LOOK_MS);
    made = await follower.apply();
  }
  const mtu = follower.mtu();
  if (mtu === undefined) return failed({ text: made.ok ? "it was stopped" : sentence(made.fault) });
  if (!mtu.ok && leases.length === 0) return failed({ text: sentence(mtu.fault) });
  if (!made.ok && made.fault.kind === "foreign-device" && leases.length === 0)
    return failed({ text: sentence(made.fault) });
  return ok(undefined);
}

/** Addresses come from the node's block. Without a network nobody is served: at a drain. */
function blockSupply(
  { args, log }: HybridNodeOptions,
  { kernel, store }: Base,
  follower: Follower | undefined,
  stack: AsyncDisposableStack,
): Supply {
  const { leases, cooldowns } = recordsOf(store.load(), "");
  if (args.hostRoot !== undefined && follower !== undefined)
    stack.use(openHostFiles(args.hostRoot, log)).onEnis([]);
  return {
    initial: blockPool({ leases, cooldowns, cooldownMs: COOLDOWN_MS, nowMs: nowMs() }),
    instanceType: "",
    // Records are the loop's; a pool of a block has no other effects.
    actOn: () => () => undefined,
    onPool: () => undefined,
    mtuOf: async () => follower?.mtu() ?? ok(NO_MTU),
    datapath: "veth",
    addTimeoutMs: ADD_TIMEOUT_MS,
    onEnis: false,
    datapathOf: ({ pods }) => ({
      async check(withPods) {
        const node = await kernel.checkNode([]);
        if (!node.ok) return node;
        const wrong = [...node.value, ...((await follower?.check()) ?? [])];
        return ok(withPods ? [...wrong, ...(await pods.checkAll())] : wrong);
      },
      async mend() {
        const prepared = await kernel.prepareHost();
        if (!prepared.ok) log.error({ fault: prepared.fault }, "the node's datapath could not be mended");
        await follower?.apply();
        await pods.mendAll();
      },
    }),
    begin: ({ dispatch }) => dispatch({ kind: "ticked" }),
  };
}
