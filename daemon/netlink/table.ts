/**
 * What is in one of our routing tables.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type Client, type Place } from "./client.ts";
import { dumpRoutes } from "./codec/dump.ts";
import { decodeRoute, type Route } from "./codec/route.ts";
import { noneWhereGone } from "./look.ts";

/** Which routes. `family`: AF_INET where it is not given. */
export type TableKey = { readonly table: number; readonly family?: number; readonly oif?: number };

/**
 * `ip route show table TABLE [dev DEV]`. A table that never had a route does not exist, and is empty; so is one of a device
 * that is gone.
 */
export async function routesOf(
  client: Client,
  key: TableKey,
  place?: Place,
): Promise<Result<readonly Route[]>> {
  const { table, oif } = key;
  const what = `ip route show table ${table}`;
  const routes = noneWhereGone(await client.dump(what, dumpRoutes(key), decodeRoute, place));
  if (!routes.ok) return routes;
  // A kernel that does not filter sends those of all tables.
  return ok(
    routes.value.filter((route) => route.table === table && (oif === undefined || route.oif === oif)),
  );
}
