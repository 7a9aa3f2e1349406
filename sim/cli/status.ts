/**
 * `terway-sim status`: what is up and where. Works also where the serving process is dead.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { ok } from "../../proto/result.ts";
import { routerNamespace } from "../fabric/shape.ts";
import { parseTopology } from "../model/topology-file.ts";
import { NAME_OPTION, simulatorOf } from "./name.ts";
import { deadText } from "./operator-client.ts";
import { jsonText, OUTPUT_OPTION, wantsJson } from "./output.ts";
import { isAlive } from "./process-identity.ts";
import { filesOf, readServing, type SimulatorRecord } from "./run-directory.ts";
import { SERVICES } from "./shape.ts";
import { table } from "./table.ts";
import { type Verb, verbFailure } from "./verb.ts";

/** What `status -o json` prints. */
export type StatusReport = {
  readonly name: string;
  /** The serving process lives. */
  readonly running: boolean;
  /** Of the serving process. */
  readonly pid: number | undefined;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Simulated seconds in a real one. */
  readonly timeScale: number;
  readonly seed: number;
  readonly endpoints: {
    /** ECS and VPC API; reachable inside the nodes. */
    readonly api: string;
    /** Reachable inside the nodes. */
    readonly metadata: string;
    /** Unix socket of the operator's API. */
    readonly operator: string;
  };
  readonly region: string;
  readonly credentials: readonly { readonly accessKeyId: string; readonly accessKeySecret: string }[];
  readonly routerNamespace: string;
  readonly nodes: readonly {
    readonly node: string;
    readonly instance: string;
    readonly type: string;
    readonly zone: string;
    /** A name for `ip netns`. */
    readonly namespace: string;
  }[];
  readonly log: string;
};

/** `status [-o json]`. Fails where nothing is up or the process was killed. */
export const status: Verb = {
  name: "status",
  usage: "[--name N] [-o json]",
  summary: "show nodes with their namespaces, endpoints, process",
  options: { ...NAME_OPTION, ...OUTPUT_OPTION },
  run: async (line) => {
    const json = wantsJson(line);
    if (!json.ok) return json;
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    const report = await reportOf(record.value);
    if (json.value) return ok(jsonText(report));
    return report.running ? ok(tables(report)) : verbFailure(deadText(report.name));
  },
};

async function reportOf(record: SimulatorRecord): Promise<StatusReport> {
  const files = filesOf(record.name);
  const topology = parseTopology(await readFile(files.topology, "utf8"));
  if (!topology.ok) throw new Error(`${files.topology} was changed by hand`);
  const { instances, region, credentials } = topology.value;
  const serving = await readServing(record.name);
  return {
    name: record.name,
    running: serving !== undefined && (await isAlive(serving)),
    pid: serving?.pid,
    startedAt: record.startedAt,
    timeScale: record.timeScale,
    seed: record.seed,
    endpoints: {
      api: `http://${SERVICES.api}`,
      metadata: `http://${SERVICES.metadata}`,
      operator: files.operatorSocket,
    },
    region,
    credentials: credentials.map(({ accessKeyId, accessKeySecret }) => ({ accessKeyId, accessKeySecret })),
    routerNamespace: routerNamespace(record.name),
    nodes: record.nodes.map(({ node, instance, namespace }) => {
      const spec = instances.find(({ id }) => id === instance);
      return { node, instance, type: spec?.type ?? "", zone: spec?.zone ?? "", namespace };
    }),
    log: files.log,
  };
}

function tables(report: StatusReport): string {
  const facts = table(
    ["SIMULATOR", report.name],
    [
      ["process", `${report.pid}, since ${report.startedAt}`],
      ["time", `${report.timeScale} simulated seconds in a real one, seed ${report.seed}`],
      ["API", `${report.endpoints.api} (inside the nodes), region ${report.region}`],
      ["metadata", `${report.endpoints.metadata} (inside the nodes)`],
      ...report.credentials.map(({ accessKeyId, accessKeySecret }) => [
        "access key",
        `${accessKeyId} ${accessKeySecret}`,
      ]),
      ["operator", report.endpoints.operator],
      ["router", report.routerNamespace],
      ["log", report.log],
    ],
  );
  const nodes = table(
    ["NODE", "INSTANCE", "TYPE", "ZONE", "NAMESPACE"],
    report.nodes.map((node) => [node.node, node.instance, node.type, node.zone, node.namespace]),
  );
  return `${facts}\n${nodes}`;
}
