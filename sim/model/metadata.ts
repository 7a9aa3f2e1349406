/**
 * The metadata service (100.100.100.200): one answer for one request. It shows its own, later copy of the ENIs.
 *
 * @module
 */
import { intToIpv4, type Ipv4 } from "../../proto/addr.ts";
import { prefixLength, vSwitchGateway } from "../../proto/cidr.ts";
import { vSwitchGateway6 } from "../../proto/cidr6.ts";
import { type InstanceId } from "../../proto/ids.ts";
import { noteCall } from "./calls.ts";
import { takeMetadataError } from "./faults.ts";
import { isoSeconds } from "./iso-time.ts";
import { ALNUM } from "./random.ts";
import { currentSession } from "./role-credentials.ts";
import { type InstanceSpec } from "./topology.ts";
import { type Eni, poolOf, type World } from "./world.ts";

const ROOT = "/latest/meta-data/";
const MOST_TOKENS = 10_000;

export type MetadataRequest = {
  /** Whose metadata: known by the source address. */
  readonly instance: InstanceId;
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** Header `X-aliyun-ecs-metadata-token`. */
  readonly token: string | undefined;
  /** Header `X-aliyun-ecs-metadata-token-ttl-seconds`. */
  readonly ttlSeconds: string | undefined;
};

export type MetadataAnswer = { readonly status: number; readonly body: string };

/** Answers as the service does, and counts the call as `MetadataToken` or `Metadata`. `wallMs`: since 1970. */
export function answerMetadata(world: World, request: MetadataRequest, wallMs: number): MetadataAnswer {
  const answer = answered(world, request, wallMs);
  noteCall(world.calls, {
    atMs: world.nowMs,
    action: request.method === "PUT" ? "MetadataToken" : "Metadata",
    parameters: { path: request.path, instance: request.instance },
    end: answer.status === 429 ? "throttled" : answer.status < 400 ? "ok" : "refused",
    code: answer.status < 400 ? "" : String(answer.status),
    requestId: "",
  });
  return answer;
}

/** Whose address this is: an ENI's that is attached. */
export function instanceByAddress(world: World, address: string): InstanceId | undefined {
  return [...world.enis.values()].find((eni) => eni.addresses.some((own) => own === address))?.instance;
}

function answered(world: World, request: MetadataRequest, wallMs: number): MetadataAnswer {
  const instance = world.instances.get(request.instance);
  if (instance === undefined) return { status: 404, body: "no such instance" };
  const path = request.path.startsWith(ROOT) ? request.path.slice(ROOT.length) : undefined;
  const ordered = takeMetadataError(world.faults, request.instance, path ?? request.path);
  if (ordered !== undefined) return { status: ordered, body: "ordered by a fault" };
  if (request.path === "/latest/api/token") return issueToken(world, request, wallMs);
  if (request.method !== "GET") return { status: 405, body: "method not allowed" };
  const tokens = instance.httpTokens ?? world.topology.switches.metadataTokens;
  if (request.token === undefined && tokens === "required")
    return { status: 403, body: "a token is required" };
  if (request.token !== undefined && !isValidToken(world, request, wallMs)) {
    return { status: 401, body: "the token is not valid" };
  }
  const body = path === undefined ? undefined : itemAt(world, instance, path, wallMs);
  return body === undefined ? { status: 404, body: "no such item" } : { status: 200, body };
}

function issueToken(world: World, request: MetadataRequest, wallMs: number): MetadataAnswer {
  if (request.method !== "PUT") return { status: 405, body: "method not allowed" };
  const seconds = /^\d{1,5}$/.test(request.ttlSeconds ?? "") ? Number(request.ttlSeconds) : 0;
  if (seconds < 1 || seconds > 21_600) return { status: 400, body: "ttl of 1 to 21600 seconds" };
  const token = world.random.text(56, ALNUM);
  world.metadataTokens.set(token, { instance: request.instance, expiresMs: wallMs + seconds * 1000 });
  const oldest =
    world.metadataTokens.size > MOST_TOKENS ? world.metadataTokens.keys().next().value : undefined;
  if (oldest !== undefined) world.metadataTokens.delete(oldest);
  return { status: 200, body: token };
}

function isValidToken(world: World, request: MetadataRequest, wallMs: number): boolean {
  const known = world.metadataTokens.get(request.token ?? "");
  return known !== undefined && known.instance === request.instance && known.expiresMs > wallMs;
}

function itemAt(world: World, instance: InstanceSpec, path: string, wallMs: number): string | undefined {
  const macs = "network/interfaces/macs/";
  const role = "ram/security-credentials/";
  if (path.startsWith(macs)) return interfaceItem(world, instance, path.slice(macs.length));
  if (path.startsWith(role)) return roleItem(world, path.slice(role.length), wallMs);
  const primary = shownEnis(world, instance).find((eni) => eni.type === "Primary");
  const items: Readonly<Record<string, string | undefined>> = {
    "instance-id": instance.id,
    "instance/instance-type": instance.type,
    "instance/instance-name": instance.name,
    hostname: instance.name,
    "region-id": world.topology.region,
    "zone-id": instance.zone,
    "owner-account-id": world.topology.accountId,
    "network-type": "vpc",
    "vpc-id": world.topology.vpc.id,
    "vpc-cidr-block": world.topology.vpc.cidr,
    "vswitch-id": instance.vSwitch,
    "vswitch-cidr-block": poolOf(world, instance.vSwitch).spec.cidr,
    "private-ipv4": primary?.addresses[0],
    mac: primary?.mac,
  };
  const exact = items[path.replace(/\/$/, "")];
  if (exact !== undefined) return exact;
  const directory = path === "" || path.endsWith("/") ? path : `${path}/`;
  return listed([...Object.keys(items), `${macs}x`, `${role}x`], directory);
}

/** The names below a directory, those that are directories with a slash; `undefined` where there is none. */
function listed(names: readonly string[], directory: string): string | undefined {
  const below = names
    .filter((name) => name.startsWith(directory))
    .map((name) => name.slice(directory.length).replace(/\/.*/, "/"));
  return below.length === 0 ? undefined : [...new Set(below)].toSorted().join("\n");
}

function shownEnis(world: World, instance: InstanceSpec): readonly Eni[] {
  return [...world.metadata.values()]
    .filter((eni) => eni.instance === instance.id)
    .toSorted((a, b) => a.sequence - b.sequence);
}

/** `rest` is what follows `macs/`. A MAC that is not shown yet is 404, as while an ENI is being attached. */
function interfaceItem(world: World, instance: InstanceSpec, rest: string): string | undefined {
  const enis = shownEnis(world, instance);
  if (rest === "") return enis.map((eni) => `${eni.mac}/`).join("\n");
  const [mac = "", ...more] = rest.split("/");
  const eni = enis.find((candidate) => candidate.mac === mac.toLowerCase());
  if (eni === undefined) return undefined;
  const { cidr, ipv6Cidr } = poolOf(world, eni.vSwitch).spec;
  const items: Readonly<Record<string, string>> = {
    "network-interface-id": eni.id,
    "primary-ip-address": eni.addresses[0],
    "private-ipv4s": JSON.stringify(eni.addresses),
    gateway: vSwitchGateway(cidr),
    netmask: netmaskOf(prefixLength(cidr)),
    "vswitch-id": eni.vSwitch,
    "vswitch-cidr-block": cidr,
    "vpc-id": world.topology.vpc.id,
    "vpc-cidr-block": world.topology.vpc.cidr,
    ...(ipv6Cidr === undefined
      ? {}
      : { "ipv6-gateway": vSwitchGateway6(ipv6Cidr), "vswitch-ipv6-cidr-block": ipv6Cidr }),
    // A list, but not JSON: no quotes.
    ...(eni.ipv6Addresses.length === 0 ? {} : { ipv6s: `[${eni.ipv6Addresses.join(", ")}]` }),
  };
  const name = more.join("/");
  return name === "" ? Object.keys(items).toSorted().join("\n") : items[name];
}

function netmaskOf(bits: number): Ipv4 {
  return intToIpv4(2 ** 32 - 2 ** (32 - bits));
}

function roleItem(world: World, name: string, wallMs: number): string | undefined {
  const { ramRole } = world.topology;
  if (ramRole === undefined) return undefined;
  if (name === "") return ramRole.name;
  if (name !== ramRole.name) return undefined;
  const session = currentSession(world, wallMs);
  return JSON.stringify({
    AccessKeyId: session.accessKeyId,
    AccessKeySecret: session.accessKeySecret,
    Expiration: isoSeconds(session.expiresMs),
    SecurityToken: session.securityToken,
    LastUpdated: isoSeconds(wallMs),
    Code: "Success",
  });
}
