/**
 * What is in one of our routing tables.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type Client } from "./client.ts";
import { dumpRoutes } from "./codec/dump.ts";
import { decodeRoute, type Route } from "./codec/route.ts";

/** `ip route show table TABLE`. A table that never had a route does not exist, and is empty. */
export async function routesOf(client: Client, table: number): Promise<Result<readonly Route[]>> {
  const routes = await client.dump(`ip route show table ${table}`, dumpRoutes({ table }), decodeRoute);
  if (!routes.ok) return routes.fault.kind === "kernel" && routes.fault.errno === "ENOENT" ? ok([]) : routes;
  // A kernel that does not filter sends those of all tables.
  return ok(routes.value.filter((route) => route.table === table));
}
