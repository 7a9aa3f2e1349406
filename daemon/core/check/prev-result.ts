/**
 * The result of ADD that the runtime kept (`prevResult` of CHECK), beside what the agent knows that it answered.
 *
 * @module
 */
import * as z from "zod";
import { parseIp } from "../../../proto/addr6.ts";

/** What ADD answered with. */
export type Answered = {
  readonly ifName: string;
  /** With ipvlan the pod has no device of its own on the node, and the result none. */
  readonly datapath?: "ipvlan";
  readonly hostName: string;
  readonly hostMac: string;
  readonly podMac: string;
  readonly netns: string;
  /** Without a prefix length. */
  readonly addresses: readonly string[];
};

/** The shape of 0.3.0 to 1.1.0, as far as it is looked at. CNI SPEC.md 1.1.0, section "ADD Success". */
const RESULT = z.looseObject({
  interfaces: z
    .array(z.looseObject({ name: z.string(), mac: z.string().default(""), sandbox: z.string().default("") }))
    .default([]),
  ips: z.array(z.looseObject({ address: z.string(), interface: z.number().optional() })).default([]),
});

/**
 * One line for each thing of ours that the result lacks or says otherwise. What plugins later in the chain added is theirs:
 * more interfaces, more addresses, other routes.
 */
export function resultDifferences(prevResult: unknown, answered: Answered): readonly string[] {
  const parsed = RESULT.safeParse(prevResult);
  if (!parsed.success) return ["prevResult is not the result of an ADD: interfaces or ips are malformed"];
  const { interfaces, ips } = parsed.data;
  const { ifName, hostName, hostMac, podMac, netns, addresses, datapath } = answered;
  const inPod = interfaces.findIndex(({ name, sandbox }) => name === ifName && sandbox !== "");
  const pod = interfaces[inPod];
  const host = interfaces.find(({ name, sandbox }) => name === hostName && sandbox === "");
  return [
    ...(pod === undefined ? [`prevResult has no interface ${ifName} in a sandbox`] : []),
    ...(pod === undefined || pod.sandbox === netns
      ? []
      : [`prevResult has ${ifName} in ${pod.sandbox}, it was made in ${netns}`]),
    ...wrongMac(pod, podMac),
    ...(host === undefined && datapath === undefined
      ? [`prevResult has no interface ${hostName} on the node`]
      : []),
    ...wrongMac(host, hostMac),
    ...addresses.flatMap((address) => {
      const ip = ips.find((entry) => sameIp(entry.address, address));
      if (ip === undefined) return [`prevResult has no address ${address}`];
      return ip.interface === undefined || ip.interface === inPod
        ? []
        : [`prevResult has ${address} on interface ${ip.interface}, which is not ${ifName}`];
    }),
  ];
}

/** A runtime may have written the address in a spelling of its own. */
function sameIp(withPrefix: string, address: string): boolean {
  const text = withPrefix.split("/")[0] ?? "";
  return (parseIp(text) ?? text) === address;
}

function wrongMac(entry: { readonly name: string; readonly mac: string } | undefined, mac: string): string[] {
  return entry === undefined || entry.mac === "" || entry.mac.toLowerCase() === mac
    ? []
    : [`prevResult has ${entry.name} with the MAC ${entry.mac}, it was made with ${mac}`];
}
