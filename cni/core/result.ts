/**
 * The result of ADD in the caller's cniVersion.
 * Source: CNI SPEC.md 0.1.0 to 1.1.0, section "Result" ("ADD Success").
 *
 * @module
 */
import { type JsonObject, type PreviousResult } from "./config.ts";
import { type AddReply, type ReplyRoute } from "./messages.ts";
import { type CniVersion } from "./version.ts";

/** Where the caller asked for the interface. */
export type Place = { readonly ifName: string; readonly netns: string };

/** Why `reply` cannot be the result of an ADD for `place`; `undefined` where it can. */
export function wrongReply(reply: AddReply, place: Place): string | undefined {
  const { ifName, netns } = place;
  if (!reply.interfaces.some(({ name, sandbox }) => name === ifName && sandbox === netns)) {
    return `its reply does not have the interface ${ifName} in ${netns}`;
  }
  if (reply.ips.length === 0) return "its reply has no address";
  for (const ip of reply.ips) {
    if (!ip.address.includes("/")) return `its reply has an address without a length: ${ip.address}`;
    const carrier = reply.interfaces[ip.interface];
    if (carrier === undefined) return `its reply puts ${ip.address} on interface number ${ip.interface}`;
  }
  const route = reply.routes.find(({ dst }) => !dst.includes("/"));
  return route && `its reply has a route without a length: ${route.dst}`;
}

/**
 * The result object. In a chain what the plugins before made comes first, as it was given, and the indexes of our
 * addresses count from there. "dns" is left out unless it was given.
 */
export function renderResult(reply: AddReply, version: CniVersion, previous?: PreviousResult): JsonObject {
  if (version === "0.1.0" || version === "0.2.0") return renderByFamily(reply, version, previous);
  const shift = previous?.interfaces.length ?? 0;
  return {
    ...previous?.all,
    cniVersion: version,
    interfaces: [
      ...(previous?.interfaces ?? []),
      ...reply.interfaces.map(({ name, mac, sandbox, mtu }) => ({
        name,
        ...(mac !== "" && { mac }),
        // 1.1.0 brought "mtu".
        ...(version === "1.1.0" && mtu !== 0 && { mtu }),
        ...(sandbox !== "" && { sandbox }),
      })),
    ],
    ips: [
      ...(previous?.ips ?? []),
      ...reply.ips.map((ip) => ({
        ...(namesFamily(version) && { version: isV6(ip.address) ? "6" : "4" }),
        interface: ip.interface + shift,
        address: ip.address,
        ...(ip.gateway !== "" && { gateway: ip.gateway }),
      })),
    ],
    routes: [...(previous?.routes ?? []), ...reply.routes.map(renderRoute)],
  };
}

/**
 * Before 0.3.0 a result had one address of each family, with its routes, and no interfaces. The first address counts;
 * one of a plugin before us was first.
 */
function renderByFamily(reply: AddReply, version: CniVersion, previous?: PreviousResult): JsonObject {
  const ofFamily = (v6: boolean): JsonObject | undefined => {
    const ip = reply.ips.find(({ address }) => isV6(address) === v6);
    if (ip === undefined) return undefined;
    const routes = reply.routes.filter(({ dst }) => isV6(dst) === v6).map(renderRoute);
    const gateway = ip.gateway !== "" && { gateway: ip.gateway };
    return { ip: ip.address, ...gateway, ...(routes.length > 0 && { routes }) };
  };
  const [ip4, ip6] = [ofFamily(false), ofFamily(true)];
  return { ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), ...previous?.all, cniVersion: version };
}

function renderRoute({ dst, gw }: ReplyRoute): JsonObject {
  return { dst, ...(gw !== "" && { gw }) };
}

function isV6(address: string): boolean {
  return address.includes(":");
}

/** Up to 0.4.0 each address says its family; 1.0.0 removed the key. */
function namesFamily(version: CniVersion): boolean {
  return version !== "1.0.0" && version !== "1.1.0";
}
