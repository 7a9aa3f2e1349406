/**
 * From what all nodes publish to what this node's network is to be.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { nearest } from "../config/check.ts";
import { type HybridDesired, type HybridPeer, overlayMtu } from "./desired.ts";
import { type HybridNetwork, type HybridNode, type HybridView } from "./network.ts";
import { pathBetween, usesVxlan, vtepAddress } from "./path.ts";

/** The device that the node's address is on. */
export type Uplink = { readonly name: string; readonly ifIndex: number; readonly mtuBytes: number };

export type Desire = {
  readonly desired: HybridDesired;
  /** Nodes whose pods cannot be reached from here, and why: unroutable pairs and refused records. */
  readonly unreachable: readonly Unreachable[];
  /** Nodes that are left to the network's routers. */
  readonly fabric: readonly string[];
};

/** For people. */
export type Unreachable = { readonly name: string; readonly reason: string };

/** The node's own record; why there is none, with what to do, for people. */
export function ownRecord({ nodes, refused }: HybridView, name: string): Result<HybridNode, string> {
  const own = nodes.find((node) => node.name === name);
  if (own !== undefined) return ok(own);
  const bad = refused.find((node) => node.name === name);
  if (bad !== undefined)
    return failed(`the record of this node (${name}) cannot be used: ${bad.reasons.join("; ")}`);
  const names = nodes.map((node) => node.name);
  const hint = names.length === 0 ? "there is no usable record at all" : nearest(name, names);
  return failed(`no record of this node: no entry of "nodes" has the name ${name}; ${hint}`);
}

/**
 * `own` may be a record that is not in the view any more: then the node goes on with the one that it had. A node of its
 * name in the view is no peer of it.
 */
export function desireOf({ network, nodes, refused }: HybridView, own: HybridNode, uplink: Uplink): Desire {
  const peers: HybridPeer[] = [];
  const fabric: HybridNode[] = [];
  const unroutable: HybridDesired["unroutable"][number][] = [];
  const unreachable: Unreachable[] = refused.map(({ name, reasons }) => ({
    name,
    reason: reasons.join("; "),
  }));
  for (const node of nodes) {
    const path = pathBetween(own, node, network);
    switch (path.kind) {
      case "local":
        break;
      case "direct":
      case "vxlan":
        peers.push(peerOf(node, path.kind));
        break;
      case "fabric":
        fabric.push(node);
        break;
      case "unroutable":
        unreachable.push({ name: node.name, reason: path.reason });
        unroutable.push({ name: node.name, blocks: blocksOf(node) });
        break;
      default:
        path satisfies never;
    }
  }
  const overlay = overlayOf(network, own, uplink);
  const { name, ifIndex } = uplink;
  return {
    desired: {
      complete: true,
      uplink: { name, ifIndex },
      blocks: blocksOf(own),
      ...(overlay !== undefined && { overlay }),
      peers,
      unroutable,
      sourceNat: {
        enabled: network.sourceNat,
        exempt: [
          ...new Set([
            ...network.podCidrs,
            ...network.clusterPodCidrs,
            ...network.serviceCidrs,
            ...network.nonMasqueradeCidrs,
          ]),
        ],
        exemptNodes: fabric.flatMap(addressesOf),
      },
    },
    unreachable: unreachable.filter((node) => node.name !== own.name),
    fabric: fabric.map((node) => node.name),
  };
}

/**
 * Bytes, of pods' interfaces. Where a pod's packet may be tunnelled, all of its packets leave room for that: a path MTU
 * that differs from peer to peer is found by ICMP only, which firewalls drop.
 */
export function podMtu(network: HybridNetwork, own: HybridNode, uplinkMtuBytes: number): number {
  if (network.vxlan.mtuBytes !== 0) return network.vxlan.mtuBytes;
  return usesVxlan(network) ? overlayMtu(uplinkMtuBytes, vtepAddress(own)) : uplinkMtuBytes;
}

/** Why this node's VXLAN device cannot be, where the network needs one. */
export function overlayFault(network: HybridNetwork, own: HybridNode): string | undefined {
  if (!usesVxlan(network)) return undefined;
  if (!own.capabilities.includes("vxlan"))
    return `${own.name} has not the capability vxlan, and the network uses VXLAN`;
  return own.vtepMac === undefined ? `${own.name} has no vtepMAC, and the network uses VXLAN` : undefined;
}

function overlayOf(network: HybridNetwork, own: HybridNode, { mtuBytes }: Uplink): HybridDesired["overlay"] {
  if (!usesVxlan(network) || own.vtepMac === undefined || overlayFault(network, own) !== undefined)
    return undefined;
  const { vni, port } = network.vxlan;
  const local = vtepAddress(own);
  return {
    vni,
    udpPort: port,
    mac: own.vtepMac,
    mtu: network.vxlan.mtuBytes || overlayMtu(mtuBytes, local),
    local,
  };
}

function peerOf(node: HybridNode, path: HybridPeer["path"]): HybridPeer {
  const { name, nodeIp, nodeIpv6, vtepMac } = node;
  return {
    name,
    blocks: blocksOf(node),
    nodeIps: {
      ...(nodeIp !== undefined && { v4: nodeIp.ip }),
      ...(nodeIpv6 !== undefined && { v6: nodeIpv6.ip }),
    },
    ...(vtepMac !== undefined && { vtepMac }),
    path,
  };
}

function addressesOf({ nodeIp, nodeIpv6 }: HybridNode): readonly IpAddress[] {
  return [nodeIp?.ip, nodeIpv6?.ip].filter((ip) => ip !== undefined);
}

function blocksOf({ block, blockV6 }: HybridNode): HybridDesired["blocks"] {
  return [...(block === undefined ? [] : [block]), ...(blockV6 === undefined ? [] : [blockV6])];
}
