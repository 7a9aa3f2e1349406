import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import {
  type ClientDuplexStream,
  credentials,
  makeClientConstructor,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import { describe, expect, it } from "vitest";
import { loadContract } from "./contract.ts";
import { addReflection } from "./reflection.ts";

const PROTOS = join(
  dirname(createRequire(import.meta.url).resolve("@grpc/reflection")),
  "../proto/grpc/reflection",
);

/** What the server says to these questions, one after the other on one stream. */
async function ask(socketPath: string, version: string, questions: readonly object[]): Promise<unknown[]> {
  const definition = loadSync(join(PROTOS, version, "reflection.proto"), { oneofs: true });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one service of the file
  const service = definition[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
  const Client = makeClientConstructor(service, "ServerReflection");
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  const stream: ClientDuplexStream<object, unknown> = client["ServerReflectionInfo"]?.call(client);
  for (const question of questions) stream.write(question);
  stream.end();
  const answers: unknown[] = [];
  for await (const answer of stream) answers.push(answer);
  client.close();
  return answers;
}

describe("addReflection()", () => {
  it("says in both versions which services there are, and knows the messages", async () => {
    const directory = mkdtempSync(join(tmpdir(), "terway-reflection-"));
    const socketPath = join(directory, "agent.sock");
    const contract = loadContract();
    const server = new Server();
    server.addService(contract.service, { Status: () => undefined });
    addReflection(server, contract.packageDefinition);
    try {
      await new Promise((resolve) => {
        server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), resolve);
      });
      for (const version of ["v1", "v1alpha"]) {
        const [list, file] = await ask(socketPath, version, [
          { listServices: "" },
          { fileContainingSymbol: "terway.agent.v1.AddRequest" },
        ]);
        expect(list).toMatchObject({
          listServicesResponse: { service: [{ name: "terway.agent.v1.Agent" }] },
        });
        expect(file).toMatchObject({ messageResponse: "fileDescriptorResponse" });
      }
    } finally {
      server.forceShutdown();
      rmSync(directory, { recursive: true });
    }
  });
});
