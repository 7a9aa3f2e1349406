/**
 * Calls of the plugin that cannot succeed: a CNI error that names the thing, the place and the remedy, with exit status
 * 1, and no change of the node or of the cloud.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DOCUMENTED_POLICY } from "../../sim/model/topology-default.ts";
import { type Agent, type AgentOptions, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { plugin, type Pod } from "../harness/pod.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { type OneNode, openOneNode, socketOf } from "./one-node.ts";

/** The credential may do all but make ENIs. */
const NO_CREATE = DOCUMENTED_POLICY.Statement.map((statement) => ({
  ...statement,
  Action: statement.Action.filter((action) => action !== "ecs:CreateNetworkInterface"),
}));

describe("terway", () => {
  let one: OneNode;
  let agent: Agent;
  let options: AgentOptions;
  let pod: Pod;
  let before: Snapshot;

  beforeAll(async () => {
    const policies = { terway: { ...DOCUMENTED_POLICY, Statement: NO_CREATE } };
    one = await openOneNode(`tw${process.pid}d`, { policies });
    options = one.agent("agent");
    await prepareAgent(options);
    agent = await startAgent(options);
    pod = await one.pod("web", options);
    before = await one.snapshot();
  });
  afterAll(async () => {
    await agent.kill();
    await one[Symbol.asyncDispose]();
  });

  const conf = (changes: object = {}): string =>
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "terway",
      type: "terway",
      agent_socket: socketOf(options),
      ...changes,
    });

  /** Runs ADD, which has to fail with exit status 1 and nothing changed; returns the error object. */
  async function refusal(env: Readonly<Record<string, string>>, stdin: string): Promise<unknown> {
    const ran = await plugin("ADD", { ...pod, conf: stdin }, env);
    expect(differences(before, await one.snapshot())).toEqual([]);
    const error: unknown = JSON.parse(ran.stdout);
    const { msg, details } = textsOf(error);
    const stderr = `terway: ADD: ${msg}; ${details}\n`;
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 1, stderr });
    return error;
  }

  it("refuses stdin that is not JSON", async () => {
    expect(await refusal({}, '{\n  "name": terway\n}')).toEqual({
      cniVersion: "1.1.0",
      code: 6,
      msg: 'network configuration is not JSON: line 2, column 11: expected a value, found "t"',
      details: "correct the file in /etc/cni/net.d (from 10-terway.conf of the ConfigMap eni-config)",
    });
  });

  it("refuses a cniVersion that it does not speak", async () => {
    expect(await refusal({}, conf({ cniVersion: "0.5.0" }))).toEqual({
      cniVersion: "1.1.0",
      code: 1,
      msg: 'cniVersion "0.5.0" is not supported',
      details: 'ADD with cniVersion "0.5.0": use one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
    });
  });

  it("names all missing variables at once", async () => {
    expect(await refusal({ CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" }, conf())).toEqual({
      cniVersion: "1.1.0",
      code: 4,
      msg: "required environment variables are missing: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
      details: "call the plugin as a CNI runtime does (CNI SPEC.md 1.1.0, section 2)",
    });
  });

  it.each([
    { path: "/run/netns/tw-none", reason: "it does not exist" },
    { path: "/etc/os-release", reason: "it is not a network namespace" },
  ])("refuses CNI_NETNS $path, and makes no ENI for it", async ({ path, reason }) => {
    expect(await refusal({ CNI_NETNS: path }, conf())).toEqual({
      cniVersion: "1.0.0",
      code: 8,
      msg: `CNI_NETNS ${path}: ${reason}`,
      details: "give the path of a network namespace that exists, such as /run/netns/NAME",
    });
  });

  it("asks the runtime to try again where no agent runs", async () => {
    expect(await refusal({}, conf({ agent_socket: "/run/tw-none/agent.sock" }))).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: "the terway agent does not answer at /run/tw-none/agent.sock: there is no such socket (ENOENT)",
      details: "is terwayd running on this node? Its log says why not; the runtime will try again",
    });
  });

  it("names the action that the RAM policy lacks, at once", async () => {
    const startedMs = performance.now();
    const error = await refusal({}, conf());
    expect(error).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: expect.stringMatching(
        /^CreateNetworkInterface for vsw-pods-h2: Forbidden\.RAM: .*: ecs:CreateNetworkInterface on acs:ecs:cn-hangzhou:\d+:vswitch\/vsw-pods-h2\. \(request [0-9A-F-]{36}\)$/,
      ),
      details:
        "add ecs:CreateNetworkInterface to the RAM policy of the user or role that the access key (Secret alibaba-addon-secret) belongs to",
    });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("leaves the agent that runs alone when another one is started on its socket", async () => {
    const ran = await runAgent(options);
    const said = `another terwayd answers on ${socketOf(options)}; stop it first, or give this one another --socket`;
    expect(ran).toMatchObject({ status: 1, stdout: "", stderr: `terwayd: ${said}\n` });
    expect(differences(before, await one.snapshot())).toEqual([]);
    expect(await refusal({ CNI_NETNS: "/etc/os-release" }, conf())).toMatchObject({ code: 8 });
  });
});

/** The texts of a CNI error object. */
function textsOf(error: unknown): { readonly msg: string; readonly details: string } {
  const { msg, details } = {
    msg: undefined,
    details: undefined,
    ...(typeof error === "object" ? error : {}),
  };
  if (typeof msg !== "string" || typeof details !== "string") throw new Error("not an error object of CNI");
  return { msg, details };
}
