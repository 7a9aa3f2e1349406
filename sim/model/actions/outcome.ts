/**
 * What an action answers: each handler judges a call against the state, and what it accepts takes effect when `commit`
 * is run. A call is judged when it arrives and again when its time has come, because others may have been faster.
 *
 * @module
 */
import { type EniId, eniId } from "../../../proto/ids.ts";
import { type ApiError, apiError, type ErrorCode } from "../api-error.ts";
import { type Parameters } from "../parameters.ts";
import { type JsonObject } from "../json-object.ts";
import { type Eni, type World } from "../world.ts";

export type Outcome =
  | { readonly kind: "refuse"; readonly error: ApiError }
  | {
      readonly kind: "accept";
      /** Carries the call out; the answer without its request id. */
      readonly commit: () => JsonObject;
      /** No other call that locks this ENI may be under way. */
      readonly lock?: EniId;
    };

/** Judges a call. */
export type Handler = (world: World, parameters: Parameters) => Outcome;

export function accept(commit: () => JsonObject, lock?: EniId): Outcome {
  return lock === undefined ? { kind: "accept", commit } : { kind: "accept", commit, lock };
}

export function refuse(error: ApiError): Outcome {
  return { kind: "refuse", error };
}

/** Refuses with a code of the table; `about` names the thing. */
export function refuseWith(code: ErrorCode, about?: string, status?: number): Outcome {
  return refuse(apiError(code, about, status));
}

/** An ENI by its name, as the API gives it. */
export function eniNamed(world: World, id: string): Eni | undefined {
  return world.enis.get(eniId(id));
}
