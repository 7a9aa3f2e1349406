/**
 * The wire format of protocol buffers, as far as agent.proto uses it: varints and length-delimited fields are read and
 * written, the other two wire types are read past.
 * Source: protobuf.dev, "Encoding".
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { concatBytes } from "./bytes.ts";

/** One field as it stands on the wire. Numbers keep their lower 32 bits; `bytes` is a view of the message. */
export type Field =
  | { readonly kind: "varint"; readonly number: number; readonly value: number }
  | { readonly kind: "bytes"; readonly number: number; readonly bytes: Uint8Array }
  | { readonly kind: "other"; readonly number: number };

/** No message of agent.proto comes near; a message of many empty fields must not cost memory without end. */
const FIELDS_MAX = 4_096;

/** A uint32 or bool field. Empty where `value` is 0, which proto3 does not write. */
export function encodeUint(number: number, value: number): Uint8Array {
  return value === 0 ? new Uint8Array(0) : Uint8Array.from([...varint(number * 8), ...varint(value)]);
}

/** A string, bytes or message field. Empty where `bytes` is empty; use `encodeMessage` for messages. */
export function encodeBytes(number: number, bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? bytes : encodeMessage(number, [bytes]);
}

/** A message field made of encoded fields; written even where it is empty, since presence counts. */
export function encodeMessage(number: number, fields: readonly Uint8Array[]): Uint8Array {
  const length = fields.reduce((sum, field) => sum + field.length, 0);
  return concatBytes([Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]), ...fields]);
}

/** The fields of a message in their order, or why the bytes are no message. Never throws. */
export function readFields(message: Uint8Array): Result<readonly Field[], string> {
  const fields: Field[] = [];
  let at = 0;
  while (at < message.length) {
    if (fields.length === FIELDS_MAX) return failed(`a message of more than ${FIELDS_MAX} fields`);
    const key = readVarint(message, at);
    if (key === undefined) return failed("a field without its key");
    const number = key.value >>> 3;
    if (number === 0) return failed("a field with number 0");
    const read = readValue(message, key.next, number, key.value & 7);
    if (read === undefined) return failed(`field ${number} is cut off or has a wrong type`);
    fields.push(read.field);
    at = read.next;
  }
  return ok(fields);
}

function readValue(
  message: Uint8Array,
  at: number,
  number: number,
  wireType: number,
): { readonly field: Field; readonly next: number } | undefined {
  const skip = (length: number) =>
    at + length > message.length
      ? undefined
      : { field: { kind: "other", number } as const, next: at + length };
  switch (wireType) {
    case 0: {
      const read = readVarint(message, at);
      return read && { field: { kind: "varint", number, value: read.value }, next: read.next };
    }
    case 1: // I64
      return skip(8);
    case 2: {
      const length = readVarint(message, at);
      if (length === undefined || length.value > message.length - length.next) return undefined;
      const next = length.next + length.value;
      return { field: { kind: "bytes", number, bytes: message.subarray(length.next, next) }, next };
    }
    case 5: // I32
      return skip(4);
    default: // 3 and 4 are the groups of proto2, 6 and 7 do not exist
      return undefined;
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

/** At most ten bytes, of which the lower 32 bits are kept, as the format asks for a 32-bit field. */
function readVarint(
  bytes: Uint8Array,
  from: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[from + index];
    if (byte === undefined) return undefined;
    if (index < 5) value = (value | ((byte & 0x7f) << (7 * index))) >>> 0;
    if (byte < 0x80) return { value, next: from + index + 1 };
  }
  return undefined;
}
