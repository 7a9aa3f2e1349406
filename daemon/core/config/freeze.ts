/**
 * Makes a configuration unchangeable.
 *
 * @module
 */

/** Freezes plain objects and lists all the way down, and returns its argument. */
export function freeze<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
  return value;
}
