/**
 * What a table of keys consists of: the schema with the words for each key, and the keys that are known but not
 * carried out. Parser and reference both read it.
 *
 * @module
 */
import * as z from "zod";

export type KeyDoc = {
  /** What it does, one or two sentences. */
  readonly meaning: string;
  /** What a number counts: "addresses". */
  readonly unit?: string;
  /** Words for the default where the schema has none: "those of the primary ENI". */
  readonly absent?: string;
  /** True for a key that only this agent knows. */
  readonly ours?: true;
  /** The value is checked, but nothing acts on it. */
  readonly noEffect?: true;
};

export type UnsupportedKey = {
  /** What it does where it is supported. */
  readonly meaning: string;
  /** Values that ask for nothing; `null` and `""` always do. */
  readonly inert: readonly unknown[];
  /** Whether another value is refused (to ignore it would betray its author) or ignored with a warning. */
  readonly otherwise: "refused" | "ignored";
  /** What to do instead. */
  readonly instead: string;
};

export type KeyTable<Shape extends z.ZodRawShape> = {
  /** Name of the file, as messages say it. */
  readonly file: string;
  readonly schema: z.ZodObject<Shape>;
  readonly unsupported: Readonly<Record<string, UnsupportedKey>>;
  /** Keys of the other file of the ConfigMap, for whoever wrote one into the wrong file. */
  readonly other: { readonly file: string; readonly keys: readonly string[] };
};

const docs = z.registry<KeyDoc>();

/** Gives a schema its words. Call it last: each method of a schema makes another one. */
export function key<Schema extends z.ZodType>(schema: Schema, doc: KeyDoc): Schema {
  docs.add(schema, doc);
  return schema;
}

/** The words of a schema that went through `key`. */
export function docOf(schema: unknown): KeyDoc {
  const doc = schema instanceof z.ZodType ? docs.get(schema) : undefined;
  if (doc === undefined) throw new Error("a key without words");
  return doc;
}

/** The default as it would be written into the file; `undefined` where there is none. */
export function defaultOf(schema: unknown): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
    ? schema.def.defaultValue
    : undefined;
}

/** Entry of `UnsupportedKey`. */
export function later(
  meaning: string,
  otherwise: "refused" | "ignored",
  inert: readonly unknown[],
  instead = "remove the key",
): UnsupportedKey {
  return { meaning, otherwise, inert, instead };
}
