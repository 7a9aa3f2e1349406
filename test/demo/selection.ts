/**
 * Which datapath the demo shows: `DATAPATH` of the environment.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";

/** What can be shown. `veth` and `ipvlan` run on the simulated VPC, the others on the simulated on-premises network. */
export type Datapath = "veth" | "ipvlan" | "overlay" | "underlay";

const DATAPATHS: readonly Datapath[] = ["veth", "ipvlan", "overlay", "underlay"];

/** In any case of letters; `veth` where nothing is said. The fault is a sentence for standard error. */
export function selectDatapath(text: string | undefined): Result<Datapath, string> {
  const wanted = (text ?? "").trim().toLowerCase();
  const found = wanted === "" ? "veth" : DATAPATHS.find((datapath) => datapath === wanted);
  if (found !== undefined) return ok(found);
  return failed(`DATAPATH=${text}: there is no such datapath; give one of ${DATAPATHS.join(", ")}`);
}
