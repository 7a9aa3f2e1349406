/**
 * Values of which messages are made in property tests.
 *
 * @module
 */
import * as fc from "fast-check";

export const u8 = fc.nat(0xff);
export const u16 = fc.nat(0xffff);
export const u32 = fc.nat(0xffffffff);
export const i32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
// Surrogate halves are no UTF-8 and NUL ends a text.
export const text = fc.string({ unit: "grapheme", maxLength: 15 }).filter((value) => !value.includes("\0"));
export const bytes = fc.uint8Array({ maxLength: 20 });
/** Numbers that no schema has. */
export const unknown = fc.array(fc.record({ type: fc.integer({ min: 1000, max: 0x3fff }), bytes }), {
  minLength: 1,
  maxLength: 3,
});

/** Each of `always`, any of `maybe`. */
export function record<Always extends object, Maybe extends object>(
  always: { [Key in keyof Always]: fc.Arbitrary<Always[Key]> },
  maybe: { [Key in keyof Maybe]: fc.Arbitrary<Maybe[Key]> },
): fc.Arbitrary<Always & Partial<Maybe>> {
  return (
    fc
      .tuple(fc.record(always), fc.record(maybe, { requiredKeys: [] }))
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- spreading generics loses what they were
      .map(([first, second]) => ({ ...first, ...second }) as Always & Partial<Maybe>)
  );
}
