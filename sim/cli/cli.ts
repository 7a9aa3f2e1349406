/**
 * The command `terway-sim`: finds the verb, checks the command line, prints.
 *
 * @module
 */
import { calls } from "./calls.ts";
import { down } from "./down.ts";
import { exec } from "./exec.ts";
import { fault } from "./fault.ts";
import { parseCommandLine, unknownWord } from "./options.ts";
import { serve } from "./serve.ts";
import { state } from "./state.ts";
import { status } from "./status.ts";
import { table } from "./table.ts";
import { up } from "./up.ts";
import { reasonOf, type Verb } from "./verb.ts";

const VERBS: readonly Verb[] = [up, down, status, exec, state, fault, calls];

/** What a run of the command prints and ends with. */
export type Ended = {
  /** 0 done, 1 failed, 2 wrong command line. */
  readonly status: 0 | 1 | 2;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs `terway-sim` with the words after its name. `isRoot` is whether the caller may make namespaces. */
export async function runCommand(args: readonly string[], isRoot: boolean): Promise<Ended> {
  const [word, ...rest] = args;
  if (word === undefined) return { status: 2, stdout: "", stderr: helpText() };
  if (["help", "--help", "-h"].includes(word)) return help(rest[0]);
  const verb = [...VERBS, serve].find(({ name }) => name === word);
  if (verb === undefined) return unknownVerb(word);
  const line = parseCommandLine({ ...verb.options, help: true, h: true }, rest);
  if (!line.ok) return wrong(verb, line.fault);
  if (line.value.values["help"] === true || line.value.values["h"] === true) return printed(verbHelp(verb));
  if (line.value.rest !== undefined && verb !== exec)
    return wrong(verb, "only exec takes a command after --");
  if (!isRoot) {
    const why = "terway-sim works with network namespaces and links, which only root may; run it with sudo";
    return { status: 1, stdout: "", stderr: `${why}\n` };
  }
  try {
    const done = await verb.run(line.value);
    if (done.ok) return printed(done.value);
    if (done.fault.kind === "usage") return wrong(verb, done.fault.message);
    return { status: 1, stdout: "", stderr: `terway-sim ${verb.name}: ${done.fault.message}\n` };
  } catch (cause) {
    return { status: 1, stdout: "", stderr: `terway-sim ${verb.name}: ${reasonOf(cause)}\n` };
  }
}

function help(topic: string | undefined): Ended {
  if (topic === undefined) return printed(helpText());
  const verb = VERBS.find(({ name }) => name === topic);
  return verb === undefined ? unknownVerb(topic) : printed(verbHelp(verb));
}

function helpText(): string {
  const verbs = table(
    ["VERB", ""],
    VERBS.map(({ name, summary }) => [name, summary]),
  );
  return `terway-sim: a VPC of Alibaba Cloud on this machine, with signed API, metadata service and real links\n\n${verbs}\nterway-sim help VERB says more.\n`;
}

function verbHelp({ name, usage, summary }: Verb): string {
  return `terway-sim ${name}: ${summary}\n\nusage: terway-sim ${name} ${usage}\n`;
}

function unknownVerb(word: string): Ended {
  const names = VERBS.map(({ name }) => name);
  return { status: 2, stdout: "", stderr: `terway-sim: ${unknownWord("verb", word, names)}\n` };
}

function wrong({ name, usage }: Verb, message: string): Ended {
  return {
    status: 2,
    stdout: "",
    stderr: `terway-sim ${name}: ${message}\nusage: terway-sim ${name} ${usage}\n`,
  };
}

function printed(stdout: string): Ended {
  return { status: 0, stdout, stderr: "" };
}
