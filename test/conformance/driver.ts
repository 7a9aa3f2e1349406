/**
 * What only somebody who knows a plugin can do to it: stop its agent, empty its pool, damage what it made. A driver is a
 * module that exports `openDriver`; all of its switches are optional, and lines that need a missing one do not apply.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { type JsonObject } from "./target.ts";

/** Something that can be made so, and undone. Both wait until it is. */
export type Switch = {
  readonly on: () => Promise<void>;
  readonly off: () => Promise<void>;
};

export type Damage = {
  /** "its element of the nftables set is missing". */
  readonly what: string;
  /** `address` is without a length. */
  readonly inflict: (pod: {
    readonly namespace: string;
    readonly containerId: string;
    readonly address: string;
  }) => Promise<void>;
};

export type Driver = {
  /** Network namespace that the plugin runs in. */
  readonly node: string;
  /** Laid over the configuration. */
  readonly config: JsonObject;
  /** A line for each attachment that the plugin remembers. */
  readonly leases?: () => Promise<readonly string[]>;
  /** The plugin's agent is not there. */
  readonly agentDown?: Switch;
  /** The plugin's agent is there and does nothing (SIGSTOP). */
  readonly agentFrozen?: Switch;
  /** No address is left, and none can be had. */
  readonly poolEmpty?: Switch;
  /** For a moment no address is idle, but one can be had. */
  readonly poolDip?: Switch;
  /** Something that all pods of the node need is missing. */
  readonly nodeDamaged?: Switch;
  /** Damages to one attachment that CHECK has to find. */
  readonly damages?: readonly Damage[];
  /** One line for each thing that is left. */
  readonly close: () => Promise<readonly string[]>;
};

/** `name` is a part of every name on the machine; `directory` exists and is removed afterwards. */
export type OpenDriver = (given: {
  readonly name: string;
  readonly directory: string;
  readonly config: JsonObject;
}) => Promise<Driver>;

/** Throws with a sentence where the module has no `openDriver`. */
export async function loadDriver(path: string): Promise<OpenDriver> {
  const module: unknown = await import(pathToFileURL(path).href);
  if (!hasOpenDriver(module)) throw new Error(`${path} exports no function openDriver`);
  return module.openDriver;
}

function hasOpenDriver(module: unknown): module is { readonly openDriver: OpenDriver } {
  return (
    typeof module === "object" &&
    module !== null &&
    "openDriver" in module &&
    typeof module.openDriver === "function"
  );
}
