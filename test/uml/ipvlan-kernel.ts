/**
 * Which kernel IPVLAN can be shown on.
 *
 * @module
 */
import { run } from "../harness/process.ts";

/** In a namespace of its own, so that nothing of it is left. */
const PROBE = `
  ip link add parent type veth peer name other
  ip link add link parent name slave type ipvlan mode l2
`;

let asked: Promise<"own" | "uml"> | undefined;

/** This machine's where it has IPVLAN, else User Mode Linux (run-in-uml.ts). Tried once. */
export async function ipvlanKernel(): Promise<"own" | "uml"> {
  asked ??= run("unshare", ["--net", "sh", "-ec", PROBE]).then(({ status }) =>
    status === 0 ? "own" : "uml",
  );
  return asked;
}
