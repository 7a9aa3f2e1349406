/**
 * The list of plugins that the runtime reads, from the configuration that the operator wrote.
 *
 * @module
 */
import {
  DEFAULT_SOCKET,
  DEFAULT_SPOOL_DIR,
  SOCKET_CONFIG_KEY,
  SPOOL_CONFIG_KEY,
} from "../../../proto/paths.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";

/** Where this agent listens, and where it looks for DELs. */
export type AgentPaths = { readonly socketPath: string; readonly spoolDir: string };

type Conf = Readonly<Record<string, unknown>>;

/**
 * The text of a `.conflist` (CNI SPEC.md 1.1.0, section 1). `source` is a list already, or the configuration of one plugin, which
 * becomes a list of one with its name and version. Each `terway` in it is told where the agent is, unless it would look there
 * anyway. The fault is a sentence.
 */
export function confList(source: string, paths: AgentPaths): Result<string, string> {
  const conf = parse(source);
  if (conf === undefined) return failed("it is not a JSON object");
  const { plugins } = conf;
  if (plugins === undefined) {
    const { cniVersion, name, ...plugin } = conf;
    return text({ cniVersion, name, plugins: [withPaths(plugin, paths)] });
  }
  if (!Array.isArray(plugins) || !plugins.every(isConf)) return failed("plugins is not a list of objects");
  if (!plugins.some(({ type }) => type === "terway")) return failed("plugins has none of type terway");
  return text({
    ...conf,
    plugins: plugins.map((plugin) => (plugin["type"] === "terway" ? withPaths(plugin, paths) : plugin)),
  });
}

function parse(source: string): Conf | undefined {
  try {
    const value: unknown = JSON.parse(source);
    return isConf(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isConf(value: unknown): value is Conf {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What was written of them is replaced: this agent knows better where it is. */
function withPaths(plugin: Conf, { socketPath, spoolDir }: AgentPaths): Conf {
  const { [SOCKET_CONFIG_KEY]: _, [SPOOL_CONFIG_KEY]: __, ...rest } = plugin;
  return {
    ...rest,
    ...(socketPath !== DEFAULT_SOCKET && { [SOCKET_CONFIG_KEY]: socketPath }),
    ...(spoolDir !== DEFAULT_SPOOL_DIR && { [SPOOL_CONFIG_KEY]: spoolDir }),
  };
}

function text(list: Conf): Result<string, string> {
  return ok(`${JSON.stringify(list, undefined, 2)}\n`);
}
