/**
 * The messages of agent.proto that the plugin writes and reads. Unknown fields are passed over, so that a newer agent
 * may say more.
 *
 * @module
 */
import { type Attachment } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Utf8 } from "./input.ts";
import { concatBytes } from "./bytes.ts";
import { encodeBytes, encodeMessage, encodeUint, readFields, type Field } from "./protobuf.ts";

/** `Call`. */
export type CallInfo = {
  readonly protocol: number;
  readonly deadlineMs: number;
  readonly traceparent: string;
  readonly config: Uint8Array;
};

/** `AddRequest`, `DelRequest` and `CheckRequest`, which have the same fields. */
export type AttachmentRequest = {
  readonly call: CallInfo;
  readonly attachment: Attachment;
  readonly netns: string;
  readonly cniArgs: string;
};

/** `GcRequest`. `attachments` is `undefined` where the caller gave no list, which is not the same as an empty one. */
export type GcRequest = {
  readonly call: CallInfo;
  readonly network: string;
  readonly attachments: readonly Attachment[] | undefined;
};

/** `StatusRequest`. */
export type StatusRequest = { readonly call: CallInfo };

/** `AddReply`. */
export type AddReply = {
  readonly interfaces: readonly ReplyInterface[];
  readonly ips: readonly ReplyIp[];
  readonly routes: readonly ReplyRoute[];
};
/** `Interface`. */
export type ReplyInterface = {
  readonly name: string;
  readonly mac: string;
  readonly sandbox: string;
  /** Bytes; 0 where the agent does not say. */
  readonly mtu: number;
};
/** `IpConfig`. */
export type ReplyIp = {
  readonly address: string;
  readonly gateway: string;
  /** Index into `interfaces`. */
  readonly interface: number;
};
/** `Route`; `gw` is empty for a route without gateway. */
export type ReplyRoute = { readonly dst: string; readonly gw: string };

/** `Fault` of agent.proto: what the agent says about its failure. `cniCode` is 0 where it gave none. */
export type AgentFault = {
  readonly kind: string;
  readonly cniCode: number;
  readonly message: string;
  readonly remedy: string;
};

/** The bytes of the request; empty fields are left out, as proto3 has it. */
export function encodeAttachmentRequest(request: AttachmentRequest, utf8: Utf8): Uint8Array {
  return concatBytes([
    encodeCall(request.call, utf8),
    encodeAttachment(2, request.attachment, utf8),
    encodeText(3, request.netns, utf8),
    encodeText(4, request.cniArgs, utf8),
  ]);
}

/** As `encodeAttachmentRequest`. */
export function encodeGcRequest({ call, network, attachments }: GcRequest, utf8: Utf8): Uint8Array {
  return concatBytes([
    encodeCall(call, utf8),
    encodeText(2, network, utf8),
    encodeUint(3, attachments === undefined ? 0 : 1),
    ...(attachments ?? []).map((attachment) => encodeAttachment(4, attachment, utf8)),
  ]);
}

/** As `encodeAttachmentRequest`. */
export function encodeStatusRequest({ call }: StatusRequest, utf8: Utf8): Uint8Array {
  return encodeCall(call, utf8);
}

function encodeCall(call: CallInfo, utf8: Utf8): Uint8Array {
  return encodeMessage(1, [
    encodeUint(1, call.protocol),
    encodeUint(2, call.deadlineMs),
    encodeText(3, call.traceparent, utf8),
    encodeBytes(4, call.config),
  ]);
}

function encodeAttachment(field: number, attachment: Attachment, utf8: Utf8): Uint8Array {
  return encodeMessage(field, [
    encodeText(1, attachment.network, utf8),
    encodeText(2, attachment.containerId, utf8),
    encodeText(3, attachment.ifName, utf8),
  ]);
}

function encodeText(field: number, text: string, utf8: Utf8): Uint8Array {
  return encodeBytes(field, utf8.encode(text));
}

/** Never throws; the text says what is wrong with the bytes. */
export function decodeAddReply(message: Uint8Array, utf8: Utf8): Result<AddReply, string> {
  const fields = readFields(message);
  if (!fields.ok) return fields;
  const interfaces: ReplyInterface[] = [];
  const ips: ReplyIp[] = [];
  const routes: ReplyRoute[] = [];
  for (const field of fields.value) {
    if (field.number < 1 || field.number > 3) continue;
    if (field.kind !== "bytes") return failed(`AddReply: field ${field.number} is no message`);
    const inner = readScalars(field.bytes, utf8);
    if (!inner.ok) return inner;
    const { text, uint } = inner.value;
    if (field.number === 1) {
      interfaces.push({ name: text(1), mac: text(2), sandbox: text(3), mtu: uint(4) });
    } else if (field.number === 2) {
      ips.push({ address: text(1), gateway: text(2), interface: uint(3) });
    } else {
      routes.push({ dst: text(1), gw: text(2) });
    }
  }
  return ok({ interfaces, ips, routes });
}

/** Never throws; the text says what is wrong with the bytes. */
export function decodeFault(message: Uint8Array, utf8: Utf8): Result<AgentFault, string> {
  const scalars = readScalars(message, utf8);
  if (!scalars.ok) return scalars;
  const { text, uint } = scalars.value;
  return ok({ kind: text(1), cniCode: uint(2), message: text(3), remedy: text(4) });
}

type Scalars = {
  /** The field as text, or "" where it is not there. */
  readonly text: (number: number) => string;
  /** The field as a number, or 0 where it is not there. */
  readonly uint: (number: number) => number;
};

/** The fields of a message without inner messages. Of a field that comes twice the last one counts. */
function readScalars(message: Uint8Array, utf8: Utf8): Result<Scalars, string> {
  const fields = readFields(message);
  if (!fields.ok) return fields;
  const last = <Kind extends Field["kind"]>(number: number, kind: Kind) =>
    fields.value.findLast(
      (field): field is Extract<Field, { kind: Kind }> => field.number === number && field.kind === kind,
    );
  return ok({
    text: (number) => {
      const field = last(number, "bytes");
      return field === undefined ? "" : utf8.decode(field.bytes);
    },
    uint: (number) => last(number, "varint")?.value ?? 0,
  });
}
