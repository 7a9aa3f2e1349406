/**
 * JSON with the place of the mistake. `JSON.parse` decides what is JSON; only when it refuses, the text is scanned for
 * the line and column, which no two engines report alike. What `JSON.parse` would do recursively, it is not asked to:
 * the small engine has a small stack.
 * Source: RFC 8259; RFC 3629 for UTF-8.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { findBadUtf8 } from "./bytes.ts";
import { type Utf8 } from "./input.ts";

/** Line and column count from 1; a column is a character, not a byte. */
export type JsonMistake = { readonly line: number; readonly column: number; readonly reason: string };

/** Objects and lists inside each other; a configuration has some ten. */
const DEPTH_MAX = 128;

/** Never throws. */
export function parseJson(bytes: Uint8Array, utf8: Utf8): Result<unknown, JsonMistake> {
  const text = utf8.decode(bytes);
  // Bad bytes have become U+FFFD; only where there is one, it is worth looking for them.
  const badByte = text.includes("\ufffd") ? findBadUtf8(bytes) : undefined;
  if (badByte !== undefined) {
    const before = utf8.decode(bytes.subarray(0, badByte));
    return failed({ ...lineAndColumn(before, before.length), reason: "a byte that is not UTF-8" });
  }
  if (isShallow(text)) {
    try {
      return ok(JSON.parse(text));
    } catch {
      // The scan says where.
    }
  }
  const { at, reason } = findMistake(text) ?? { at: 0, reason: "it cannot be read" };
  return failed({ ...lineAndColumn(text, at), reason });
}

/** No more than `DEPTH_MAX` brackets are open at once, if `text` is JSON. Nearly every text has no more than these at all. */
function isShallow(text: string): boolean {
  const fewBrackets = hasAtMost(text, "{", DEPTH_MAX / 2) && hasAtMost(text, "[", DEPTH_MAX / 2);
  return fewBrackets || staysShallow(text);
}

function hasAtMost(text: string, char: string, countMax: number): boolean {
  let at = -1;
  for (let count = 0; count <= countMax; count += 1) {
    at = text.indexOf(char, at + 1);
    if (at < 0) return true;
  }
  return false;
}

function staysShallow(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) inString = !inString;
    else if (inString) at += code === 0x5c ? 1 : 0;
    else if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) depth -= 1;
    if (depth > DEPTH_MAX) return false;
  }
  return true;
}

type Mistake = { readonly at: number; readonly reason: string };
type Scan = { readonly kind: "next"; readonly at: number } | ({ readonly kind: "mistake" } & Mistake);

/** Where `text` stops being JSON, as an offset; `undefined` where it is JSON. */
function findMistake(text: string): Mistake | undefined {
  // The open brackets, innermost last: a loop with a list instead of recursion, so that depth costs no stack.
  const open: ("{" | "[")[] = [];
  let at = skipBlanks(text, 0);
  for (;;) {
    const char = text.charAt(at);
    if (char === "{" || char === "[") {
      if (open.length === DEPTH_MAX) return { at, reason: `nested more than ${DEPTH_MAX} deep` };
      open.push(char);
      at = skipBlanks(text, at + 1);
      const closing = char === "{" ? "}" : "]";
      if (text.charAt(at) !== closing) {
        const key = char === "{" ? scanKey(text, at) : undefined;
        if (key?.kind === "mistake") return key;
        at = key?.at ?? at;
        continue;
      }
      open.pop();
      at += 1;
    } else {
      const scalar = scanScalar(text, at);
      if (scalar.kind === "mistake") return scalar;
      at = scalar.at;
    }
    const after = scanAfterValue(text, at, open);
    if (after === undefined || after.kind === "mistake") return after;
    at = after.at;
  }
}

/** After a value: closing brackets, then a comma (and a key), or the end (`undefined`). */
function scanAfterValue(text: string, from: number, open: ("{" | "[")[]): Scan | undefined {
  let at = skipBlanks(text, from);
  for (;;) {
    const inside = open.at(-1);
    const char = text.charAt(at);
    if (inside === undefined) {
      return char === "" ? undefined : mistake(at, `${found(text, at)} after the end`);
    }
    const closing = inside === "{" ? "}" : "]";
    if (char === closing) {
      open.pop();
      at = skipBlanks(text, at + 1);
      continue;
    }
    if (char !== ",") return mistake(at, `expected ',' or '${closing}', found ${found(text, at)}`);
    const next = skipBlanks(text, at + 1);
    if (text.charAt(next) === closing) return mistake(at, `a comma before '${closing}'`);
    return inside === "{" ? scanKey(text, next) : { kind: "next", at: next };
  }
}

/** A key and its colon; goes on at the value. */
function scanKey(text: string, at: number): Scan {
  if (text.charAt(at) !== '"')
    return mistake(at, `expected a key in double quotes, found ${found(text, at)}`);
  const key = scanString(text, at);
  if (key.kind === "mistake") return key;
  const colon = skipBlanks(text, key.at);
  if (text.charAt(colon) !== ":") {
    return mistake(colon, `expected ':' after the key, found ${found(text, colon)}`);
  }
  return { kind: "next", at: skipBlanks(text, colon + 1) };
}

function scanScalar(text: string, at: number): Scan {
  const char = text.charAt(at);
  if (char === '"') return scanString(text, at);
  if (char === "-" || isDigit(char)) return scanNumber(text, at);
  for (const word of ["true", "false", "null"]) {
    if (text.startsWith(word, at)) return { kind: "next", at: at + word.length };
  }
  return mistake(at, `expected a value, found ${found(text, at)}`);
}

function scanString(text: string, start: number): Scan {
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === '"') return { kind: "next", at: at + 1 };
    if (text.charCodeAt(at) < 0x20) return mistake(at, "a line break or control character inside a string");
    if (char !== "\\") continue;
    const escape = text.charAt(at + 1);
    const length = escape === "u" ? 4 : 0;
    if (
      escape === "" ||
      !'"\\/bfnrtu'.includes(escape) ||
      !isHex(text.slice(at + 2, at + 2 + length), length)
    ) {
      return mistake(at, "a backslash that is no JSON escape");
    }
    at += 1 + length;
  }
  return mistake(start, "a string that is not closed");
}

/** `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?` */
function scanNumber(text: string, start: number): Scan {
  const first = text.charAt(start) === "-" ? start + 1 : start;
  let at = skipDigits(text, first);
  let valid = at > first && (text.charAt(first) !== "0" || at === first + 1);
  if (text.charAt(at) === ".") {
    const fraction = at + 1;
    at = skipDigits(text, fraction);
    valid = valid && at > fraction;
  }
  if (text.charAt(at) === "e" || text.charAt(at) === "E") {
    const sign = text.charAt(at + 1);
    const exponent = at + (sign === "+" || sign === "-" ? 2 : 1);
    at = skipDigits(text, exponent);
    valid = valid && at > exponent;
  }
  return valid ? { kind: "next", at } : mistake(start, "a number that is not written as JSON has it");
}

function skipDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charAt(at))) at += 1;
  return at;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at += 1;
  return at;
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9";
}

function isHex(text: string, length: number): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (!"0123456789abcdefABCDEF".includes(text.charAt(at))) return false;
  }
  return text.length === length;
}

function found(text: string, at: number): string {
  if (at >= text.length) return "the end of the text";
  if (text.charCodeAt(at) === 0xfeff) return "a byte order mark";
  if (text.startsWith("//", at) || text.startsWith("/*", at)) return "a comment, which JSON does not have";
  return JSON.stringify(text.charAt(at));
}

function mistake(at: number, reason: string): Scan {
  return { kind: "mistake", at, reason };
}

function lineAndColumn(text: string, offset: number): { readonly line: number; readonly column: number } {
  let [line, column] = [1, 1];
  for (let at = 0; at < offset; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x0a) [line, column] = [line + 1, 1];
    // The second half of a surrogate pair is not a character of its own.
    else if (code < 0xdc00 || code > 0xdfff) column += 1;
  }
  return { line, column };
}
