/**
 * `terwayd --check` of a hybrid network's file.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { desireOf, overlayFault, ownRecord } from "../core/hybrid/desire.ts";
import { readHybridConf } from "../hybrid-conf/file.ts";
import { type HybridArguments } from "./arguments.ts";

/** Of the network as the file says it; which device is the uplink matters to none of it. */
const NO_UPLINK = { name: "", ifIndex: 0, mtuBytes: 1500 };

/**
 * `report`: records that are left out, and nodes that this one does not reach; empty where all is well. `summary`: the paths.
 * The fault is what a first start would end with.
 */
export function checkHybridConf({
  confPath,
  nodeName,
}: HybridArguments): Result<{ readonly report: string; readonly summary: string }, string> {
  const news = readHybridConf(confPath);
  if (news.kind === "unusable") return failed(news.report);
  const own = ownRecord(news.view, nodeName);
  if (!own.ok) return failed([own.fault, news.report].filter((part) => part !== "").join("\n"));
  const { desired, unreachable, fabric } = desireOf(news.view, own.value, NO_UPLINK);
  const refused = new Set(news.view.refused.map(({ name }) => name));
  const unroutable = unreachable.filter(({ name }) => !refused.has(name));
  const lines = [
    news.report,
    overlayFault(news.view.network, own.value) ?? "",
    ...unroutable.map(({ name, reason }) => `${name} cannot be reached: ${reason}`),
  ];
  const direct = desired.peers.filter(({ path }) => path === "direct").length;
  const paths = `${direct} direct, ${desired.peers.length - direct} by VXLAN, ${fabric.length} by the fabric, ${unreachable.length} not reached`;
  return ok({
    report: lines.filter((line) => line !== "").join("\n"),
    summary: `other nodes: ${paths}`,
  });
}
