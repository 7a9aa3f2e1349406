/**
 * The parameters of a call: flat names and texts, with lists as `Name.1`, `Name.2`.
 *
 * @module
 */
import { type ApiError, apiError } from "./api-error.ts";

/** As sent, decoded. */
export type Parameters = Readonly<Record<string, string>>;

/** Belong to the protocol, not to the business: with the older signature they are parameters like the others. */
const PROTOCOL = new Set([
  "Action",
  "Version",
  "Format",
  "AccessKeyId",
  "SecurityToken",
  "Timestamp",
  "Signature",
  "SignatureMethod",
  "SignatureNonce",
  "SignatureType",
  "SignatureVersion",
]);

/** What says what is wanted: without action, version, credentials and signature. */
export function businessParameters(all: Parameters): Parameters {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !PROTOCOL.has(name)));
}

/** Equal texts for equal parameters, whatever their order. */
export function canonicalParameters(parameters: Parameters): string {
  const entries = Object.entries(parameters).filter(([name]) => name !== "ClientToken");
  return JSON.stringify(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** `Name.1`, `Name.2`, … in the order of their numbers; gaps are allowed, as the cloud does. */
export function listParameter(parameters: Parameters, name: string): readonly string[] {
  const prefix = `${name}.`;
  return Object.entries(parameters)
    .flatMap(([key, value]): readonly (readonly [number, string])[] => {
      const index = key.startsWith(prefix) ? key.slice(prefix.length) : "";
      return /^[1-9]\d{0,3}$/.test(index) ? [[Number(index), value]] : [];
    })
    .toSorted(([a], [b]) => a - b)
    .map(([, value]) => value);
}

/** `Tag.N.Key` and `Tag.N.Value`, in the order of their numbers. A missing value is empty. */
export function tagParameters(parameters: Parameters): readonly Tag[] {
  return Object.keys(parameters)
    .flatMap((name) => /^Tag\.(\d{1,4})\.Key$/.exec(name)?.[1] ?? [])
    .toSorted((a, b) => Number(a) - Number(b))
    .map((index) => ({
      key: parameters[`Tag.${index}.Key`] ?? "",
      value: parameters[`Tag.${index}.Value`] ?? "",
    }));
}

export type Tag = { readonly key: string; readonly value: string };

/** Reads typed values and remembers the first thing that is wrong. */
export type ParameterReader = {
  /** Empty, with a problem noted, where it is absent. */
  required(name: string): string;
  optional(name: string): string | undefined;
  /** `true` or `false`, in any case. */
  flag(name: string): boolean | undefined;
  /** An integer of `min` to `max`. */
  integer(name: string, min: number, max: number): number | undefined;
  /** Notes a problem that the caller found. */
  refuse(error: ApiError): void;
  problem(): ApiError | undefined;
};

/** A reader of `parameters`. */
export function readParameters(parameters: Parameters): ParameterReader {
  let first: ApiError | undefined;
  const refuse = (error: ApiError): void => {
    first ??= error;
  };
  const optional = (name: string): string | undefined =>
    parameters[name] === "" ? undefined : parameters[name];
  return {
    optional,
    refuse,
    problem: () => first,
    required: (name) => {
      const value = optional(name);
      if (value === undefined) refuse(apiError("MissingParameter", name));
      return value ?? "";
    },
    flag: (name) => {
      const value = optional(name)?.toLowerCase();
      if (value === undefined) return undefined;
      if (value !== "true" && value !== "false")
        refuse(apiError("InvalidParameter", `${name} is not true or false`));
      return value === "true";
    },
    integer: (name, min, max) => {
      const text = optional(name);
      if (text === undefined) return undefined;
      const value = /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      if (value >= min && value <= max) return value;
      refuse(apiError("InvalidParameter", `${name} is not an integer of ${min} to ${max}`));
      return undefined;
    },
  };
}
