/**
 * What a runtime gives to a plugin and what it gets back: an executable that writes both down and runs the plugin.
 *
 * @module
 */
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One execution. */
export type CniRecord = {
  readonly command: string;
  /** CNI_* without the prefix: "NETNS", "ARGS". */
  readonly env: Readonly<Record<string, string>>;
  /** The network configuration. */
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
};

/** Makes the executable `directory`/recorder, which runs `plugin` with what it got; returns its path. */
export async function makeRecorder(directory: string, plugin: string): Promise<string> {
  const path = join(directory, "recorder");
  const records = join(directory, "records");
  await mkdir(records, { recursive: true });
  const script = `#!/bin/sh
record=${records}/$(date +%s%N).$$
mkdir "$record.part"
env | sed -n 's/^CNI_//p' >"$record.part/env"
cat >"$record.part/stdin"
${plugin} <"$record.part/stdin" >"$record.part/stdout" 2>"$record.part/stderr"
status=$?
echo "$status" >"$record.part/status"
mv "$record.part" "$record"
cat "$record/stdout"
cat "$record/stderr" >&2
exit "$status"
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}

/** The finished executions, oldest first. */
export async function recordsIn(directory: string): Promise<CniRecord[]> {
  const records = join(directory, "records");
  const names = (await readdir(records)).filter((name) => !name.endsWith(".part")).sort();
  return Promise.all(names.map(async (name) => recordAt(join(records, name))));
}

async function recordAt(directory: string): Promise<CniRecord> {
  const text = async (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const env = Object.fromEntries(
    (await text("env"))
      .split("\n")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return {
    command: env["COMMAND"] ?? "",
    env,
    stdin: await text("stdin"),
    stdout: await text("stdout"),
    stderr: await text("stderr"),
    status: Number(await text("status")),
  };
}
