/**
 * Which datapath the demo shows: `DATAPATH` of the environment.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";

/** What can be shown. `veth` runs on the simulated VPC, the others on the simulated on-premises network. */
export type Datapath = "veth" | "overlay" | "underlay";

const DATAPATHS: readonly Datapath[] = ["veth", "overlay", "underlay"];

/** In any case of letters; `veth` where nothing is said. The fault is a sentence for standard error. */
export function selectDatapath(text: string | undefined): Result<Datapath, string> {
  const wanted = (text ?? "").trim().toLowerCase();
  const found = wanted === "" ? "veth" : DATAPATHS.find((datapath) => datapath === wanted);
  if (found !== undefined) return ok(found);
  const reason =
    wanted === "ipvlan" ? "there is no demo of IPVLAN in this version" : "there is no such datapath";
  return failed(`DATAPATH=${text}: ${reason}; give one of ${DATAPATHS.join(", ")}`);
}
