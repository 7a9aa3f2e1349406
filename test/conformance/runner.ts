/**
 * Runs lines of the checklist one after the other against one plugin.
 *
 * @module
 */
import { type Bench, openBench } from "./bench.ts";
import { type Driver, type OpenDriver } from "./driver.ts";
import { makeNode, removeNamespace } from "./node.ts";
import { describeRun, execute } from "./probe.ts";
import { type Target } from "./target.ts";
import { type Check, type Line, openTrial } from "./trial.ts";
import { VERSIONS, versionResultOf } from "./version.ts";

export type LineReport = {
  readonly id: string;
  readonly wants: string;
  readonly outcome: "passed" | "failed" | "not applicable";
  readonly checks: readonly Check[];
  readonly tookMs: number;
};

export type Report = {
  readonly label: string;
  readonly plugin: string;
  /** As VERSION says. */
  readonly announces: readonly string[];
  /** The version of all calls that are not about versions. */
  readonly version: string;
  readonly lines: readonly LineReport[];
  /** Namespaces and other things that the suite itself or the driver left behind. */
  readonly left: readonly string[];
};

export type SuiteOptions = {
  readonly target: Target;
  readonly lines: readonly Line[];
  /** Names on the machine begin so; at most 10 characters, not used by another run. */
  readonly name: string;
  /** Exists; removed by whoever made it. */
  readonly directory: string;
  readonly openDriver?: OpenDriver | undefined;
  readonly onLine?: (report: LineReport) => void;
};

/** Throws where the plugin cannot be put to the test at all: no VERSION, no ADD. */
export async function runSuite(options: SuiteOptions): Promise<Report> {
  const { target, name } = options;
  const driver = await (options.openDriver ?? ownNode)({
    name,
    directory: options.directory,
    config: target.config,
  });
  const running = runOn(options, driver);
  const left = await running.then(driver.close, driver.close);
  return { ...(await running), left };
}

/** Runs `options.lines` on a driver that is open already. */
export async function runOn(options: Omit<SuiteOptions, "openDriver">, driver: Driver): Promise<Report> {
  const { target, name } = options;
  const announces = await announcedBy(target, driver);
  const versions = VERSIONS.filter((version) => announces.includes(version));
  const version = versions.at(-1);
  if (version === undefined) {
    throw new Error(`${target.label} announces no version that is known here: ${announces.join(", ")}`);
  }
  const bench = openBench({ target, driver, versions, version, name: `${name}-p` });
  const lines: LineReport[] = [];
  try {
    await warmUp(bench);
    for (const line of options.lines) {
      const report = await runLine(line, bench);
      lines.push(report);
      options.onLine?.(report);
    }
  } finally {
    await bench.closePods();
  }
  return { label: target.label, plugin: target.plugin, announces, version, lines, left: [] };
}

async function announcedBy(target: Target, driver: Driver): Promise<readonly string[]> {
  const env = {
    PATH: process.env["PATH"],
    CNI_COMMAND: "VERSION",
    CNI_NETNS: "dummy",
    CNI_IFNAME: "dummy",
    CNI_CONTAINERID: "dummy",
    CNI_PATH: "dummy",
  };
  const run = await execute(target.plugin, driver.node, {
    verb: "VERSION",
    stdin: { cniVersion: "1.0.0" },
    env,
  });
  const announced = versionResultOf(run);
  if (announced === undefined) throw new Error(`VERSION does not work: ${describeRun(run)}\n${run.repeat}`);
  return announced.supportedVersions;
}

/** What the plugin makes once and keeps, such as a bridge, shall not count as left behind. */
async function warmUp(bench: Bench): Promise<void> {
  const added = await bench.add();
  await bench.del(added);
  await bench.closePods();
}

async function runLine(line: Line, bench: Bench): Promise<LineReport> {
  const trial = openTrial();
  const startedMs = performance.now();
  try {
    await line.run(trial, bench);
  } catch (error) {
    const seen = error instanceof Error ? error.message : String(error);
    trial.check("the line can be carried out", false, { wanted: "no such failure", seen });
  } finally {
    await bench.closePods();
  }
  const checks = trial.checks();
  return {
    id: line.id,
    wants: line.wants,
    outcome: outcomeOf(checks),
    checks,
    tookMs: Math.round(performance.now() - startedMs),
  };
}

/** One failed check fails the line; skipped ones alone mean that it does not apply. */
export function outcomeOf(checks: readonly Check[]): LineReport["outcome"] {
  if (checks.some(({ kind }) => kind === "failed")) return "failed";
  return checks.some(({ kind }) => kind === "passed") ? "passed" : "not applicable";
}

/** For plugins without a driver: a namespace of the suite stands for the node's. */
const ownNode: OpenDriver = async ({ name }) => {
  const node = `${name}-n`;
  const close = async (): Promise<readonly string[]> => {
    await removeNamespace(node);
    return [];
  };
  await makeNode(node).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { node, config: {}, close };
};
