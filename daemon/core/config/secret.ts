/**
 * Texts that must not be printed: whoever needs one asks for it by name.
 *
 * @module
 */

const MASK = "******";

/** Printed, put into a string or into JSON, or inspected, it is `******`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The text itself: to sign with, never to print. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  /** What `console.log` and `util.inspect` of Node print. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return MASK;
  }
}

/** What follows the two keys, also where quotes are missing or wrong: the text may be no JSON. */
const SECRET_VALUE = /(access_(?:key|secret)[\s"'“”:=]*)([^\s"'“”:=,{}]+)/gi;

/** The text of `eni_conf` with `*` for each character of the values of `access_key` and `access_secret`. */
export function maskSecrets(text: string): string {
  return text.replace(SECRET_VALUE, (_all, head: string, value: string) => head + "*".repeat(value.length));
}
