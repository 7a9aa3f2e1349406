/**
 * What is put to the test: an executable, a network configuration, and where the suite's own pieces of it come from.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as z from "zod";

/** A JSON object whose values nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

export const JSON_OBJECT = z.record(z.string(), z.unknown());

export type Target = {
  /** Absolute path of the executable. */
  readonly plugin: string;
  /** Name in the report. */
  readonly label: string;
  /** Of one plugin, with "name"; "cniVersion" is set by each call. */
  readonly config: JsonObject;
  /** CNI_PATH. */
  readonly cniPath: string;
  /** Directories where the plugin keeps what it remembers; their files count as left behind. */
  readonly stateDirs: readonly string[];
};

/** `value` as an object; empty where it is none. */
export function objectOf(value: unknown): JsonObject {
  const parsed = JSON_OBJECT.safeParse(value);
  return parsed.success ? parsed.data : {};
}

/** `value` as a list of objects; what is no object is left out. */
export function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((entry) => JSON_OBJECT.safeParse(entry).success) : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** JSON, or `undefined`. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const CONFIG = z.looseObject({ name: z.string().min(1), type: z.string().min(1) });
const LIST = z.looseObject({ name: z.string().min(1), plugins: z.array(JSON_OBJECT).min(1) });

/**
 * The configuration of one plugin: a .conf as it is, of a .conflist the first plugin, with the list's "name" put in as
 * libcni does. Throws with a sentence where it is neither.
 */
export function readConfig(path: string): JsonObject {
  const value = parseJson(readFileSync(path, "utf8"));
  if (value === undefined) throw new Error(`${path} is not JSON`);
  const list = LIST.safeParse(value);
  if (list.success) return { ...list.data.plugins[0], name: list.data.name };
  const config = CONFIG.safeParse(value);
  if (config.success) return config.data;
  throw new Error(`${path} is no network configuration: it needs "name" and "type", or "name" and "plugins"`);
}

/**
 * A target whose host-local addresses, if it has any and says nothing else, are kept in `scratch` and not in
 * /var/lib/cni.
 */
export function targetOf(given: {
  readonly plugin: string;
  readonly config: JsonObject;
  readonly scratch: string;
  readonly label?: string | undefined;
  readonly cniPath?: string | undefined;
  readonly stateDirs?: readonly string[];
}): Target {
  const plugin = resolve(given.plugin);
  const ipam = objectOf(given.config["ipam"]);
  const isHostLocal = ipam["type"] === "host-local";
  const dataDir = textOf(ipam["dataDir"]) || given.scratch;
  return {
    plugin,
    label: given.label ?? textOf(given.config["type"]),
    config: isHostLocal ? { ...given.config, ipam: { ...ipam, dataDir } } : given.config,
    cniPath: given.cniPath ?? dirname(plugin),
    stateDirs: [...(given.stateDirs ?? []), ...(isHostLocal ? [dataDir] : [])],
  };
}
