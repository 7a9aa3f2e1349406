/**
 * What a node has of pods and ENIs, in all places that know of them: kernel, nftables, database, spool, cloud. Two looks at
 * a node with the same pods are the same text, so what a killed agent has left shows as a difference.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";

import { must } from "../harness/process.ts";
import { cloudState, type SimNode } from "../harness/simulator.ts";
import { type Snapshot } from "../harness/snapshot.ts";

export type Place = {
  readonly simulator: string;
  readonly node: SimNode;
  readonly stateDir: string;
  /** Namespaces of pods. */
  readonly pods: readonly string[];
};

/** A file of a plugin that was killed while it wrote it; the agent removes it after a minute. */
const HALF = /^\..*\.del\.\d+$/;

/** What cloud and database say, but cooldowns: soon told. The agent has to run. */
export async function lookAtRecords(place: Place): Promise<Snapshot> {
  const files = readdirSync(join(place.stateDir, "spool"));
  const spool = files.filter((name) => !HALF.test(name)).join("\n");
  return { ...(await cloudText(place)), ...rowsOf(place.stateDir), spool };
}

/** What the kernel has in the node and in its pods. */
export async function lookAtKernel({ node, pods }: Place): Promise<Snapshot> {
  const texts = await Promise.all([
    inside(node.namespace, NODE_LOOK),
    ...pods.map((namespace) => inside(namespace, POD_LOOK)),
  ]);
  return Object.fromEntries(texts.map((text, at) => [at === 0 ? "node" : (pods[at - 1] ?? ""), text]));
}

/** Addresses that rest. */
export function cooldowns(stateDir: string): readonly string[] {
  using db = openDatabase(stateDir);
  return db
    .prepare("SELECT address FROM cooldown ORDER BY address")
    .all()
    .map(({ address }) => String(address));
}

const POD_LOOK =
  "printf 'link\\naddress show scope global\\nroute\\nneigh show nud permanent\\n' | ip -o -batch -";
/** What was counted is not what was left. */
const NODE_LOOK = [
  "printf 'link\\naddress\\nrule\\nroute show table all\\nneigh show nud permanent\\n' | ip -o -batch - | grep -v fe80; ip -6 rule",
  "nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'",
  "grep -H . /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv4/conf/*/rp_filter",
].join("\n");

/** One process to enter, however much is asked. */
async function inside(namespace: string, script: string): Promise<string> {
  return must("ip", ["netns", "exec", namespace, "sh", "-c", script]);
}

async function cloudText({ simulator, node }: Place): Promise<Snapshot> {
  const { enis, broken } = await cloudState(simulator);
  const own = enis.filter(
    ({ type, owner, vSwitch }) =>
      type !== "Primary" && (owner === node.instance || vSwitch.startsWith(`vsw-${node.name}-`)),
  );
  return {
    "cloud: ENIs": own
      .map(
        ({ id, status, owner, addresses }) => `${id} ${status} ${owner} ${[...addresses].sort().join(" ")}`,
      )
      .sort()
      .join("\n"),
    "cloud: broken": broken.map(({ invariant, detail }) => `${invariant}: ${detail}`).join("\n"),
  };
}

const ENI_RECORD = z.looseObject({
  kind: z.string(),
  facts: z.optional(z.looseObject({ id: z.string() })),
  addresses: z.array(z.string()).default([]),
  unassigning: z.array(z.string()).default([]),
});

function rowsOf(stateDir: string): Snapshot {
  using db = openDatabase(stateDir);
  const leases = db.prepare("SELECT container_id, address, slot, state FROM lease ORDER BY address").all();
  const enis = db.prepare("SELECT slot, record FROM eni ORDER BY slot").all();
  return {
    "store: leases": leases.map((row) => Object.values(row).join(" ")).join("\n"),
    "store: ENIs": enis
      .map(({ slot, record }) => {
        const { kind, facts, addresses, unassigning } = ENI_RECORD.parse(JSON.parse(String(record)));
        return [slot, kind, facts?.id, ...addresses.sort(), ...unassigning.map((address) => `-${address}`)];
      })
      .join("\n"),
  };
}

function openDatabase(stateDir: string): DatabaseSync {
  return new DatabaseSync(join(stateDir, "agent.db"), { readOnly: true, timeout: 1000 });
}
