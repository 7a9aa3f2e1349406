/**
 * Netlink attributes (type, length, value): `struct nlattr` of <linux/netlink.h>.
 *
 *     0        2        4                     nla_len
 *     | nla_len | nla_type | payload ........ | zeros up to a multiple of 4
 *
 * A message is described once, as a `schema`: a table from our field name to the attribute's number and the form of its
 * payload. The same table writes and reads, so the two cannot differ. Rules of reading, for all messages:
 *
 * - What the table does not know is kept in `unknown` and is written back.
 * - An address or a text whose bytes are of another form than ours (a hardware address of 20 bytes, a name that is not
 *   UTF-8) is kept in `unknown` too.
 * - An integer of the wrong size is a DecodeError. To take it for absent would make a route of table 1000 one of no table.
 * - Of two attributes of one type the last one counts, as in the kernel's `nla_parse()`.
 *
 * @module
 */
import { type Mac, macBytes, macFromBytes } from "../../../proto/addr.ts";
import { type IpAddress, ipBytes, ipFromBytes } from "../../../proto/addr6.ts";
import { align4, bytesOfText, copyOf, DecodeError, type Span, textFromBytes, type Writer } from "./wire.ts";

/** NLA_HDRLEN, bytes. */
const HEADER_BYTES = 4;
/** NLA_F_NESTED: the payload is attributes. The older families do not set it, nfnetlink does. */
export const NLA_F_NESTED = 0x8000;
/** NLA_F_NET_BYTEORDER: the integer is in network order. */
const NLA_F_NET_BYTEORDER = 0x4000;
/** NLA_TYPE_MASK: the number without the two flags. */
export const NLA_TYPE_MASK = 0x3fff;

/** An attribute as it stood. `type` holds its flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER) too. */
export type UnknownAttribute = { readonly type: number; readonly bytes: Uint8Array };

/** How one attribute is written and read. `type` holds NLA_F_NESTED where it is to be written. */
export type Field<Value> = {
  readonly type: number;
  write(writer: Writer, value: Value): void;
  /** `undefined`: not of our form, keep it as unknown. `swapped`: NLA_F_NET_BYTEORDER was set. */
  read(payload: Span, swapped: boolean): Value | undefined;
};

type Fields = Readonly<Record<string, Field<unknown>>>;

/** A table of attributes with its two indices. Made by `schema()`. */
export type Schema<Table extends Fields> = {
  readonly fields: Table;
  readonly inOrder: readonly (readonly [name: string, field: Field<unknown>])[];
  readonly byType: ReadonlyMap<number, readonly [name: string, field: Field<unknown>]>;
};

/** The value that a schema describes: each field may be missing. */
export type ValuesOf<S> =
  S extends Schema<infer Table>
    ? { readonly [Name in keyof Table]?: Exclude<ReturnType<Table[Name]["read"]>, undefined> } & {
        /** What we have no name for. Absent if there is none. */
        readonly unknown?: readonly UnknownAttribute[];
      }
    : never;

/** Describes a set of attributes. The order of the table is the order of writing. */
export function schema<const Table extends Fields>(fields: Table): Schema<Table> {
  const inOrder = Object.entries(fields);
  const byType = new Map(inOrder.map((entry) => [entry[1].type & NLA_TYPE_MASK, entry] as const));
  return { fields, inOrder, byType };
}

/** Appends the attributes of `values`, then its `unknown`. Properties that are not in the schema are left alone. */
export function writeFields<Table extends Fields>(
  writer: Writer,
  { inOrder }: Schema<Table>,
  values: ValuesOf<Schema<Table>>,
): void {
  const given: Readonly<Record<string, unknown>> = values;
  for (const [name, field] of inOrder) {
    const value = given[name];
    if (value === undefined) continue;
    const at = openAttribute(writer, field.type);
    field.write(writer, value);
    closeAttribute(writer, at);
  }
  for (const { type, bytes } of values.unknown ?? []) writeAttribute(writer, type, () => writer.bytes(bytes));
}

/** Reads all attributes of `span`. */
export function readFields<Table extends Fields>(span: Span, fields: Schema<Table>): ValuesOf<Schema<Table>> {
  const unknown: UnknownAttribute[] = [];
  const values = valuesIn(span, fields, (type, payload) => unknown.push({ type, bytes: copyOf(payload) }));
  return unknown.length > 0 ? { ...values, unknown } : values;
}

/** Reads only the attributes of the schema: for messages with many others, of which nobody wants to know. */
export function pickFields<Table extends Fields>(span: Span, fields: Schema<Table>): ValuesOf<Schema<Table>> {
  return valuesIn(span, fields, () => undefined);
}

/** `onUnknown`: told of each attribute that the schema has no name for, or cannot read. */
function valuesIn<Table extends Fields>(
  span: Span,
  { byType }: Schema<Table>,
  onUnknown: (type: number, payload: Span) => unknown,
): ValuesOf<Schema<Table>> {
  const values: Record<string, unknown> = {};
  for (const { type, payload } of attributesOf(span)) {
    const known = byType.get(type & NLA_TYPE_MASK);
    const value = known?.[1].read(payload, (type & NLA_F_NET_BYTEORDER) !== 0);
    if (known === undefined || value === undefined) onUnknown(type, payload);
    else values[known[0]] = value;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each value came from the field of its name
  return values as ValuesOf<Schema<Table>>;
}

/** Appends one attribute, whatever `body` writes being its payload. RangeError where that is over 65,531 bytes. */
export function writeAttribute(writer: Writer, type: number, body: () => void): void {
  const at = openAttribute(writer, type);
  body();
  closeAttribute(writer, at);
}

/** Where it starts, for `closeAttribute`. */
function openAttribute(writer: Writer, type: number): number {
  const at = writer.length;
  writer.u16(0);
  writer.u16(type);
  return at;
}

function closeAttribute(writer: Writer, at: number): void {
  writer.patchU16(at, writer.length - at);
  writer.pad();
}

/** Splits `span` into attributes; `type` with its flags. As many as fit, 4 bytes each at least. */
export function attributesOf(span: Span): { readonly type: number; readonly payload: Span }[] {
  const { view, end } = span;
  const attributes = [];
  for (let at = span.start; at < end;) {
    if (end - at < HEADER_BYTES) throw new DecodeError("attribute header cut off", at);
    const length = view.getUint16(at, true);
    if (length < HEADER_BYTES || at + length > end)
      throw new DecodeError(`attribute length ${length} of ${end - at} left`, at);
    attributes.push({
      type: view.getUint16(at + 2, true),
      payload: { view, start: at + HEADER_BYTES, end: at + length },
    });
    at += align4(length);
  }
  return attributes;
}

/** 8 bits. */
export function u8(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.u8(value),
    read: (span) => sized(span, 1).view.getUint8(span.start),
  };
}

/** 16 bits, host order. */
export function u16(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.u16(value),
    read: (span, swapped) => sized(span, 2).view.getUint16(span.start, !swapped),
  };
}

/** 32 bits, host order. */
export function u32(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.u32(value),
    read: (span, swapped) => sized(span, 4).view.getUint32(span.start, !swapped),
  };
}

/** 32 bits with a sign, host order. */
export function i32(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.i32(value),
    read: (span, swapped) => sized(span, 4).view.getInt32(span.start, !swapped),
  };
}

/** Network order, with or without the flag that says so. */
export function be16(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.be16(value),
    read: (span) => sized(span, 2).view.getUint16(span.start, false),
  };
}

/** Network order, with or without the flag that says so. */
export function be32(type: number): Field<number> {
  return {
    type,
    write: (writer, value) => writer.be32(value),
    read: (span) => sized(span, 4).view.getUint32(span.start, false),
  };
}

/** A text that ends in NUL (NLA_NUL_STRING). */
export function text(type: number): Field<string> {
  return {
    type,
    write: (writer, value) => {
      writer.bytes(bytesOfText(value));
      writer.u8(0);
    },
    read: (span) => textFromBytes(copyOf(span)),
  };
}

/** A text that is written without NUL; the kernel reads its length. It dumps the same attribute with NUL. */
export function bareText(type: number): Field<string> {
  return {
    type,
    write: (writer, value) => writer.bytes(bytesOfText(value)),
    read: (span) => textFromBytes(copyOf(span)),
  };
}

/** Bytes that this codec does not look into. */
export function raw(type: number): Field<Uint8Array> {
  return { type, write: (writer, value) => writer.bytes(value), read: copyOf };
}

/** A hardware address of 6 bytes. */
export function mac(type: number): Field<Mac> {
  return {
    type,
    write: (writer, value) => writer.bytes(macBytes(value)),
    read: (span) => macFromBytes(copyOf(span)),
  };
}

/** IPv4 or IPv6, told apart by its length. */
export function ip(type: number): Field<IpAddress> {
  return {
    type,
    write: (writer, value) => writer.bytes(ipBytes(value)),
    read: (span) => ipFromBytes(copyOf(span)),
  };
}

/** Attributes within the attribute. Pass `type | NLA_F_NESTED` where the family wants the flag. */
export function nested<Table extends Fields>(
  type: number,
  inner: Schema<Table>,
): Field<ValuesOf<Schema<Table>>> {
  return {
    type,
    write: (writer, value) => writeFields(writer, inner, value),
    read: (span) => readFields(span, inner),
  };
}

/** `span`, which has to be `bytes` long. */
export function sized(span: Span, bytes: number): Span {
  const length = span.end - span.start;
  if (length !== bytes) throw new DecodeError(`payload of ${length} bytes, not ${bytes}`, span.start);
  return span;
}
