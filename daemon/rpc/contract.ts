/**
 * agent.proto as the server needs it: typed messages, the service, and the trailer that carries a fault.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Metadata, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type MessageTypeDefinition, type PackageDefinition } from "@grpc/proto-loader";
import { cniCode, describeFault, type Fault, grpcStatus, remedyFor } from "../../proto/fault.ts";
import { FAULT_TRAILER, TIMING_TRAILER } from "../../proto/paths.ts";

/** Beside the bundle (`make build` puts it there), or in the sources. */
const PROTO_FILES = [
  join(import.meta.dirname, "proto-files/agent.proto"),
  join(import.meta.dirname, "../../proto/agent.proto"),
];

export type CallMessage = {
  readonly protocol: number;
  readonly deadlineMs: number;
  readonly traceparent: string;
  readonly config: Uint8Array;
};

export type AttachmentMessage = {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
};

/** AddRequest, DelRequest and CheckRequest. */
export type AttachmentRequest = {
  readonly call: CallMessage | null;
  readonly attachment: AttachmentMessage | null;
  readonly netns: string;
  readonly cniArgs: string;
};

export type GcRequest = {
  readonly call: CallMessage | null;
  readonly network: string;
  readonly attachmentsGiven: boolean;
  readonly attachments: readonly AttachmentMessage[];
};

export type StatusRequest = { readonly call: CallMessage | null };

/** Milliseconds by phase. */
export type Timing = Readonly<Record<string, number>>;

export type Contract = {
  readonly packageDefinition: PackageDefinition;
  readonly service: ServiceDefinition;
  /** What grpc-js wants as the error of a unary call. */
  readonly toStatus: (fault: Fault) => { code: number; details: string; metadata: Metadata };
};

export function loadContract(): Contract {
  const path = PROTO_FILES.find((file) => existsSync(file));
  if (path === undefined) throw new Error(`agent.proto is in none of ${PROTO_FILES.join(", ")}`);
  const packageDefinition = loadSync(path, { defaults: true, longs: Number });
  const fault = packageDefinition["terway.agent.v1.Fault"];
  const service = packageDefinition["terway.agent.v1.Agent"];
  if (!isMessage(fault) || service === undefined || isMessage(service))
    throw new Error(`${path} lacks Agent or Fault`);
  return {
    packageDefinition,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is neither a message nor an enum is a service
    service: service as ServiceDefinition,
    toStatus(value) {
      const metadata = new Metadata();
      const encoded = fault.serialize({
        kind: value.kind,
        cniCode: cniCode(value),
        message: describeFault(value),
        remedy: remedyFor(value),
      });
      metadata.set(FAULT_TRAILER, encoded);
      return { code: grpcStatus(value), details: describeFault(value), metadata };
    },
  };
}

/** The trailer that says how long each phase took, in the form of the Server-Timing header (W3C Server Timing, section 2). */
export function timingTrailer(timing: Timing): Metadata {
  const metadata = new Metadata();
  const phases = Object.entries(timing).map(([phase, ms]) => `${phase};dur=${ms}`);
  metadata.set(TIMING_TRAILER, phases.join(", "));
  return metadata;
}

function isMessage(
  entry: PackageDefinition[string] | undefined,
): entry is MessageTypeDefinition<object, object> {
  return entry !== undefined && entry["format"] === "Protocol Buffer 3 DescriptorProto";
}
