/**
 * Strict JSON text (RFC 8259) to a value that remembers where each part stood.
 *
 * @module
 */
import { createScanner, type Node, type ParseError, parseTree } from "jsonc-parser";
import { pathText, type Problem } from "./problem.ts";
import { syntaxProblem } from "./json-syntax.ts";
import { maskSecrets } from "./secret.ts";

type Path = readonly (string | number)[];
type Span = { readonly offset: number; readonly length: number };

/** A template field that nobody filled: `{{.ClusterID}}` at `eni_tags["ack.aliyun.com"]`. */
type Placeholder = { readonly path: Path; readonly field: string; readonly span: Span };

export type JsonDocument = {
  /** The members of the top level, with only own, enumerable properties (a key `__proto__` is a key like others). */
  readonly value: Readonly<Record<string, unknown>>;
  readonly placeholders: readonly Placeholder[];
  /** Keys that stand twice in one object. */
  readonly repeated: readonly { readonly path: Path; readonly span: Span }[];
  /** Where the value of `path` stands, or the nearest part around it that exists. */
  valueSpan(path: readonly PropertyKey[]): Span;
  /** Where the key (the last part of `path`) stands, or what `valueSpan` says. */
  keySpan(path: readonly PropertyKey[]): Span;
  /** A problem at a place of this text. */
  problemAt(span: Span, path: readonly PropertyKey[], message: string, suggestion?: string): Problem;
};

export type JsonReading =
  | { readonly ok: true; readonly document: JsonDocument }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** A ConfigMap holds 1 MiB at most. */
const TEXT_MAX = 1_048_576;
/** Far deeper than any key here; keeps recursion bounded. */
const DEPTH_MAX = 32;

/** Strings are matched first, so that a field inside a string is left where it is. */
const STRING_OR_FIELD = /"(?:[^"\\\n\r]|\\[^\n\r])*"|\{\{[^{}"\n\r]*\}\}/g;
const FIELD = /\{\{[^{}"\n\r]*\}\}/;

/** How a file may depart from what the cloud's own files are. */
export type JsonRules = {
  /** True: `//` and block comments may stand between the parts. */
  readonly comments: boolean;
  /** Characters. */
  readonly textMax: number;
};

const STRICT: JsonRules = { comments: false, textMax: TEXT_MAX };

/** The text must be one JSON object. All template fields are found even where they make the text no JSON. */
export function readJsonObject(text: string, rules: JsonRules = STRICT): JsonReading {
  const problemAt = problemMaker(text);
  const refuse = (span: Span, message: string, suggestion?: string): JsonReading => ({
    ok: false,
    problems: [problemAt(span, [], message, suggestion)],
  });
  if (text.length > rules.textMax) {
    return refuse(
      { offset: 0, length: 1 },
      `the file has ${text.length} characters; ${rules.textMax} at most are read`,
    );
  }
  if (text.trim() === "") {
    return refuse({ offset: 0, length: 1 }, "the file is empty; a JSON object is wanted", "start with { … }");
  }
  // A field outside of a string becomes `null` of the same width, so that all offsets stay true.
  const filled = text.replaceAll(STRING_OR_FIELD, (found) =>
    found.startsWith('"') ? found : "null".padEnd(found.length),
  );
  const deep = tooDeepAt(filled);
  if (deep !== undefined) {
    return refuse({ offset: deep, length: 1 }, `objects and lists are nested more than ${DEPTH_MAX} deep`);
  }
  const errors: ParseError[] = [];
  const root = parseTree(filled, errors, { disallowComments: !rules.comments, allowTrailingComma: false });
  if (errors.length > 0 || root === undefined) {
    const found = syntaxProblem(maskSecrets(filled), errors);
    return refuse(found.span, found.message, found.suggestion);
  }
  if (root.type !== "object") {
    const given = root.type === "array" ? "a list" : `a ${root.type}`;
    return refuse(root, `the file holds ${given}; a JSON object is wanted`, "start with { and end with }");
  }
  return { ok: true, document: documentOf(text, root, problemAt) };
}

function documentOf(text: string, root: Node, problemAt: JsonDocument["problemAt"]): JsonDocument {
  const placeholders: Placeholder[] = [];
  const repeated: { readonly path: Path; readonly span: Span }[] = [];

  const noteField = (node: Node, path: Path): void => {
    const field = FIELD.exec(
      text.slice(node.offset, node.offset + Math.max(node.length, fieldWidth(text, node))),
    );
    if (field === null) return;
    placeholders.push({
      path,
      field: field[0],
      span: { offset: node.offset + field.index, length: field[0].length },
    });
  };
  const members = (node: Node, path: Path): Readonly<Record<string, unknown>> => {
    const names = new Set<string>();
    const entries = (node.children ?? []).map((property): [string, unknown] => {
      const [key, value] = property.children ?? [];
      if (key === undefined || value === undefined)
        throw new Error("a member without value passed the parser");
      const name = String(key.value);
      const inner = [...path, name];
      if (names.has(name)) repeated.push({ path: inner, span: key });
      names.add(name);
      noteField(key, inner);
      return [name, convert(value, inner)];
    });
    return Object.fromEntries(entries);
  };
  const convert = (node: Node, path: Path): unknown => {
    if (node.type === "object") return members(node, path);
    if (node.type === "array") return (node.children ?? []).map((item, at) => convert(item, [...path, at]));
    if (node.type === "string" || node.type === "null") noteField(node, path);
    return node.value;
  };

  const value = members(root, []);
  const valueSpan = (path: readonly PropertyKey[]): Span => {
    let found: Span = { offset: root.offset, length: 1 };
    let node: Node | undefined = root;
    for (const part of path) {
      node = partOf(node, part)?.value;
      if (node === undefined) break;
      found = node;
    }
    return found;
  };
  const keySpan = (path: readonly PropertyKey[]): Span => {
    let node: Node | undefined = root;
    for (const part of path.slice(0, -1)) node = node && partOf(node, part)?.value;
    const last = path.at(-1);
    return (node && last !== undefined ? partOf(node, last)?.key : undefined) ?? valueSpan(path);
  };
  return { value, placeholders, repeated, valueSpan, keySpan, problemAt };
}

/** A member, the last one of its name, or an entry. */
function partOf(
  { type, children = [] }: Node,
  part: PropertyKey,
): { readonly key?: Node; readonly value: Node } | undefined {
  if (type === "array") {
    const value = children[Number(part)];
    return value && { value };
  }
  const [key, value] = children.findLast(({ children: pair }) => pair?.[0]?.value === part)?.children ?? [];
  return key === undefined || value === undefined ? undefined : { key, value };
}

/** The width of a template field that starts here (the parser saw `null` in its place). */
function fieldWidth(text: string, node: Node): number {
  if (!text.startsWith("{{", node.offset)) return 0;
  return text.indexOf("}}", node.offset) + 2 - node.offset;
}

function tooDeepAt(text: string): number | undefined {
  // The tokens' numbers: SyntaxKind of jsonc-parser is a const enum, which type stripping cannot read.
  const open = [1, 3];
  const close = [2, 4];
  const endOfText = 17;
  const scanner = createScanner(text, true);
  let depth = 0;
  for (let token: number = scanner.scan(); token !== endOfText; token = scanner.scan()) {
    if (open.includes(token)) depth += 1;
    if (close.includes(token)) depth -= 1;
    if (depth > DEPTH_MAX) return scanner.getTokenOffset();
  }
  return undefined;
}

function problemMaker(text: string): JsonDocument["problemAt"] {
  const starts = [0];
  for (const found of text.matchAll(/\r\n|\n|\r/g)) starts.push(found.index + found[0].length);
  return (span, path, message, suggestion) => {
    const line = starts.findLastIndex((start) => start <= span.offset);
    const column = span.offset - (starts[line] ?? 0) + 1;
    const place = { line: line + 1, column, length: Math.max(1, span.length), path: pathText(path), message };
    return suggestion === undefined ? place : { ...place, suggestion };
  };
}
