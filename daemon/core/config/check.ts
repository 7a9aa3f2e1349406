/**
 * Checks a file against its table of keys and finds everything at once: syntax, template fields, repeated and unknown
 * keys, types and ranges, and what keys say to each other.
 *
 * @module
 */
import { closest, distance } from "fastest-levenshtein";
import { type z } from "zod";
import { type JsonDocument, readJsonObject } from "./json-text.ts";
import { docOf, type KeyTable, type UnsupportedKey } from "./key-table.ts";
import { kindOf } from "./kinds.ts";
import { pathText, type Problem } from "./problem.ts";

/** The words of one finding; the path comes in front of them, and where it stands is found by the path. */
export type Finding = {
  readonly path: readonly PropertyKey[];
  readonly predicate: string;
  readonly suggestion?: string;
};

/** What keys say to each other. `keys`: not asked where one of these is wrong by itself. */
export type CrossCheck<Value> = {
  readonly keys: readonly string[];
  readonly severity: "problem" | "warning";
  find(value: Partial<Value>, given: ReadonlySet<string>): readonly Finding[];
};

export type Checked<Value> =
  | { readonly ok: true; readonly value: Value; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** Never throws on any text. Findings are in the order of the file. */
export function checkText<Shape extends z.ZodRawShape>(
  text: string,
  table: KeyTable<Shape>,
  crossChecks: readonly CrossCheck<z.output<z.ZodObject<Shape>>>[],
): Checked<z.output<z.ZodObject<Shape>>> {
  const reading = readJsonObject(text);
  if (!reading.ok) return { ok: false, problems: reading.problems, warnings: [] };
  const { document } = reading;
  const known = givenKeys(document, table);
  const problems = [...placeholderProblems(document), ...repeatedProblems(document), ...known.problems];
  const warnings = [...known.warnings];
  const bad = new Set([...document.placeholders, ...document.repeated].map(({ path }) => String(path[0])));

  const full = table.schema.safeParse(known.given);
  for (const issue of full.error?.issues ?? []) {
    const name = String(issue.path[0]);
    const unfilled = document.placeholders.some(({ path }) => path[0] === issue.path[0]);
    bad.add(name);
    if (!unfilled) problems.push(...issueProblems(document, table, known.given, issue));
  }
  const sound = Object.entries(known.given).filter(([name]) => !bad.has(name));
  const rest = full.success ? full.data : table.schema.partial().safeParse(Object.fromEntries(sound)).data;
  if (rest === undefined) throw new Error("keys that are right by themselves were refused together");
  const given = new Set(Object.keys(known.given));
  for (const check of crossChecks) {
    if (check.keys.some((name) => bad.has(name))) continue;
    // The data of `partial()` has the types of the shape, each possibly undefined; TypeScript loses that in the generic.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const found = check.find(rest as Partial<z.output<z.ZodObject<Shape>>>, given);
    (check.severity === "problem" ? problems : warnings).push(...found.map((one) => placed(document, one)));
  }
  warnings.sort(inFileOrder);
  if (problems.length > 0 || !full.success)
    return { ok: false, problems: problems.sort(inFileOrder), warnings };
  return { ok: true, value: full.data, warnings };
}

function inFileOrder(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}

function placed(document: JsonDocument, { path, predicate, suggestion }: Finding): Problem {
  return document.problemAt(document.valueSpan(path), path, `${pathText(path)} ${predicate}`, suggestion);
}

function placeholderProblems(document: JsonDocument): readonly Problem[] {
  return document.placeholders.map(({ path, field, span }) =>
    document.problemAt(
      span,
      path,
      `${pathText(path)} still holds the template field ${field}`,
      "put the value in its place; the template was not filled in",
    ),
  );
}

function repeatedProblems(document: JsonDocument): readonly Problem[] {
  return document.repeated.map(({ path, span }) =>
    document.problemAt(span, path, `${pathText(path)} is given twice`, "keep one of the two"),
  );
}

/** The members that the schema knows and that ask for something, and what is to be said of the others. */
function givenKeys(document: JsonDocument, table: KeyTable<z.ZodRawShape>) {
  const given: [string, unknown][] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const [name, value] of Object.entries(document.value)) {
    const at = document.keySpan([name]);
    const schema = Object.hasOwn(table.schema.shape, name) ? table.schema.shape[name] : undefined;
    if (schema !== undefined) {
      // null and "" mean "not given", as an unfilled ConfigMap has them.
      if (value === null || (value === "" && kindOf(schema).text === true)) continue;
      given.push([name, value]);
      if (docOf(schema).noEffect === true) {
        warnings.push(
          document.problemAt(at, [name], `${name} has no effect in this version`, "remove the key"),
        );
      }
      continue;
    }
    const known = Object.hasOwn(table.unsupported, name) ? table.unsupported[name] : undefined;
    if (known === undefined) {
      warnings.push(unknownKey(document, table, name));
    } else {
      const refused = known.otherwise === "refused" && !isInert(known, value);
      const message = refused
        ? `${name} is not supported by this version, and to ignore it would not give what it asks for`
        : `${name} is known but not supported by this version, and is ignored`;
      (refused ? problems : warnings).push(document.problemAt(at, [name], message, known.instead));
    }
  }
  return { given: Object.fromEntries(given), problems, warnings };
}

function isInert(known: UnsupportedKey, value: unknown): boolean {
  const text = JSON.stringify(value);
  return value === null || value === "" || known.inert.some((inert) => JSON.stringify(inert) === text);
}

function unknownKey(document: JsonDocument, table: KeyTable<z.ZodRawShape>, name: string): Problem {
  const at = document.keySpan([name]);
  const message = `${pathText([name])} is not a key of ${table.file} and is ignored`;
  if (table.other.keys.includes(name)) {
    return document.problemAt(at, [name], message, `it belongs into ${table.other.file}`);
  }
  const names = [...Object.keys(table.schema.shape), ...Object.keys(table.unsupported)];
  return document.problemAt(at, [name], message, nearest(name, names));
}

/** "did you mean …?" where it is likely a slip; otherwise only which one is nearest. */
export function nearest(given: string, names: readonly string[]): string {
  const lower = given.toLowerCase().slice(0, 100);
  const name = closest(lower, names);
  const slip = distance(lower, name.toLowerCase()) <= Math.max(2, name.length / 3);
  return slip ? `did you mean ${name}?` : `the nearest known key is ${name}`;
}

type Issue = z.core.$ZodIssue;

function issueProblems(
  document: JsonDocument,
  table: KeyTable<z.ZodRawShape>,
  given: Readonly<Record<string, unknown>>,
  issue: Issue,
): readonly Problem[] {
  const name = String(issue.path[0]);
  const kind = kindOf(table.schema.shape[name]);
  if (!Object.hasOwn(given, name)) {
    return [
      document.problemAt(
        document.valueSpan([name]),
        [name],
        `${name} is missing; ${kind.wanted} is wanted`,
        `add "${name}"`,
      ),
    ];
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((inner) => {
      const path = [...issue.path, inner];
      return document.problemAt(
        document.keySpan(path),
        path,
        `${pathText(path)} is not known; ${issue.message} is wanted`,
      );
    });
  }
  if (issue.code === "invalid_key") {
    const path = issue.path;
    const inner = issue.issues[0];
    const predicate = inner?.code === "custom" && inner.params?.["predicate"] === true;
    const rule = predicate ? `, which ${inner.message}` : `; ${inner?.message ?? kind.wanted} is wanted`;
    const message = `${pathText(path.slice(0, -1))} has the key ${quoted(String(path.at(-1)))}${rule}`;
    return [document.problemAt(document.keySpan(path), path, message)];
  }
  const span = document.valueSpan(issue.path);
  if (issue.code === "custom" && issue.params?.["predicate"] === true) {
    const suggestion: unknown = issue.params["suggestion"];
    const message = `${pathText(issue.path)} ${issue.message}`;
    return [
      document.problemAt(span, issue.path, message, typeof suggestion === "string" ? suggestion : undefined),
    ];
  }
  const value = valueAt(given, issue.path);
  if (value === undefined) {
    return [
      document.problemAt(span, issue.path, `${pathText(issue.path)} is missing; ${issue.message} is wanted`),
    ];
  }
  const message = `${pathText(issue.path)} is ${describe(value, kind.secret === true)}; ${issue.message} is wanted`;
  return [document.problemAt(span, issue.path, message, remedy(value, issue, kind.secret === true))];
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.entries(value).find(([name]) => name === String(part))?.[1];
  }
  return value;
}

function quoted(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 59)}…` : value);
}

/** What was given, shortly, and never a secret. */
function describe(value: unknown, secret: boolean): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (secret) return `a ${typeof value}`;
  if (typeof value === "string") {
    return `the string ${quoted(value)}`;
  }
  if (typeof value === "number") return `the number ${String(value)}`;
  return String(value);
}

function remedy(value: unknown, issue: Issue, secret: boolean): string | undefined {
  if (issue.code === "invalid_value" && typeof value === "string") {
    const words = issue.values.map(String);
    const word = closest(value.toLowerCase(), words);
    return distance(value.toLowerCase(), word) <= Math.max(1, word.length / 3)
      ? `did you mean "${word}"?`
      : undefined;
  }
  if (issue.code !== "invalid_type" || secret) return undefined;
  if (typeof value === "string" && ["int", "number", "boolean"].includes(issue.expected)) {
    return /^(?:-?\d+(?:\.\d+)?|true|false)$/.test(value) ? `write ${value} without quotes` : undefined;
  }
  if (typeof value === "string" && issue.expected === "array") return `write [${JSON.stringify(value)}]`;
  if (typeof value === "number" && issue.expected === "string") {
    return issue.message.startsWith("a duration")
      ? `write "${value}s" for ${value} seconds`
      : issue.message.includes("a string")
        ? `write "${value}" with quotes`
        : undefined;
  }
  return undefined;
}
