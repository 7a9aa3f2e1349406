/**
 * JSON objects, as the API answers them.
 *
 * @module
 */

export type JsonObject = Readonly<Record<string, unknown>>;
