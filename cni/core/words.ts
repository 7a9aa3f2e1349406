/**
 * What others gave, made fit for a message: short, and on one line.
 *
 * @module
 */

/** Of a value that is repeated in a message, in UTF-16 units: enough to recognise it. */
const QUOTED_MAX = 200;
/** Of a whole text for people. */
const TEXT_MAX = 4_000;

/** `text` in double quotes; of a long one its beginning and its length. */
export function quote(text: string): string {
  if (text.length <= QUOTED_MAX) return JSON.stringify(text);
  return `${JSON.stringify(cut(text, QUOTED_MAX))}… (${text.length} characters)`;
}

/** As `quote`, without the quotes. */
export function shortName(text: string): string {
  return text.length <= QUOTED_MAX ? text : `${cut(text, QUOTED_MAX)}… (${text.length} characters)`;
}

/** A text for people, however much somebody else had to say. */
export function shorten(text: string): string {
  return text.length <= TEXT_MAX ? text : `${cut(text, TEXT_MAX)}…`;
}

/** Line breaks and other control characters (Unicode Cc, Zl, Zp) become spaces. */
export function oneLine(text: string): string {
  let line = "";
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (!isControl(text.charCodeAt(at))) continue;
    line += `${text.slice(from, at)} `;
    from = at + 1;
  }
  return line + text.slice(from);
}

function isControl(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code === 0x20_28 || code === 0x20_29;
}

/** Not between the halves of a surrogate pair. */
function cut(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd8_00 && last <= 0xdb_ff ? length - 1 : length);
}
