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
  const checked = checkObject(document, { at: [], value: document.value }, table, crossChecks);
  const { warnings } = checked;
  const problems = [...documentProblems(document), ...(checked.ok ? [] : checked.problems)];
  if (problems.length > 0 || !checked.ok)
    return { ok: false, problems: problems.sort(inFileOrder), warnings };
  return { ok: true, value: checked.value, warnings };
}

/** What is wrong with the text as a whole: template fields that nobody filled, keys that stand twice. */
export function documentProblems(document: JsonDocument): readonly Problem[] {
  return [...placeholderProblems(document), ...repeatedProblems(document)];
}

/** An object of a document, and where it stands. */
export type Part = { readonly at: Path; readonly value: Readonly<Record<string, unknown>> };

/**
 * The same for one object of a document. The paths of findings go on from where it stands. `documentProblems` are not
 * repeated here, but keys that have one count as wrong.
 */
export function checkObject<Shape extends z.ZodRawShape>(
  document: JsonDocument,
  part: Part,
  table: KeyTable<Shape>,
  crossChecks: readonly CrossCheck<z.output<z.ZodObject<Shape>>>[],
): Checked<z.output<z.ZodObject<Shape>>> {
  const { at } = part;
  const place: Place = { document, table, ...part };
  const known = givenKeys(place);
  const problems = [...known.problems];
  const warnings = [...known.warnings];
  const unfilled = keysUnder(at, document.placeholders);
  const bad = new Set([...unfilled, ...keysUnder(at, document.repeated)]);

  const full = table.schema.safeParse(known.given);
  for (const issue of full.error?.issues ?? []) {
    const name = String(issue.path[0]);
    bad.add(name);
    if (!unfilled.has(name)) problems.push(...issueProblems(place, known.given, issue));
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
    (check.severity === "problem" ? problems : warnings).push(...placed(document, at, found));
  }
  warnings.sort(inFileOrder);
  if (problems.length > 0 || !full.success)
    return { ok: false, problems: problems.sort(inFileOrder), warnings };
  return { ok: true, value: full.data, warnings };
}

/** Where an object stands, and what its keys may be. */
type Place = Part & {
  readonly document: JsonDocument;
  readonly table: KeyTable<z.ZodRawShape>;
};
type Path = readonly PropertyKey[];

/** The keys of the object at `at` that one of `marks` stands on or in. */
function keysUnder(at: Path, marks: readonly { readonly path: Path }[]): ReadonlySet<string> {
  const inside = marks.filter(({ path }) => at.every((part, index) => path[index] === part));
  return new Set(inside.flatMap(({ path }) => (path.length > at.length ? [String(path[at.length])] : [])));
}

/** For a sort. */
export function inFileOrder(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}

/** Findings about the object at `at`, with their places. */
export function placed(document: JsonDocument, at: Path, findings: readonly Finding[]): readonly Problem[] {
  return findings.map(({ path, predicate, suggestion }) => {
    const whole = [...at, ...path];
    const message = `${pathText(whole)} ${predicate}`;
    return document.problemAt(document.valueSpan(whole), whole, message, suggestion);
  });
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
function givenKeys(place: Place) {
  const { document, at, value: members, table } = place;
  const given: [string, unknown][] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const [name, value] of Object.entries(members)) {
    const path = [...at, name];
    const span = () => document.keySpan(path);
    const schema = Object.hasOwn(table.schema.shape, name) ? table.schema.shape[name] : undefined;
    if (schema !== undefined) {
      // null and "" mean "not given", as an unfilled ConfigMap has them.
      if (value === null || (value === "" && kindOf(schema).text === true)) continue;
      given.push([name, value]);
      if (docOf(schema).noEffect === true) {
        const message = `${pathText(path)} has no effect in this version`;
        warnings.push(document.problemAt(span(), path, message, "remove the key"));
      }
      continue;
    }
    const known = Object.hasOwn(table.unsupported, name) ? table.unsupported[name] : undefined;
    if (known === undefined) {
      warnings.push(unknownKey(place, name));
    } else {
      const refused = known.otherwise === "refused" && !isInert(known, value);
      const message = refused
        ? `${pathText(path)} is not supported by this version, and to ignore it would not give what it asks for`
        : `${pathText(path)} is known but not supported by this version, and is ignored`;
      (refused ? problems : warnings).push(document.problemAt(span(), path, message, known.instead));
    }
  }
  return { given: Object.fromEntries(given), problems, warnings };
}

function isInert(known: UnsupportedKey, value: unknown): boolean {
  const text = JSON.stringify(value);
  return value === null || value === "" || known.inert.some((inert) => JSON.stringify(inert) === text);
}

function unknownKey({ document, at, table }: Place, name: string): Problem {
  const path = [...at, name];
  const span = document.keySpan(path);
  const message = `${pathText(path)} is not a key of ${table.file} and is ignored`;
  if (table.other.keys.includes(name)) {
    return document.problemAt(span, path, message, `it belongs into ${table.other.file}`);
  }
  const names = [...Object.keys(table.schema.shape), ...Object.keys(table.unsupported)];
  return document.problemAt(span, path, message, nearest(name, names));
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
  { document, at, table }: Place,
  given: Readonly<Record<string, unknown>>,
  issue: Issue,
): readonly Problem[] {
  const name = String(issue.path[0]);
  const kind = kindOf(table.schema.shape[name]);
  const path = [...at, ...issue.path];
  const span = document.valueSpan(path);
  if (!Object.hasOwn(given, name)) {
    const message = `${pathText(path)} is missing; ${kind.wanted} is wanted`;
    return [document.problemAt(span, path, message, `add "${name}"`)];
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const inner = [...path, key];
      const message = `${pathText(inner)} is not known; ${issue.message} is wanted`;
      return document.problemAt(document.keySpan(inner), inner, message);
    });
  }
  if (issue.code === "invalid_key") {
    const inner = issue.issues[0];
    const predicate = inner?.code === "custom" && inner.params?.["predicate"] === true;
    const rule = predicate ? `, which ${inner.message}` : `; ${inner?.message ?? kind.wanted} is wanted`;
    const message = `${pathText(path.slice(0, -1))} has the key ${quoted(String(path.at(-1)))}${rule}`;
    return [document.problemAt(document.keySpan(path), path, message)];
  }
  if (issue.code === "custom" && issue.params?.["predicate"] === true) {
    const suggestion: unknown = issue.params["suggestion"];
    const message = `${pathText(path)} ${issue.message}`;
    return [document.problemAt(span, path, message, typeof suggestion === "string" ? suggestion : undefined)];
  }
  const value = valueAt(given, issue.path);
  if (value === undefined) {
    return [document.problemAt(span, path, `${pathText(path)} is missing; ${issue.message} is wanted`)];
  }
  const message = `${pathText(path)} is ${describe(value, kind.secret === true)}; ${issue.message} is wanted`;
  return [document.problemAt(span, path, message, remedy(value, issue, kind.secret === true))];
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
