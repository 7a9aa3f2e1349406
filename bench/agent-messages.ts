/**
 * Messages of agent.proto, as bytes.
 *
 * @module
 */
import { join } from "node:path";
import { loadSync, type MessageTypeDefinition, type PackageDefinition } from "@grpc/proto-loader";

const PROTO = join(import.meta.dirname, "../proto/agent.proto");
const PREFIX_BYTES = 5;

/** Writes messages of this name. Throws where agent.proto has none. */
export function encoderOf(name: string): (message: object) => Buffer {
  const entry = loadSync(PROTO, { defaults: true, longs: Number })[`terway.agent.v1.${name}`];
  if (entry === undefined || !isMessage(entry)) throw new Error(`${PROTO} has no message ${name}`);
  return entry.serialize;
}

/** As gRPC sends it: "Length-Prefixed-Message" of its protocol for HTTP/2. */
export function withPrefix(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function isMessage(entry: PackageDefinition[string]): entry is MessageTypeDefinition<object, object> {
  return "type" in entry && "serialize" in entry;
}
