/**
 * A step of a plan as the request that carries it out, and which refusals mean that it was done already.
 *
 * @module
 */
import { PROTOCOL, eniChain, GROUP, MARK_MASK, NFT } from "../core/datapath/layout.ts";
import { type LinkSettings, type Step } from "../core/datapath/step.ts";
import { addAddress } from "./codec/address.ts";
import { AF, hostPrefix } from "./codec/ip.ts";
import { createLink, deleteLink, setLink } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { deleteNeighbour, setNeighbour } from "./codec/neighbour.ts";
import { addElements, deleteElements, type SetTarget } from "./codec/nft-element.ts";
import { NFPROTO } from "./codec/nfnetlink.ts";
import { type Request } from "./codec/request.ts";
import { addRoute, deleteRoute, RTNH_F } from "./codec/route.ts";
import { addRule, deleteRule } from "./codec/rule.ts";

/** Which socket a step goes to. Steps of one socket that follow each other are one send. */
export type Socket = "node" | "pod" | "nft";

export type EncodedStep = {
  readonly socket: Socket;
  readonly request: Request;
  /** Refusals that are none: done before, or nothing to do. */
  readonly fine: readonly (keyof typeof ERRNO)[];
};

/** The map of pods. */
export const POD_MAP: SetTarget = { family: NFPROTO.IPV4, table: NFT.table, set: NFT.map };

/** Numbers of <asm-generic/errno.h>. */
export const ERRNO = {
  ENOENT: 2,
  ESRCH: 3,
  EEXIST: 17,
  ENODEV: 19,
  EAFNOSUPPORT: 97,
  EADDRNOTAVAIL: 99,
} as const;

/** What deletions answer where there is nothing to delete. */
const GONE = ["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"] as const;

/** IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE, as an attribute. */
const ADDR_GEN_NONE = Uint8Array.of(5, 0, 8, 0, 1, 0, 0, 0);

/** `podFd`: the pod's namespace, open in this process; 0 where the plan has no pod. */
export function encodeStep(step: Step, podFd: number): EncodedStep {
  switch (step.op) {
    case "add-veth":
      return { socket: "node", request: vethRequest(step, podFd), fine: [] };
    case "delete-link":
      return { socket: "node", request: deleteLink({ name: step.name }), fine: GONE };
    case "no-link-local": {
      const afSpec = { unknown: [{ type: AF.INET6, bytes: ADDR_GEN_NONE }] };
      return { socket: "node", request: setLink({ index: step.ifIndex, afSpec }), fine: ["EAFNOSUPPORT"] };
    }
    case "set-link":
      return { socket: step.where, request: linkRequest(step), fine: [] };
    case "add-address": {
      const request = addAddress({ index: step.ifIndex, local: step.address, prefixLength: 32 }, "replace");
      return { socket: step.where, request, fine: [] };
    }
    case "add-route":
      return { socket: step.where, request: addRoute(routeOf(step), "replace"), fine: [] };
    case "delete-route":
      return { socket: "node", request: deleteRoute(routeOf(step)), fine: GONE };
    case "add-rule":
      return { socket: "node", request: addRule(ruleOf(step)), fine: ["EEXIST"] };
    case "delete-rule":
      return { socket: "node", request: deleteRule(ruleOf(step)), fine: GONE };
    case "add-neighbour": {
      const { ifIndex: index, address: dst, mac: lladdr } = step;
      const request = setNeighbour({ index, dst, lladdr, protocol: PROTOCOL }, "replace");
      return { socket: step.where, request, fine: [] };
    }
    case "delete-neighbour":
      return {
        socket: "node",
        request: deleteNeighbour({ index: step.ifIndex, dst: step.address }),
        fine: GONE,
      };
    case "map-pod":
    case "unmap-pod":
      return { socket: "nft", request: elementRequest(step), fine: step.op === "map-pod" ? [] : GONE };
    default:
      return step satisfies never;
  }
}

type StepOf<Op extends Step["op"]> = Extract<Step, { readonly op: Op }>;

/** Without these the kernel makes a queue for each CPU, shows them all in /sys, and gives all but one back. */
const ONE_QUEUE = { numTxQueues: 1, numRxQueues: 1 } as const;

function vethRequest({ host, pod, mtu }: StepOf<"add-veth">, podFd: number): Request {
  const peer = { index: pod.ifIndex, name: pod.name, address: pod.mac, mtu, netNsFd: podFd, ...ONE_QUEUE };
  return createLink({
    ...ONE_QUEUE,
    index: host.ifIndex,
    name: host.name,
    address: host.mac,
    mtu,
    group: GROUP.pods,
    info: { kind: "veth", options: { peer } },
  });
}

function linkRequest({ ifIndex, up, mtu, group, alias, settings }: StepOf<"set-link">): Request {
  return setLink({
    index: ifIndex,
    ...(up !== undefined && { flags: up ? IFF.UP : 0, change: IFF.UP }),
    ...(mtu !== undefined && { mtu }),
    ...(group !== undefined && { group }),
    ...(alias !== undefined && { alias }),
    ...(settings !== undefined && { afSpec: { inet: { conf: devconf(settings) } } }),
  });
}

function devconf({ forwarding, rpFilter, srcValidMark }: LinkSettings): {
  readonly forwarding?: number;
  readonly rpFilter?: number;
  readonly srcValidMark?: number;
} {
  return {
    ...(forwarding !== undefined && { forwarding: Number(forwarding) }),
    ...(rpFilter !== undefined && { rpFilter }),
    ...(srcValidMark !== undefined && { srcValidMark: Number(srcValidMark) }),
  };
}

function routeOf(step: StepOf<"add-route"> | StepOf<"delete-route">): Parameters<typeof addRoute>[0] {
  const via = step.op === "add-route" ? step.via : undefined;
  return {
    family: AF.INET,
    protocol: PROTOCOL,
    table: step.table,
    ...(step.ifIndex !== undefined && { oif: step.ifIndex }),
    ...(step.to !== undefined && { dst: hostPrefix(step.to) }),
    ...(via !== undefined && { gateway: via, flags: RTNH_F.ONLINK }),
  };
}

function ruleOf({
  priority,
  table,
  mark,
}: StepOf<"add-rule" | "delete-rule">): Parameters<typeof addRule>[0] {
  return {
    priority,
    table,
    protocol: PROTOCOL,
    ...(mark !== undefined && { fwmark: mark, fwmask: MARK_MASK }),
  };
}

/** One element is one message. */
function elementRequest(step: StepOf<"map-pod"> | StepOf<"unmap-pod">): Request {
  const key = [{ kind: "ip", ip: step.address }] as const;
  const [request] =
    step.op === "map-pod"
      ? addElements(POD_MAP, [
          { key, data: { kind: "verdict", verdict: "goto", chain: eniChain(step.slot) } },
        ])
      : deleteElements(POD_MAP, [{ key }]);
  if (request === undefined) throw new Error("an element without a message");
  return request;
}
