/**
 * For tests: `openCloud` over real HTTP on the loopback interface, against a server that answers as each test says.
 *
 * @module
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { eniId, instanceId, securityGroupId, vSwitchId } from "../../proto/ids.ts";
import { ok } from "../../proto/result.ts";
import { type Cloud, type EniView } from "../core/cloud.ts";
import { type Budget, type BudgetOptions, openBudget } from "./budget.ts";
import { type AccessKey } from "./call.ts";
import { type CloudOptions, openCloud } from "./cloud.ts";
import { type CallRecord } from "./invoke.ts";

/** Answers one request. */
export type Handler = (response: ServerResponse) => void;
/** What the server got; `port` tells connections apart. */
export type Seen = {
  readonly action: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly port: number;
};

export const KEY: AccessKey = { accessKeyId: "LTAItest", accessKeySecret: "secret", source: "Secret test" };
export const ENI = eniId("eni-1");
export const NODE = instanceId("i-1");

/** One NetworkInterfaceSet as the API writes it. */
export const WIRE_ENI = {
  NetworkInterfaceId: "eni-1",
  MacAddress: "00:16:3E:0A:00:01",
  Status: "InUse",
  Type: "Secondary",
  VSwitchId: "vsw-1",
  InstanceId: "",
  Attachment: { InstanceId: "i-1" },
  PrivateIpAddress: "10.0.0.10",
  PrivateIpSets: {
    PrivateIpSet: [
      { PrivateIpAddress: "10.0.0.11", Primary: false },
      { PrivateIpAddress: "10.0.0.10", Primary: true },
    ],
  },
  SecurityGroupIds: { SecurityGroupId: ["sg-1"] },
  Tags: { Tag: [{ TagKey: "creator", TagValue: "terway" }, { TagKey: "empty" }] },
  ServiceManaged: false,
  SomethingNew: { A: 1 },
};

/** The same as the core reads it. */
export const VIEW: EniView = {
  id: ENI,
  mac: mac("00:16:3e:0a:00:01"),
  status: "InUse",
  type: "Secondary",
  vSwitch: vSwitchId("vsw-1"),
  instance: NODE,
  primary: ipv4("10.0.0.10"),
  addresses: [ipv4("10.0.0.10"), ipv4("10.0.0.11")],
  addresses6: [],
  securityGroups: [securityGroupId("sg-1")],
  tags: { creator: "terway", empty: "" },
  serviceManaged: false,
};

export type Canned = AsyncDisposable & {
  readonly cloud: Cloud & AsyncDisposable;
  readonly budget: Budget;
  readonly seen: readonly Seen[];
  readonly records: readonly CallRecord[];
  readonly port: number;
  /** Connections that are open now. */
  readonly connections: () => number;
  /** One handler for each request from now on, the last one for all further ones. */
  readonly answerWith: (...handlers: readonly Handler[]) => void;
};

/** A cloud with a server of its own; both end with `using`. */
export async function openCanned(
  options: Partial<CloudOptions> & { readonly rates?: Partial<BudgetOptions> } = {},
): Promise<Canned> {
  const seen: Seen[] = [];
  const records: CallRecord[] = [];
  const sockets = new Set<object>();
  let handlers: Handler[] = [];
  const server = createServer((request, response) => {
    const query = Object.fromEntries(new URL(request.url ?? "/", "http://x").searchParams);
    const action = String(request.headers["x-acs-action"]);
    seen.push({ action, query, headers: request.headers, port: request.socket.remotePort ?? 0 });
    const handler = handlers.length > 1 ? handlers.shift() : handlers[0];
    handler?.(response);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await listening(server);
  const { rates, ...rest } = options;
  const budget = openBudget({ now: () => performance.now(), sleep, ...rates });
  const cloud = openCloud({
    region: "cn-test",
    ecsEndpoint: `http://127.0.0.1:${port}`,
    vpcEndpoint: `http://127.0.0.1:${port}`,
    credentials: { current: () => Promise.resolve(ok(KEY)) },
    timeoutMs: 2000,
    budget,
    now: () => performance.now(),
    onCall: (record) => records.push(record),
    ...rest,
  });
  return {
    cloud,
    budget,
    seen,
    records,
    port,
    connections: () => sockets.size,
    answerWith: (...next) => {
      handlers = [...next];
    },
    async [Symbol.asyncDispose]() {
      await cloud[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** Status 200 and a JSON object. */
export function answer(body: object): Handler {
  return (response) => response.end(JSON.stringify({ RequestId: "R-1", ...body }));
}

/** An error as the API writes it. */
export function refuse(status: number, code: string, headers: Record<string, string> = {}): Handler {
  return (response) => {
    response.writeHead(status, headers);
    response.end(JSON.stringify({ RequestId: "R-2", Code: code, Message: `about ${code}` }));
  };
}

/** The body of DescribeNetworkInterfaces. */
export function eniList(...enis: readonly unknown[]): object {
  return { NetworkInterfaceSets: { NetworkInterfaceSet: enis } };
}

export function ipv4(text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(text);
  return address;
}

export function ipv6(text: string): Ipv6 {
  const address = parseIpv6(text);
  if (address === undefined) throw new Error(text);
  return address;
}

function mac(text: string): Mac {
  const address = parseMac(text);
  if (address === undefined) throw new Error(text);
  return address;
}

/** Takes connections and never says a word. */
export async function openMute(): Promise<
  AsyncDisposable & { readonly port: number; readonly connections: () => number }
> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await listening(server);
  return {
    port,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** A port of the loopback interface on which nobody listens. */
export async function unusedPort(): Promise<number> {
  const probe = createTcpServer();
  const port = await listening(probe);
  await new Promise((closed) => probe.close(closed));
  return port;
}

async function listening(server: TcpServer): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
