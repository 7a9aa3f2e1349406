/**
 * The versions of the CNI specification, and what each has.
 *
 * @module
 */
import * as z from "zod";
import { type Run, type Verb } from "./probe.ts";
import { parseJson } from "./target.ts";

/** Oldest first. */
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type Version = (typeof VERSIONS)[number];

/** Versions that nobody will ever release. */
export const UNKNOWN_VERSIONS = ["0.0.1", "9.9.9"] as const;

const VERSION_RESULT = z.looseObject({
  cniVersion: z.string().min(1),
  supportedVersions: z.array(z.string()).min(1),
});

export type VersionResult = z.infer<typeof VERSION_RESULT>;

/** What VERSION printed; `undefined` where it is no such thing. */
export function versionResultOf(run: Run): VersionResult | undefined {
  const parsed = VERSION_RESULT.safeParse(parseJson(run.stdout));
  return run.end === 0 && parsed.success ? parsed.data : undefined;
}

/** 0.1.0 and 0.2.0 have one address of a family and no interfaces. */
export function hasInterfaces(version: Version): boolean {
  return version !== "0.1.0" && version !== "0.2.0";
}

/** Is `verb` a part of `version`? */
export function hasVerb(version: Version, verb: Verb): boolean {
  const since = verb === "CHECK" ? "0.4.0" : verb === "GC" || verb === "STATUS" ? "1.1.0" : "0.1.0";
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(since);
}
