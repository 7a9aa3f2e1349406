/**
 * The command line of the suite.
 *
 * @module
 */
import { parseArgs } from "node:util";

export type Options = {
  readonly plugin: string;
  readonly config: string;
  readonly label: string | undefined;
  readonly cniPath: string | undefined;
  readonly stateDirs: readonly string[];
  /** A module that exports `openDriver`. */
  readonly driver: string | undefined;
  /** Ids and letters of sections, or all. */
  readonly only: string | undefined;
  /** Where the JSON goes. */
  readonly json: string | undefined;
};

export const USAGE = `CNI conformance of any plugin executable, as root:

  node test/conformance/main.ts --plugin PATH --config FILE [options]

  --plugin PATH     the executable
  --config FILE     its network configuration, .conf or .conflist (of which the first plugin)
  --name LABEL      how the report calls it
  --only IDS        some lines, or sections: E4,D1 or E,D
  --json FILE       the report as JSON
  --cni-path DIRS   CNI_PATH (default: the directory of the plugin)
  --state-dir DIR   a directory where the plugin keeps what it remembers, to see leaks; may be given again
  --driver FILE     a module that can stop the plugin's agent and the like (docs/conformance.md)
  --with-sim        the driver for terway: a simulated VPC and an agent
`;

/** Throws with a sentence where the words make no sense. */
export function readOptions(words: readonly string[], terwayDriver: string): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      plugin: text,
      config: text,
      name: text,
      only: text,
      json: text,
      "cni-path": text,
      "state-dir": { type: "string", multiple: true },
      driver: text,
      "with-sim": { type: "boolean" },
    },
  });
  const { plugin, config, driver } = values;
  if (plugin === undefined || config === undefined) throw new Error("--plugin and --config are needed");
  const withSim = values["with-sim"] === true;
  if (withSim && driver !== undefined) throw new Error("--with-sim is a driver; leave --driver out");
  return {
    plugin,
    config,
    label: values.name,
    cniPath: values["cni-path"],
    stateDirs: values["state-dir"] ?? [],
    driver: withSim ? terwayDriver : driver,
    only: values.only,
    json: values.json,
  };
}
