/**
 * What was to be taken away and is not there: that is what was wanted.
 *
 * @module
 */
import { ok } from "../../proto/result.ts";
import { type CloudFailure, type CloudResult } from "../core/cloud.ts";

/** An address of the list is not assigned (any more); the others may be. The same code for both families. */
export const STALE_ADDRESS = "InvalidIp.IpUnassigned";

/** Success, too, where the ENI or the instance of the call is gone. */
export async function goneIsFine(
  call: CloudResult<unknown> | Promise<CloudResult<unknown>>,
): Promise<CloudResult<void>> {
  const result = await call;
  return result.ok || isEniOrInstanceGone(result.fault) ? ok(undefined) : result;
}

function isEniOrInstanceGone(failure: CloudFailure): boolean {
  return failure.class === "gone" && codeOf(failure) !== STALE_ADDRESS;
}

/** The cloud's own code, where it gave one. */
export function codeOf(failure: CloudFailure): string | undefined {
  return failure.fault.kind === "cloud" ? failure.fault.code : undefined;
}
