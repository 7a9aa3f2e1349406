/**
 * How the rules of a topology say what is wrong.
 *
 * @module
 */

/** A broken rule and the value to change. */
export type Fault = { readonly path: readonly (string | number)[]; readonly message: string };

/** The fault, unless it holds. */
export function unless(holds: boolean, path: Fault["path"], message: string): readonly Fault[] {
  return holds ? [] : [{ path, message }];
}

/** A fault for each value that was there before; absent values never repeat. */
export function repeated(
  values: readonly (string | undefined)[],
  pathOf: (index: number) => Fault["path"],
): readonly Fault[] {
  return values.flatMap((value, index) =>
    unless(
      value === undefined || values.indexOf(value) === index,
      pathOf(index),
      `${value} is there already`,
    ),
  );
}
