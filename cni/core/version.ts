/**
 * The versions of the CNI specification that the plugin speaks, and the commands of each.
 * Source: CNI SPEC.md 0.1.0 to 1.1.0, section "CNI operations".
 *
 * @module
 */

/** CNI_COMMAND. */
export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** Oldest first. */
export const SUPPORTED_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** One of `SUPPORTED_VERSIONS`. */
export type CniVersion = (typeof SUPPORTED_VERSIONS)[number];

/** What is said where the caller's version is not known. */
export const NEWEST_VERSION = "1.1.0" satisfies CniVersion;

/** What a configuration without "cniVersion" means (CNI SPEC.md 0.1.0 had no such key). */
export const IMPLIED_VERSION = "0.1.0";

/** `undefined` for a command that the specification does not know. Upper case only, as the specification has it. */
export function parseCommand(text: string): Command | undefined {
  switch (text) {
    case "ADD":
    case "DEL":
    case "CHECK":
    case "GC":
    case "STATUS":
    case "VERSION":
      return text;
    default:
      return undefined;
  }
}

/** `undefined` for a version that the plugin does not speak. */
export function parseVersion(text: unknown): CniVersion | undefined {
  return SUPPORTED_VERSIONS.find((version) => version === text);
}

/** The versions in which `command` exists: CHECK came with 0.4.0, GC and STATUS with 1.1.0. */
export function versionsWith(command: Command): readonly CniVersion[] {
  switch (command) {
    case "ADD":
    case "DEL":
    case "VERSION":
      return SUPPORTED_VERSIONS;
    case "CHECK":
      return ["0.4.0", "1.0.0", "1.1.0"];
    case "GC":
    case "STATUS":
      return ["1.1.0"];
    default:
      return command satisfies never;
  }
}
