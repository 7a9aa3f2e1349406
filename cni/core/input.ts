/**
 * What the plugin takes from its process. The core calls nothing else, so that the same source runs in Node and in a
 * small engine that has only the base objects, JSON and typed arrays.
 *
 * @module
 */

/**
 * UTF-8, which the small engine leaves to its host. Neither function throws; bad bytes become U+FFFD, a byte order mark
 * stays.
 */
export type Utf8 = {
  readonly encode: (text: string) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => string;
};

/**
 * A configuration has some hundred bytes; the agent takes messages of up to 4 MB. A host reads no further than one byte
 * more.
 */
export const STDIN_BYTES_MAX = 1_048_576;

/** Standard input, read to its end, or why it could not be read: the name of an errno, or STDIN_TOO_LONG. */
export type StdinRead =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly reason: string };

/** The reason of a host that stopped reading at `STDIN_BYTES_MAX`. */
export const STDIN_TOO_LONG = `it is longer than ${STDIN_BYTES_MAX} bytes`;

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Everything that one run of the plugin can see of the world before it calls the agent. */
export type Input = {
  readonly env: Environment;
  /** Called at most once, and not at all when nobody said what to do (a person at a terminal must not hang). */
  readonly readStdin: () => StdinRead;
  /** Is `path` the network namespace that the plugin itself runs in? False where it is not known. */
  readonly isOwnNetns: (path: string) => boolean;
  readonly utf8: Utf8;
};
