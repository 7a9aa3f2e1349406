/**
 * `terway-sim down`: the simulator goes, and nothing of it stays.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { ok } from "../../proto/result.ts";
import { runProgram } from "../fabric/run.ts";
import { NAME_OPTION, nameOf } from "./name.ts";
import { readRecord, simulatorNames, type SimulatorRecord } from "./run-directory.ts";
import { tearDown } from "./teardown.ts";
import { usageFailure, type Verb } from "./verb.ts";

/** `down [--name N]`. Where nothing is up it says so and is content. */
export const down: Verb = {
  name: "down",
  usage: "[--name N]",
  summary: "remove the simulator with its namespaces, links and files",
  options: NAME_OPTION,
  run: async (line) => {
    const name = nameOf(line);
    if (!name.ok) return name;
    if (line.positionals.length > 0) return usageFailure(`down takes no argument; did you mean --name?`);
    const names = await simulatorNames();
    if (!names.includes(name.value)) {
      const others = names.length === 0 ? "" : `; up are: ${names.join(", ")}`;
      return ok(`no simulator named ${name.value} is up${others}\n`);
    }
    const record = await readRecord(name.value);
    const running = record === undefined ? [] : await programsIn(record);
    await tearDown(name.value);
    return ok([...running, `${name.value} is down\n`].join(""));
  },
};

/** A line for each program that people left running in a node: it keeps its namespace, without a name, until it ends. */
async function programsIn(record: SimulatorRecord): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { node, namespace } of record.nodes) {
    const ran = await runProgram(["ip", "netns", "pids", namespace], "");
    for (const pid of ran.stdout.split("\n").filter((text) => text !== "")) {
      const command = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (command !== "")
        lines.push(`still running in ${node}, now without network: ${command.trim()} (process ${pid})\n`);
    }
  }
  return lines;
}
