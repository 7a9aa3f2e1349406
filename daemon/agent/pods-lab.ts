/**
 * Pods over a loop with two addresses (test-lab.ts) and a kernel in memory. For tests.
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type IpStack } from "../core/ip-stack.ts";
import { type Bandwidth, type Kernel, type PodLink } from "../core/kernel.ts";
import { type AddCall } from "../rpc/request.ts";
import { type LeaseRow } from "../store/schema.ts";
import { openLog } from "./log.ts";
import { openMtu } from "./mtu.ts";
import { openPods, type OpenPods } from "./pods.ts";
import { attachment, type Lab, openLab } from "./test-lab.ts";

export const BROKEN: Fault = { kind: "kernel", op: "ip link add", errno: "ENOMEM" };

export async function unused(): Promise<never> {
  throw new Error("not used by pods");
}

export type MemoryKernel = {
  readonly kernel: Kernel;
  /** Address by name of the host's link. */
  readonly links: Map<string, Ipv4>;
  /** The limits that `attachPod` was called with last, by name of the host's link. */
  readonly limits: Map<string, Bandwidth>;
  readonly links6: Map<string, Ipv6>;
  /** What `checkPod` finds, by name of the host's link; taken away by `attachPod`. */
  readonly missing: Map<string, readonly string[]>;
  /** Makes every call fail. */
  readonly broken: { value: boolean };
  /** What `attachPod` waits for. */
  readonly gate: { value?: Promise<void> };
};

function memoryKernel(): MemoryKernel {
  const links = new Map<string, Ipv4>();
  const limits = new Map<string, Bandwidth>();
  const links6 = new Map<string, Ipv6>();
  const missing = new Map<string, readonly string[]>();
  const broken = { value: false };
  const gate: { value?: Promise<void> } = {};
  const [hostMac, podMac, gateway, gateway6] = [
    mac("02:00:00:00:00:01"),
    mac("02:00:00:00:00:02"),
    parseIpv4("169.254.1.1"),
    parseIpv6("fe80::1"),
  ];
  if (gateway === undefined || gateway6 === undefined) throw new Error("gateway");
  const kernel: Kernel = {
    prepareHost: unused,
    awaitEni: unused,
    prepareEni: unused,
    configureEni: unused,
    forgetEni: unused,
    eniSlots: unused,
    mtuOf: async () => ok(1500),
    cleanHost: unused,
    checkNode: unused,
    async podTraces() {
      if (broken.value) return failed(BROKEN);
      return ok([...links, ...links6].map(([hostName, address]) => ({ hostName, address })));
    },
    async checkPod({ hostName }) {
      if (broken.value) return failed(BROKEN);
      return ok(
        links.has(hostName) || links6.has(hostName)
          ? (missing.get(hostName) ?? [])
          : [`link ${hostName} is missing`],
      );
    },
    async attachPod({ hostName, addresses: { v4, v6 }, bandwidth = {} }) {
      await gate.value;
      if (broken.value) return failed(BROKEN);
      if (v4 !== undefined) links.set(hostName, v4);
      if (v6 !== undefined) links6.set(hostName, v6);
      limits.set(hostName, bandwidth);
      missing.delete(hostName);
      return ok({ hostMac, podMac, gateways: { ...(v4 && { v4: gateway }), ...(v6 && { v6: gateway6 }) } });
    },
    async detachPod({ hostName }) {
      if (broken.value) return failed(BROKEN);
      links.delete(hostName);
      links6.delete(hostName);
      return ok(undefined);
    },
  };
  return { kernel, links, links6, limits, missing, broken, gate };
}

function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

export type PodsLab = MemoryKernel &
  Lab & {
    readonly pods: OpenPods;
    /** Paths that are no network namespace (any more). */
    readonly gone: Set<string>;
    /** Attachments with a DEL in the spool. */
    readonly kept: Set<string>;
    /** Kinds of the states of the ENI's addresses. */
    readonly addresses: () => readonly string[];
  };

export function openPodsLab(
  leases: readonly LeaseRow[] = [],
  ipStack: IpStack = "ipv4",
  wantedMtu?: number,
  datapath: PodLink["datapath"] = "veth",
): PodsLab {
  const lab = openLab(ipStack);
  const memory = memoryKernel();
  const gone = new Set<string>();
  const kept = new Set<string>();
  const mtu = openMtu({ wanted: wantedMtu, kernel: memory.kernel, elapsedMs: () => 0 });
  const pods = openPods({
    loop: lab.loop,
    kernel: memory.kernel,
    nowMs: () => performance.now(),
    log: openLog("silent"),
    checkNetns: (path): Result<void> =>
      gone.has(path) ? failed({ kind: "bad-netns", path, reason: "it does not exist" }) : ok(undefined),
    pendingDels: {
      has: (of: Attachment) => kept.has(attachmentKey(of)),
      forget: (of: Attachment) => ok(void kept.delete(attachmentKey(of))),
    },
    mtuOf: (slot) => mtu.ofSlot(slot, lab.loop.pool()),
    datapath,
    onEnis: true,
    addTimeoutMs: 60_000,
    leases,
  });
  const addresses = (): readonly string[] =>
    [...(lab.loop.pool().enis.get(0)?.addresses.values() ?? [])].map(({ kind }) => kind);
  return { ...lab, ...memory, pods, gone, kept, addresses };
}

export function podCall(containerId: string, more: Partial<AddCall> = {}): AddCall {
  return {
    attachment: attachment(containerId),
    netns: `/run/netns/${containerId}`,
    args: {},
    bandwidth: {},
    deadlineMs: 30_000,
    traceparent: "",
    signal: new AbortController().signal,
    ...more,
  };
}
