/**
 * Taking all of the hybrid network away, whatever made it: an agent that ran before, another configuration.
 *
 * @module
 */
import { failed, type Result } from "../../../proto/result.ts";
import { NFT_FAMILIES } from "../../core/hybrid/nft-text.ts";
import { changesOf } from "../../core/hybrid/plan.ts";
import { carryOut } from "./change.ts";
import { removeDevices } from "./device.ts";
import { restoreForwarding } from "./forwarding.ts";
import { removeTables } from "./nat.ts";
import { type PassPorts } from "./pass.ts";
import { readThings } from "./read.ts";

/** No failure where there is nothing. The first failure ends it; it may be called again. */
export async function removeAll({ client, nodeNetns }: PassPorts): Promise<Result<void>> {
  // With the device go its addresses, neighbours, forwarding entries and routes.
  const devices = await removeDevices(client);
  if (!devices.ok) return devices;
  const routes = await readThings(client, { uplink: { name: "", ifIndex: 0 } }, []);
  if (!routes.ok) return routes;
  const carried = await carryOut(client, changesOf(new Map(), routes.value, true), routes.value);
  if (!carried.ok) return carried;
  const [failure] = carried.value.failures;
  if (failure !== undefined) return failed(failure.fault);
  const restored = await restoreForwarding(client, NFT_FAMILIES);
  return restored.ok ? removeTables(client, nodeNetns) : restored;
}
