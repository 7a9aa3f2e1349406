/**
 * The first mistake in a text that is not JSON, as a sentence and a place.
 *
 * @module
 */
import { type ParseError, parseTree } from "jsonc-parser";

type SyntaxProblem = {
  readonly span: { readonly offset: number; readonly length: number };
  readonly message: string;
  readonly suggestion?: string;
};

/** `ParseErrorCode` of jsonc-parser is a const enum, which type stripping cannot read. */
const CODE = {
  invalidSymbol: 1,
  keyExpected: 3,
  valueExpected: 4,
  commaExpected: 6,
  textAfterEnd: 9,
  comment: 10,
};

const SENTENCES: Readonly<Record<number, string>> = {
  2: "a number is written in a way that JSON does not know",
  [CODE.keyExpected]: "a key in double quotes is missing",
  [CODE.valueExpected]: "a value is missing",
  5: "a colon is missing between key and value",
  [CODE.commaExpected]: "a comma is missing",
  7: "a closing } is missing",
  8: "a closing ] is missing",
  [CODE.textAfterEnd]: "there is text after the end of the object",
  [CODE.comment]: "comments are not allowed",
  11: "a comment is not closed",
  12: "a string is not closed on its line",
  13: "a number is cut off",
  14: "\\u is not followed by four hexadecimal digits",
  15: "a backslash is followed by a character that JSON does not know",
  16: "a string holds a control character",
};

/** The first mistake of those that the parser reports for `text`. */
export function syntaxProblem(text: string, errors: readonly ParseError[]): SyntaxProblem {
  const { code, offset } = firstOf(text, errors);
  const comma = danglingComma(text, offset);
  if (comma !== undefined) {
    return {
      span: { offset: comma, length: 1 },
      message: "not JSON: a comma with nothing after it",
      suggestion: "remove the comma",
    };
  }
  const word = /^[\p{L}\p{N}_'*-]+|^[^]/u.exec(text.slice(offset, offset + 40))?.[0];
  const span = { offset, length: Math.max(1, word?.length ?? 1) };
  const zero = code === CODE.commaExpected && /^\d/.test(word ?? "") && text[offset - 1] === "0";
  const sentence = zero ? "a number begins with 0" : (SENTENCES[code] ?? "this is not a JSON value");
  if (word === undefined) return { span, message: `not JSON: ${sentence} at the end of the file` };
  const suggestion = suggestionFor(code, word);
  const message = `not JSON: ${sentence}${/^[\n\r\t "]/.test(word) ? "" : `, at ${nameOf(word)}`}`;
  return suggestion === undefined ? { span, message } : { span, message, suggestion };
}

/** The parser calls many things "no symbol of JSON"; where they stand tells more. */
function firstOf(
  text: string,
  errors: readonly ParseError[],
): { readonly code: number; readonly offset: number } {
  const [first, second] = errors.toSorted((a, b) => a.offset - b.offset);
  if (first === undefined) return { code: CODE.valueExpected, offset: 0 };
  const code: number = first.error;
  const { offset } = first;
  const follower: number | undefined = second?.error;
  if (code !== CODE.invalidSymbol) return { code, offset };
  if (follower === CODE.keyExpected && /^\P{Z}/u.test(text.slice(offset))) {
    return { code: CODE.keyExpected, offset };
  }
  const before: ParseError[] = [];
  parseTree(text.slice(0, offset), before, { disallowComments: true });
  return { code: before.length === 0 ? CODE.textAfterEnd : code, offset };
}

/** Where a comma stands directly before the `}` or `]` at `offset`. */
function danglingComma(text: string, offset: number): number | undefined {
  if (!/[}\]]/.test(text[offset] ?? "")) return undefined;
  const before = text.slice(0, offset).trimEnd();
  return before.endsWith(",") ? before.length - 1 : undefined;
}

function suggestionFor(code: number, word: string): string | undefined {
  const lower = word.toLowerCase();
  if (["true", "false", "null"].includes(lower)) return `write ${lower}`;
  if (lower === "none" || lower === "nil") return "write null";
  if (/^['‘’“”]/u.test(word)) return 'put strings into straight double quotes: "…"';
  if (word === "\uFEFF") return "save the file without a byte order mark";
  if (/^[^\S\n\r\t ]/u.test(word)) return "replace it by a plain blank";
  if (code === CODE.comment || word === "#") return "remove the comment";
  if (code === CODE.keyExpected && /^\p{L}[\w-]*$/u.test(word)) return `write "${word}"`;
  if (code === 12) return 'close it with "';
  if (code === 15) return "write \\\\ for a backslash";
  return undefined;
}

/** Characters that cannot be told by eye are named by their code point. */
function nameOf(word: string): string {
  if (/^[\x21-\x7e]+$/.test(word) || /^\p{L}/u.test(word)) return `\`${word}\``;
  return `U+${(word.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
