/**
 * What a container runtime keeps of an ADD that it heard of: a file of libcni's result cache, by default in
 * /var/lib/cni/results. Source: containernetworking/cni `libcni/api.go`, cachedInfo ("cniCacheV1"), written since 0.8.
 *
 * @module
 */
import * as z from "zod";
import { type Mac, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, parseIp } from "../../../proto/addr6.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { bandwidthRequest } from "../datapath/bandwidth-request.ts";
import { type Bandwidth } from "../kernel.ts";

export type CacheEntry = {
  readonly attachment: Attachment;
  /** CNI_NETNS; empty where neither the entry nor the result says it. */
  readonly netns: string;
  /** "namespace/name" of the pod, or empty. */
  readonly pod: string;
  /** Of the result, prefixes cut off; other plugins of a chain may have added some. */
  readonly addresses: readonly IpAddress[];
  readonly podMac?: Mac;
  /** The limits that the runtime asked for; absent where there are none. */
  readonly bandwidth?: Bandwidth;
};

const ENTRY = z.looseObject({
  kind: z.literal("cniCacheV1"),
  containerId: z.string().min(1),
  ifName: z.string().min(1),
  networkName: z.string().min(1),
  netns: z.string().default(""),
  config: z.string().default(""),
  cniArgs: z.array(z.tuple([z.string(), z.string()])).default([]),
  capabilityArgs: z.record(z.string(), z.unknown()).default({}),
  result: z
    .looseObject({
      interfaces: z
        .array(
          z.looseObject({ name: z.string(), mac: z.string().default(""), sandbox: z.string().default("") }),
        )
        .default([]),
      ips: z.array(z.looseObject({ address: z.string() })).default([]),
    })
    .default({ interfaces: [], ips: [] }),
});

/** `undefined` for everything else: the directory is the runtime's, and other plugins' results are in it too. */
export function decodeCacheEntry(json: string): CacheEntry | undefined {
  const parsed = ENTRY.safeParse(parseJson(json));
  if (!parsed.success) return undefined;
  const { networkName: network, containerId, ifName, result, cniArgs } = parsed.data;
  const inPod = result.interfaces.find(({ name, sandbox }) => name === ifName && sandbox !== "");
  const podMac = parseMac(inPod?.mac ?? "");
  const bandwidth = limitsOf(parsed.data);
  const args = new Map(cniArgs);
  const name = args.get("K8S_POD_NAME");
  return {
    attachment: { network, containerId, ifName },
    netns: parsed.data.netns === "" ? (inPod?.sandbox ?? "") : parsed.data.netns,
    pod: name === undefined ? "" : `${args.get("K8S_POD_NAMESPACE") ?? ""}/${name}`,
    addresses: result.ips.flatMap(({ address }) => parseIp(address.split("/")[0] ?? "") ?? []),
    ...(podMac !== undefined && { podMac }),
    ...(bandwidth !== undefined && { bandwidth }),
  };
}

const PLUGIN = z.looseObject({
  type: z.string().default(""),
  capabilities: z.record(z.string(), z.unknown()).default({}),
});
const CONFIG = z.looseObject({ plugins: z.array(PLUGIN).min(1) }).or(PLUGIN);

/** libcni hands a plugin those of the arguments whose capability its configuration has. */
function limitsOf({
  config,
  capabilityArgs,
}: Pick<z.infer<typeof ENTRY>, "config" | "capabilityArgs">): Bandwidth | undefined {
  const parsed = CONFIG.safeParse(parseJson(fromBase64(config)));
  if (!parsed.success) return undefined;
  const plugins = "plugins" in parsed.data ? z.array(PLUGIN).safeParse(parsed.data.plugins).data : undefined;
  const [only] = plugins ?? z.array(PLUGIN).parse([parsed.data]);
  const ours = plugins?.find(({ type }) => type === "terway") ?? only;
  const runtimeConfig = Object.fromEntries(
    Object.entries(capabilityArgs).filter(([name]) => ours?.capabilities[name] === true),
  );
  const asked = bandwidthRequest({ runtimeConfig });
  return asked.ok && Object.keys(asked.value).length > 0 ? asked.value : undefined;
}

function fromBase64(text: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (char) => char.codePointAt(0) ?? 0));
  } catch {
    return "";
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
