/**
 * Reads a topology file: JSON, in which comments and trailing commas are allowed. Every problem has its line, column
 * and key, and for a misspelt key the nearest known one.
 *
 * @module
 */
import { closest, distance } from "fastest-levenshtein";
import {
  findNodeAtLocation,
  getNodePath,
  type Node as JsonNode,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import * as z from "zod";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Topology, topologySchema } from "./topology.ts";
import { checkReferences } from "./topology-check.ts";
import { DEFAULT_TOPOLOGY_FILE } from "./topology-default.ts";

/** Something that is wrong in the file. */
export type TopologyProblem = {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
  /** `vSwitches[1].cidr`; empty for the whole file. */
  readonly key: string;
  /** What is wrong and what to do. */
  readonly message: string;
  /** The known key that was probably meant. */
  readonly suggestion?: string;
};

/** Where in the document: keys and indexes. */
export type KeyPath = readonly (string | number)[];

/** Reads and checks the text of a topology file. All problems are given at once, in the order of the file. */
export function parseTopology(text: string): Result<Topology, readonly TopologyProblem[]> {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: false });
  const syntax = errors.map((error) => ({
    ...positionOf(text, error.offset),
    key: "",
    message: `not JSON: ${spaced(printParseErrorCode(error.error))}`,
  }));
  if (root === undefined || syntax.length > 0) {
    return failed(
      syntax.length > 0 ? syntax : [{ line: 1, column: 1, key: "", message: "the file is empty" }],
    );
  }
  const duplicates = duplicateKeys(root, text);
  const parsed = topologySchema.safeParse(plainValue(root));
  const faults = parsed.success ? checkReferences(parsed.data) : parsed.error.issues.flatMap(issueFaults);
  const problems = [...duplicates, ...faults.map((fault) => located(fault, root, text))].toSorted(
    (a, b) => a.line - b.line || a.column - b.column,
  );
  return parsed.success && problems.length === 0 ? ok(deepFreeze(parsed.data)) : failed(problems);
}

/** The topology that is used when no file is given. */
export function defaultTopology(): Topology {
  const parsed = parseTopology(JSON.stringify(DEFAULT_TOPOLOGY_FILE));
  if (!parsed.ok) throw new Error(`default topology: ${parsed.fault.map(formatProblem).join("; ")}`);
  return parsed.value;
}

/** One line for people, without the name of the file: `12:7: vSwitches[1].cidr: …`. */
export function formatProblem(problem: TopologyProblem): string {
  const key = problem.key === "" ? "" : `${problem.key}: `;
  const hint = problem.suggestion === undefined ? "" : `; did you mean "${problem.suggestion}"?`;
  return `${problem.line}:${problem.column}: ${key}${problem.message}${hint}`;
}

/** A problem before its place in the text is known. */
export type PathFault = {
  readonly path: KeyPath;
  readonly message: string;
  readonly suggestion?: string;
  /** The place is the key of `path`, not its value. */
  readonly atKey?: boolean;
};

function issueFaults(issue: z.core.$ZodIssue): readonly PathFault[] {
  const path = issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(topologySchema, path);
    return issue.keys.map((key) => {
      const nearest = known.length === 0 ? undefined : closest(key, known);
      const near = nearest !== undefined && distance(key, nearest) <= Math.max(2, key.length / 3);
      const message = `there is no such key here; known: ${known.join(", ")}`;
      return { path: [...path, key], message, atKey: true, ...(near ? { suggestion: nearest } : {}) };
    });
  }
  const message = issue.message.replace(/^Invalid input: /, "");
  const missing = /^(expected .*), received undefined$/.exec(message)?.[1];
  return [{ path, message: missing === undefined ? message : `this key is missing (${missing})` }];
}

/** The keys that the schema allows at `path`. */
function knownKeys(schema: unknown, path: KeyPath): readonly string[] {
  const inner = unwrapped(schema);
  const [step, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    return step === undefined ? Object.keys(inner.shape) : knownKeys(inner.shape[step], rest);
  }
  if (inner instanceof z.ZodArray) return knownKeys(inner.element, rest);
  if (inner instanceof z.ZodRecord) return knownKeys(inner.valueType, rest);
  return [];
}

function unwrapped(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrapped(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? unwrapped(schema.in) : schema;
}

/** Finds the place of a fault; where a key is missing, the place of the object that lacks it. */
function located(fault: PathFault, root: JsonNode, text: string): TopologyProblem {
  let node = root;
  for (let length = fault.path.length; length > 0; length--) {
    const found = findNodeAtLocation(root, fault.path.slice(0, length));
    if (found !== undefined) {
      node =
        fault.atKey === true && length === fault.path.length ? (found.parent?.children?.[0] ?? found) : found;
      break;
    }
  }
  const suggestion = fault.suggestion === undefined ? {} : { suggestion: fault.suggestion };
  return {
    ...positionOf(text, node.offset),
    key: formatPath(fault.path),
    message: fault.message,
    ...suggestion,
  };
}

function duplicateKeys(node: JsonNode, text: string): readonly TopologyProblem[] {
  const below = (node.children ?? []).flatMap((child) => duplicateKeys(child, text));
  if (node.type !== "object") return below;
  const seen = new Set<unknown>();
  const here = (node.children ?? []).flatMap((property) => {
    const key = property.children?.[0];
    if (key === undefined || !seen.has(key.value)) {
      seen.add(key?.value);
      return [];
    }
    const message = "this key is there twice in the same object; remove one";
    return [
      {
        ...positionOf(text, key.offset),
        key: formatPath([...getNodePath(node), String(key.value)]),
        message,
      },
    ];
  });
  return [...here, ...below];
}

/** The value of a syntax tree. Objects get no prototype, so that `__proto__` is a key like any other. */
function plainValue(node: JsonNode): unknown {
  if (node.type === "array") return (node.children ?? []).map(plainValue);
  if (node.type !== "object") return node.value;
  const entries = (node.children ?? []).map((property) => {
    const [key, value] = property.children ?? [];
    return [String(key?.value), value === undefined ? undefined : plainValue(value)] as const;
  });
  return Object.fromEntries(entries);
}

function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function formatPath(path: KeyPath): string {
  return path
    .map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`))
    .join("");
}

/** `PropertyNameExpected` as `property name expected`. */
function spaced(code: string): string {
  return code.replace(/(?<!^)(?=[A-Z])/g, " ").toLowerCase();
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
