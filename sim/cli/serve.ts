/**
 * `terway-sim serve`: the process that `up` starts in the namespace of the router. Not for people.
 *
 * @module
 */
import { once } from "node:events";
import { closeSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { ok } from "../../proto/result.ts";
import { driveFabric, type Fabric } from "../fabric/fabric.ts";
import { runProgram } from "../fabric/run.ts";
import { openSimulator, type Simulator } from "../http/server.ts";
import { parseTopology } from "../model/topology-file.ts";
import { NAME_OPTION, simulatorOf } from "./name.ts";
import { filesOf, type SimulatorRecord, writeServing } from "./run-directory.ts";
import { READY, READY_FD } from "./serving.ts";
import { fabricShape, SERVICE_PORT, SERVICES } from "./shape.ts";
import { reasonOf, type Verb, verbFailure } from "./verb.ts";

/** `serve --name N`. Serves until SIGTERM, after it has said on file descriptor 3 that it does, or why not. */
export const serve: Verb = {
  name: "serve",
  usage: "--name N",
  summary: "serve the API of a simulator that up is starting",
  options: NAME_OPTION,
  run: async (line) => {
    const record = await simulatorOf(line);
    if (!record.ok) return record;
    // A serving process that is late, of an `up` that was killed, must not meddle with the next one.
    if (process.ppid !== record.value.starter.pid)
      return verbFailure("is started by terway-sim up, not by hand");
    const ended = once(process, "SIGTERM");
    try {
      // First of all, so that `down` finds this process whatever becomes of `up`.
      await writeServing(record.value.name);
      await using simulator = await open(record.value);
      tellStarter(READY);
      await ended;
      void simulator;
    } catch (cause) {
      tellStarter(`${reasonOf(cause)}\n`);
      return verbFailure(reasonOf(cause));
    }
    return ok("");
  },
};

async function open(record: SimulatorRecord): Promise<Simulator> {
  const files = filesOf(record.name);
  const parsed = parseTopology(await readFile(files.topology, "utf8"));
  if (!parsed.ok) throw new Error(`${files.topology} was changed by hand`);
  const fabric = driveFabric(fabricShape(record.name, parsed.value), runProgram);
  const simulator = await openSimulator({
    topology: parsed.value,
    seed: record.seed,
    timeScale: record.timeScale,
    api: { host: SERVICES.api, port: SERVICE_PORT },
    metadata: [{ host: SERVICES.metadata, port: SERVICE_PORT }],
    operator: { path: files.operatorSocket },
    applyFabric: loggingFailures(fabric),
    fabricCounters: fabric.counters,
  });
  for (const { id, primaryAddress, primaryIpv6 } of (await simulator.state()).instances) {
    if (primaryAddress !== undefined) await fabric.configurePrimary(id, primaryAddress, primaryIpv6);
  }
  return simulator;
}

/** The operator sees failures of the data plane as broken invariants; the log keeps them all. */
function loggingFailures(fabric: Fabric): Fabric["apply"] {
  return async (changes) => {
    try {
      await fabric.apply(changes);
    } catch (cause) {
      process.stderr.write(`${new Date().toISOString()} ${reasonOf(cause)}\n`);
      throw cause;
    }
  };
}

/**
 * A starter that is gone closed the pipe: then nobody waits for a simulator, and the error of the write ends this
 * process.
 */
function tellStarter(message: string): void {
  writeSync(READY_FD, message);
  closeSync(READY_FD);
}
