/**
 * The demos' proofs that nothing is left, on nodes and on the machine.
 *
 * @module
 */
import {
  differences,
  hostSnapshot,
  machineChanges,
  networkSnapshot,
  type Snapshot,
} from "../harness/snapshot.ts";
import { type DemoNode } from "./demo-nodes.ts";
import { type Report } from "./report.ts";

/** Of each node's namespace, by its name. */
export async function nodeSnapshots(nodes: readonly DemoNode[]): Promise<ReadonlyMap<string, Snapshot>> {
  const entries = nodes.map(async ({ name, namespace }): Promise<[string, Snapshot]> => {
    return [name, await networkSnapshot(["ip", "netns", "exec", namespace])];
  });
  return new Map(await Promise.all(entries));
}

/** The nodes' network is as it was `before`. */
export async function proveNodesClean(
  nodes: readonly DemoNode[],
  before: ReadonlyMap<string, Snapshot>,
  report: Report,
): Promise<void> {
  const after = await nodeSnapshots(nodes);
  for (const { name } of nodes)
    checkNone(
      differences(before.get(name) ?? {}, after.get(name) ?? {}),
      `kernel of ${name}: links, addresses, rules, routes, nftables, sysctls as before`,
      report,
    );
}

/** The machine is as it was `before`; `name`: how the demo's namespaces begin. */
export async function proveMachineClean(name: string, before: Snapshot, report: Report): Promise<void> {
  checkNone(
    machineChanges(before, await hostSnapshot(), `${name}-`),
    "the machine is as it was: namespaces, links, rules, nftables, /var/run, /etc",
    report,
  );
}

function checkNone(left: readonly string[], text: string, report: Report): void {
  report.check(left.length === 0, text);
  for (const line of left) report.line(`      ${line}`);
}
