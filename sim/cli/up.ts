/**
 * `terway-sim up`: a simulated VPC on this machine, in the background.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { failed, ok, type Result } from "../../proto/result.ts";
import { createNamespaces, namespacesTaken } from "../fabric/fabric.ts";
import { runProgram } from "../fabric/run.ts";
import { namespacesOf, nodeNamespace } from "../fabric/shape.ts";
import { formatProblem, parseTopology } from "../model/topology-file.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../model/topology-default.ts";
import { type Topology } from "../model/topology.ts";
import { NAME_OPTION, nameOf } from "./name.ts";
import { noteNetnsDirectory } from "./netns-directory.ts";
import { type CommandLine, numberOption } from "./options.ts";
import { identify, isAlive } from "./process-identity.ts";
import { missingPrograms } from "./programs.ts";
import {
  claimDirectory,
  filesOf,
  readRecord,
  readServing,
  removeDirectory,
  removeRunDirectoryIfEmpty,
  type SimulatorRecord,
  writeWhole,
} from "./run-directory.ts";
import { startServing } from "./serving.ts";
import { fabricShape, SERVICES } from "./shape.ts";
import { table } from "./table.ts";
import { tearDown } from "./teardown.ts";
import { reasonOf, usageFailure, type Verb, type VerbFailure, verbFailure } from "./verb.ts";

type Wanted = {
  readonly name: string;
  readonly text: string;
  readonly topology: Topology;
  readonly timeScale: number;
  readonly seed: number;
};

/** `up [FILE]`. Whatever fails, what was made by then is removed again. */
export const up: Verb = {
  name: "up",
  usage: "[FILE] [--name N] [--time-scale X] [--seed N]",
  summary: "start a simulated VPC from a topology file, or from a built-in one",
  options: { ...NAME_OPTION, "time-scale": "X", seed: "N" },
  run: async (line) => {
    const wanted = await wantedOf(line);
    if (!wanted.ok) return wanted;
    const missing = await missingPrograms();
    if (missing !== undefined) return verbFailure(missing);
    const { name } = wanted.value;
    const claimed = await claim(name);
    if (!claimed.ok) return claimed;
    const taken = await namespacesTaken(namespacesOf(fabricShape(name, wanted.value.topology)));
    if (taken.length > 0) {
      await removeDirectory(name);
      await removeRunDirectoryIfEmpty();
      const names = taken.join(", ");
      return verbFailure(
        `network namespaces of these names exist: ${names}; choose another --name, or: ip netns del`,
      );
    }
    try {
      await make(wanted.value);
    } catch (cause) {
      const undone = await tearDown(name).then(
        () => "everything was undone",
        (rest: unknown) => `undoing failed too (${reasonOf(rest)}); try: terway-sim down --name ${name}`,
      );
      return verbFailure(`${reasonOf(cause)}\n${undone}`);
    }
    return ok(`${claimed.value}${whatNow(wanted.value)}`);
  },
};

async function wantedOf(line: CommandLine): Promise<Result<Wanted, VerbFailure>> {
  const name = nameOf(line);
  if (!name.ok) return name;
  const timeScale = numberOption(line, "time-scale", { min: 0.001, max: 1000, whole: false }, 1);
  if (!timeScale.ok) return usageFailure(timeScale.fault);
  const seed = numberOption(line, "seed", { min: 0, max: 0xff_ff_ff_ff, whole: true }, 1);
  if (!seed.ok) return usageFailure(seed.fault);
  const [file, ...more] = line.positionals;
  if (more.length > 0) return usageFailure(`up takes one topology file; ${more.join(" ")} is too much`);
  const text = await textOf(file);
  if (!text.ok) return text;
  const parsed = parseTopology(text.value);
  if (!parsed.ok) {
    return verbFailure(
      parsed.fault.map((problem) => `${file ?? "topology"}:${formatProblem(problem)}`).join("\n"),
    );
  }
  if (parsed.value.instances.some((instance) => instance.name === "vpc")) {
    return verbFailure(
      `${file ?? "topology"}: no instance can be named "vpc": that is the name of the router`,
    );
  }
  const values = { name: name.value, timeScale: timeScale.value, seed: seed.value };
  return ok({ ...values, text: text.value, topology: parsed.value });
}

async function textOf(file: string | undefined): Promise<Result<string, VerbFailure>> {
  if (file === undefined) return ok(JSON.stringify(DEFAULT_TOPOLOGY_FILE, undefined, 2));
  try {
    return ok(await readFile(file, "utf8"));
  } catch (cause) {
    return failed({ kind: "failed", message: `cannot read the topology: ${reasonOf(cause)}` });
  }
}

/** Makes `name` ours; removes what one that was killed has left. The value is a line that says so, or nothing. */
async function claim(name: string): Promise<Result<string, VerbFailure>> {
  if (await claimDirectory(name)) return ok("");
  const [record, serving] = [await readRecord(name), await readServing(name)];
  if (serving !== undefined && (await isAlive(serving))) {
    return verbFailure(
      `${name} is up already (process ${serving.pid}); see terway-sim status, or terway-sim down`,
    );
  }
  if (serving === undefined && record !== undefined && (await isAlive(record.starter))) {
    return verbFailure(`${name} is being started by process ${record.starter.pid}; wait for it`);
  }
  try {
    await tearDown(name);
  } catch (cause) {
    return verbFailure(`${name} was killed before, and what it left cannot be removed: ${reasonOf(cause)}`);
  }
  if (await claimDirectory(name)) return ok(`removed what an earlier ${name} that was killed had left\n`);
  return verbFailure(`${name} is being started by another process; wait for it`);
}

/** The record is written before what it names is made, so that `down` knows after any crash. */
async function make({ name, text, topology, timeScale, seed }: Wanted): Promise<void> {
  const shape = fabricShape(name, topology);
  const starter = await identify(process.pid);
  if (starter === undefined) throw new Error("/proc is not mounted, or does not list this process");
  const record: SimulatorRecord = {
    name,
    namespaces: [...namespacesOf(shape)],
    nodes: shape.nodes.map(({ node, instance }) => ({
      node,
      instance,
      namespace: nodeNamespace(name, node),
    })),
    starter,
    timeScale,
    seed,
    startedAt: new Date().toISOString(),
  };
  const files = filesOf(name);
  await writeWhole(files.topology, text);
  await writeWhole(files.record, JSON.stringify(record));
  await noteNetnsDirectory();
  await createNamespaces(shape, runProgram);
  await startServing(name);
}

function whatNow({ name, topology, timeScale }: Wanted): string {
  const option = name === "sim" ? "" : ` --name ${name}`;
  const [first] = topology.instances;
  const [credential] = topology.credentials;
  const nodes = table(
    ["NODE", "INSTANCE", "TYPE", "ZONE", "NAMESPACE"],
    topology.instances.map((node) => [
      node.name,
      node.id,
      node.type,
      node.zone,
      nodeNamespace(name, node.name),
    ]),
  );
  return [
    `The simulated VPC ${name} is up, ${timeScale === 1 ? "in real time" : `at ${timeScale} times real time`}.`,
    "",
    nodes,
    `Inside each node: ECS and VPC API at http://${SERVICES.api}, metadata at http://${SERVICES.metadata}`,
    `Access key: ${credential?.accessKeyId} ${credential?.accessKeySecret}`,
    "",
    "Next:",
    `  terway-sim exec${option} ${first?.name} -- ip address`,
    `  terway-sim exec${option} ${first?.name} -- ping -c 1 ${SERVICES.api}`,
    `  terway-sim state${option}`,
    `  terway-sim down${option}`,
    "",
  ].join("\n");
}
