/**
 * Addresses of an ENI, of either family: one call gives an ENI more of them, one takes some back. The two families have
 * actions of their own that work alike.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../proto/addr6.ts";
import { type EniId } from "../../proto/ids.ts";
import { ok } from "../../proto/result.ts";
import { type AssignAddresses, type CloudResult, type EniView, type Priority } from "../core/cloud.ts";
import { decodeAssigned, decodeAssigned6, type Json } from "./decode.ts";
import { codeOf, goneIsFine, STALE_ADDRESS } from "./gone.ts";
import { checked, type Request } from "./invoke.ts";
import * as sdk from "./sdk.ts";

export type Invoke = (request: Request) => Promise<CloudResult<Json>>;

/** What the ENI has now: asked where a list of addresses turned out to be stale. */
export type LookUp = (eni: EniId) => Promise<CloudResult<readonly EniView[]>>;

/** AssignPrivateIpAddresses or AssignIpv6Addresses. An answer without addresses leaves open whether it had its effect. */
export async function assignAddresses(
  invoke: Invoke,
  { eni, family, count, token }: AssignAddresses,
  priority: Priority,
): Promise<CloudResult<readonly IpAddress[]>> {
  if (family === "ipv6") {
    const action = "AssignIpv6Addresses";
    const parameters = new sdk.AssignIpv6AddressesRequest({
      networkInterfaceId: eni,
      ipv6AddressCount: count,
      clientToken: token,
    });
    const answer = await invoke({ action, target: eni, priority, parameters });
    if (!answer.ok) return answer;
    return checked(decodeAssigned6(answer.value), answer.value, { action, target: eni });
  }
  const action = "AssignPrivateIpAddresses";
  const parameters = new sdk.AssignPrivateIpAddressesRequest({
    networkInterfaceId: eni,
    secondaryPrivateIpAddressCount: count,
    clientToken: token,
  });
  const answer = await invoke({ action, target: eni, priority, parameters });
  if (!answer.ok) return answer;
  return checked(decodeAssigned(answer.value), answer.value, { action, target: eni });
}

/**
 * UnassignPrivateIpAddresses or UnassignIpv6Addresses, by the family of the first address. The cloud refuses the whole list
 * where one address of it is not assigned (any more). Then the list is made anew from what the ENI has, and asked for once
 * more.
 */
export async function unassignAddresses(
  invoke: Invoke,
  lookUp: LookUp,
  eni: EniId,
  addresses: readonly IpAddress[],
): Promise<CloudResult<void>> {
  if (addresses.length === 0) return ok(undefined);
  const first = await unassign(invoke, eni, addresses);
  if (first.ok || codeOf(first.fault) !== STALE_ADDRESS) return goneIsFine(first);
  const now = await lookUp(eni);
  if (!now.ok) return now;
  const view = now.value.find(({ id }) => id === eni);
  const assigned = new Set<IpAddress>(view === undefined ? [] : [...view.addresses, ...view.addresses6]);
  const left = addresses.filter((address) => assigned.has(address) && address !== view?.primary);
  return left.length === 0 ? ok(undefined) : goneIsFine(unassign(invoke, eni, left));
}

function unassign(invoke: Invoke, eni: EniId, addresses: readonly IpAddress[]): Promise<CloudResult<Json>> {
  const about = { target: eni, priority: "release" } as const;
  if (addresses.some(isIpv6)) {
    const parameters = new sdk.UnassignIpv6AddressesRequest({
      networkInterfaceId: eni,
      ipv6Address: [...addresses],
    });
    return invoke({ ...about, action: "UnassignIpv6Addresses", parameters });
  }
  const parameters = new sdk.UnassignPrivateIpAddressesRequest({
    networkInterfaceId: eni,
    privateIpAddress: [...addresses],
  });
  return invoke({ ...about, action: "UnassignPrivateIpAddresses", parameters });
}
