/**
 * Follows what all hybrid nodes publish: makes the node's network as it says, and tells the pool which block is the node's.
 *
 * @module
 */
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type IpAddress } from "../../proto/addr6.ts";
import { desireOf, overlayFault, ownRecord, podMtu, type Unreachable } from "../core/hybrid/desire.ts";
import { type HybridNode, type HybridView } from "../core/hybrid/network.ts";
import { vtepAddress } from "../core/hybrid/path.ts";
import { mtuFault } from "../core/hybrid/rules.ts";
import { type HybridNews } from "../core/hybrid/source.ts";
import { type OwnBlock } from "../core/pool/model.ts";
import { type HybridNetwork } from "../netlink/hybrid/network.ts";
import { type FoundUplink } from "../netlink/hybrid/uplink.ts";
import { type Log } from "./log.ts";

/** What the node's network is made from: the newest view, and the newest record that this node had in one. */
export type Followed = { readonly view: HybridView; readonly own: HybridNode };

export type FollowOptions = {
  readonly nodeName: string;
  readonly start: Followed;
  readonly network: Pick<HybridNetwork, "apply" | "state">;
  readonly findUplink: (ip: IpAddress) => Promise<Result<FoundUplink | undefined>>;
  /** Keeps the text for a start at which what is published cannot be used. */
  readonly keep: (text: string) => void;
  /** Called where the node's block, or the reason that it has none, is another one. */
  readonly onOwn: (own: OwnBlock) => void;
  readonly log: Log;
};

export type Follower = {
  /** Takes news in; resolves when the kernel is as they say, or cannot be. */
  readonly take: (news: HybridNews) => Promise<void>;
  /** Looks for the uplink, and makes everything again that is not as it should be. */
  readonly apply: () => Promise<Result<void>>;
  /** One line for each thing that is wrong with the network as a whole. Changes nothing. */
  readonly check: () => Promise<readonly string[]>;
  /** Bytes, of interfaces of new pods; what `apply` found last decides. A fault: with this uplink pods can have none. */
  readonly mtu: () => Result<number> | undefined;
};

/** Lines of the log about single nodes after one change; more say nothing new. */
const NODES_LOGGED_MAX = 20;

export function openFollower(options: FollowOptions): Follower {
  const { log, network, start } = options;
  const unreachable = openUnreachable(log);
  let followed = start;
  let uplink: FoundUplink | undefined;
  const facts = openUplinkFacts(log);

  async function apply(): Promise<Result<void>> {
    const found = await lookForUplink(options, followed.own);
    if (!found.ok) {
      log.error({ fault: found.fault }, "the hybrid network cannot be set up");
      return found;
    }
    const mtu = facts.take(found.value, followed);
    // The network stays as it is, or is not made.
    if (!mtu.ok) return mtu;
    uplink = found.value;
    return carryOut(found.value);
  }

  async function carryOut(by: FoundUplink): Promise<Result<void>> {
    const { view, own } = followed;
    const lack = overlayFault(view.network, own);
    if (lack !== undefined) log.error({ reason: lack }, "this node has no overlay");
    const desire = desireOf(view, own, by);
    const startedMs = performance.now();
    const applied = await network.apply(desire.desired);
    const { peers } = desire.desired;
    const direct = peers.filter(({ path }) => path === "direct").length;
    const about = {
      direct,
      vxlan: peers.length - direct,
      fabric: desire.fabric.length,
      unreachable: desire.unreachable.length,
      tookMs: Math.round((performance.now() - startedMs) * 10) / 10,
    };
    if (applied.ok) log.info(about, "the hybrid network is as it is published");
    else log.error({ ...about, fault: applied.fault }, "the hybrid network could not be set up");
    unreachable.say(desire.unreachable);
    return applied;
  }

  return {
    apply,
    mtu: () => facts.mtu(),
    async take(news) {
      if (news.kind === "unusable") {
        log.error({ report: news.report }, "the hybrid network's file cannot be used; nothing is changed");
        return;
      }
      if (news.report !== "") log.warn({ report: news.report }, "the hybrid network's file");
      const own = ownRecord(news.view, options.nodeName);
      const moved = own.ok && vtepAddress(own.value) !== vtepAddress(followed.own);
      followed = { view: news.view, own: own.ok ? own.value : followed.own };
      if (own.ok) options.keep(news.text);
      else log.error({ reason: own.fault }, "pods keep running; new ones are refused");
      options.onOwn(ownBlock(own));
      // The uplink is looked for only where it can be another one: a change of a peer is in the kernel at once.
      if (uplink === undefined || moved) await apply();
      else await carryOut(uplink);
    },
    async check() {
      const found = await lookForUplink(options, followed.own);
      if (!found.ok) return [describeFault(found.fault)];
      const isSame = found.value.ifIndex === uplink?.ifIndex && found.value.mtuBytes === uplink.mtuBytes;
      if (!isSame) return [`the uplink ${found.value.name} is not the one that the network was made on`];
      const { fault } = await network.state();
      return fault === undefined ? [] : [describeFault(fault)];
    },
  };
}

/** The block of the node's record; a record without one is none for pods. */
export function ownBlock(own: Result<HybridNode, string>): OwnBlock {
  if (!own.ok) return { kind: "none", reason: own.fault };
  const { block, blockV6, name } = own.value;
  if (block === undefined) return { kind: "none", reason: `the record of ${name} has no IPv4 block` };
  return { kind: "block", cidr: block, ...(blockV6 !== undefined && { cidr6: blockV6 }) };
}

async function lookForUplink(
  { findUplink }: Pick<FollowOptions, "findUplink">,
  own: HybridNode,
): Promise<Result<FoundUplink>> {
  const ip = vtepAddress(own);
  const found = await findUplink(ip);
  if (!found.ok) return found;
  if (found.value === undefined) {
    const fault: Fault = {
      kind: "not-ready",
      reason: `no device of this node has the address ${ip} that its record ${own.name} says`,
    };
    return failed(fault);
  }
  return ok(found.value);
}

/** What follows from the uplink: the MTU of pods, and whether the node's record says what its device says. */
function openUplinkFacts(log: Log) {
  let mtu: Result<number> | undefined;
  let saidPrefix: number | undefined;
  return {
    mtu: () => mtu,
    take(uplink: FoundUplink, { view, own }: Followed): Result<number> {
      const before = mtu;
      mtu = mtuOf(podMtu(view.network, own, uplink.mtuBytes), own.blockV6 !== undefined);
      if (!mtu.ok) log.error({ fault: mtu.fault }, "new pods are refused");
      else if (before?.ok === true && before.value !== mtu.value)
        log.warn(
          { mtuBytes: mtu.value, before: before.value },
          "new pods get another MTU; running ones keep theirs",
        );
      const { name, prefixLength } = uplink;
      const record = (own.nodeIp ?? own.nodeIpv6)?.prefixLength;
      if (record !== prefixLength && saidPrefix !== prefixLength)
        log.warn(
          { device: name, address: vtepAddress(own), prefixLength, record },
          "the node's record and its device have different prefix lengths: who is on one link is told by the record",
        );
      saidPrefix = prefixLength;
      return mtu;
    },
  };
}

function mtuOf(bytes: number, hasIpv6: boolean): Result<number> {
  const fault = mtuFault(bytes, hasIpv6);
  if (fault === undefined) return ok(bytes);
  const remedy = "raise the MTU of the uplink, or set network.vxlan.mtu";
  return failed({ kind: "not-ready", reason: `pods would have an MTU of ${bytes}; ${fault}\n  ${remedy}` });
}

/** Says once of a node that it is not reached, and why, and once that it is again. */
function openUnreachable(log: Log) {
  let known = new Map<string, string>();
  return {
    say(now: readonly Unreachable[]): void {
      const next = new Map(now.map(({ name, reason }) => [name, reason]));
      const fresh = [...next].filter(([name, reason]) => known.get(name) !== reason);
      for (const [node, reason] of fresh.slice(0, NODES_LOGGED_MAX))
        log.warn({ node, reason }, "pods of a node cannot be reached from here");
      const back = [...known.keys()].filter((name) => !next.has(name));
      if (back.length > 0)
        log.info({ nodes: back.slice(0, NODES_LOGGED_MAX) }, "no reason any more that nodes are not reached");
      known = next;
    },
  };
}
