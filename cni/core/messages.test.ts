import { loadSync, type AnyDefinition, type MessageTypeDefinition } from "@grpc/proto-loader";
import * as fc from "fast-check";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { nodeUtf8 } from "../node-host.ts";
import { decodeAddReply, decodeFault, encodeAttachmentRequest } from "./messages.ts";

// The independent side: protobufjs, which reads agent.proto itself.
const definitions = loadSync(fileURLToPath(new URL("../../proto/agent.proto", import.meta.url)), {
  defaults: true,
  keepCase: true,
});

function peer(name: string): MessageTypeDefinition<object, object> {
  const definition = definitions[`terway.agent.v1.${name}`];
  if (definition === undefined || !isMessage(definition)) throw new Error(`no message ${name}`);
  return definition;
}

function isMessage(definition: AnyDefinition): definition is MessageTypeDefinition<object, object> {
  return definition["format"] === "Protocol Buffer 3 DescriptorProto";
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const uint32 = fc.nat(0xff_ff_ff_ff);

describe("encodeAttachmentRequest()", () => {
  it("writes the bytes that protobufjs writes, and that it reads back as they were meant", () => {
    const request = fc.record({
      protocol: uint32,
      deadlineMs: uint32,
      traceparent: text,
      config: fc.uint8Array({ maxLength: 400 }),
      network: text,
      containerId: text,
      ifName: text,
      netns: text,
      cniArgs: text,
    });
    fc.assert(
      fc.property(request, (given) => {
        const { protocol, deadlineMs, traceparent, config, network, containerId, ifName, netns, cniArgs } =
          given;
        const bytes = encodeAttachmentRequest(
          {
            call: { protocol, deadlineMs, traceparent, config },
            attachment: { network, containerId, ifName },
            netns,
            cniArgs,
          },
          nodeUtf8,
        );
        const meant = {
          call: { protocol, deadline_ms: deadlineMs, traceparent, config: Buffer.from(config) },
          attachment: { network, container_id: containerId, ifname: ifName },
          netns,
          cni_args: cniArgs,
        };
        for (const name of ["AddRequest", "DelRequest", "CheckRequest"]) {
          const read = peer(name).deserialize(Buffer.from(bytes));
          expect(read).toEqual(meant);
          // protobufjs writes proto3 defaults out; without them both sides must agree to the byte.
          const full = [
            protocol,
            deadlineMs,
            traceparent,
            config.length,
            network,
            containerId,
            ifName,
            netns,
            cniArgs,
          ];
          if (!full.includes(0) && !full.includes("")) {
            expect(new Uint8Array(peer(name).serialize(meant))).toEqual(bytes);
          }
        }
      }),
    );
  });
});

describe("decodeAddReply()", () => {
  it("reads what protobufjs writes", () => {
    const reply = fc.record({
      interfaces: fc.array(fc.record({ name: text, mac: text, sandbox: text, mtu: uint32 }), {
        maxLength: 4,
      }),
      ips: fc.array(fc.record({ address: text, gateway: text, interface: uint32 }), { maxLength: 4 }),
      routes: fc.array(fc.record({ dst: text, gw: text }), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(reply, (value) => {
        const bytes = peer("AddReply").serialize(value);
        expect(decodeAddReply(new Uint8Array(bytes), nodeUtf8)).toEqual({ ok: true, value });
      }),
    );
  });

  it("passes over fields it does not know", () => {
    const newer = Uint8Array.from([0x22, 1, 7, 0x28, 9, 0x1a, 8, 0x0a, 3, 0x61, 0x2f, 0x38, 0x62, 1, 1]);
    expect(decodeAddReply(newer, nodeUtf8)).toEqual({
      ok: true,
      value: { interfaces: [], ips: [], routes: [{ dst: "a/8", gw: "" }] },
    });
  });

  it("refuses a list that is no list of messages", () => {
    expect(decodeAddReply(Uint8Array.of(0x08, 1), nodeUtf8)).toEqual({
      ok: false,
      fault: "AddReply: field 1 is no message",
    });
    expect(decodeAddReply(Uint8Array.of(0x0a, 1, 0x08), nodeUtf8).ok).toBe(false);
  });

  it("ends for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(typeof decodeAddReply(bytes, nodeUtf8).ok).toBe("boolean");
        expect(typeof decodeFault(bytes, nodeUtf8).ok).toBe("boolean");
      }),
      { numRuns: 1000 },
    );
  });
});

describe("decodeFault()", () => {
  it("reads what protobufjs writes", () => {
    const fault = fc.record({ kind: text, cniCode: uint32, message: text, remedy: text });
    fc.assert(
      fc.property(fault, (value) => {
        const bytes = peer("Fault").serialize({ ...value, cni_code: value.cniCode });
        expect(decodeFault(new Uint8Array(bytes), nodeUtf8)).toEqual({ ok: true, value });
      }),
    );
  });
});
