/**
 * `eniip_virtual_type: IPVlan` where it cannot be carried out: on a kernel without IPVLAN, and with networks of the host's stack
 * that hold pods' addresses. Where the kernel has it, `*.uml.test.ts` and the matrix show that it works.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentOptions, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { addPod, delPod } from "../harness/pod.ts";
import { must } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { ipvlanKernel } from "../uml/ipvlan-kernel.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

let one: OneNode;
let before: Snapshot;
/** Where the kernel has it, the agent would serve. */
const hasIpvlan = (await ipvlanKernel()) === "own";

beforeAll(async () => {
  one = await openOneNode(`tw${process.pid}iv`);
  before = await one.snapshot();
});

afterAll(async () => {
  await one[Symbol.asyncDispose]();
});

function agent(name: string, more: Readonly<Record<string, unknown>> = {}): AgentOptions {
  const cniConf = {
    cniVersion: "1.0.0",
    name: "terway",
    type: "terway",
    eniip_virtual_type: "IPVlan",
    ...more,
  };
  return { ...one.agent(name, { service_cidr: "172.21.0.0/20" }), cniConf: JSON.stringify(cniConf) };
}

/** What terwayd says before it ends with status 1; nothing has changed on the node and in the cloud. */
async function refusal(options: AgentOptions): Promise<string> {
  await prepareAgent(options);
  const { status, stderr } = await runAgent(options);
  expect({ status, differences: differences(before, await one.snapshot()) }).toEqual({
    status: 1,
    differences: [],
  });
  return stderr
    .split("\n")
    .filter((line) => !line.startsWith("{"))
    .join("\n");
}

describe("terwayd with eniip_virtual_type IPVlan", () => {
  it("refuses networks of the host's stack that hold addresses of pods, with both", async () => {
    expect(await refusal(agent("overlap", { host_stack_cidrs: ["169.254.20.10/32", "10.10.32.0/28"] }))).toBe(
      `terwayd: host_stack_cidrs of 10-terway.conf and service_cidr of eni_conf go through the node's stack:
  10.10.32.0/28 overlaps with 10.10.32.0/20 of vSwitch vsw-pods-h2, where pods have their addresses
  name networks there that hold no address of a pod, or give pods other vSwitches
`,
    );
  });

  it("refuses more networks of the host's stack than an ENI has filters for", async () => {
    const networks = Array.from({ length: 32 }, (_, index) => `198.18.${index}.0/24`);
    expect(await refusal(agent("many", { host_stack_cidrs: networks }))).toContain(
      "host_stack_cidrs and service_cidr of eni_conf name 33 networks; with IPVlan 32 at most are possible",
    );
  });

  it.runIf(!hasIpvlan)("says on a kernel without IPVLAN which module is missing", async () => {
    expect(await refusal(agent("refused"))).toBe(
      `terwayd: eniip_virtual_type of 10-terway.conf is IPVlan, and this node's kernel has no IPVLAN: the module ipvlan is missing
  load it (modprobe ipvlan; a distribution may have it in a package of extra modules), set eniip_virtual_type to Veth, or allow veth on such nodes: "veth_fallback": true
`,
    );
  });

  it.runIf(!hasIpvlan)(
    "connects pods by veth there, with a warning, where veth_fallback allows it",
    async () => {
      const options = agent("fallback", { veth_fallback: true });
      await prepareAgent(options);
      const running = await startAgent(options);
      try {
        expect(running.process.output()).toContain(
          '"the kernel has no IPVLAN; pods are connected by veth, as veth_fallback allows"',
        );
        const pod = await one.pod("p1", options);
        const { address } = await addPod(pod);
        expect(await must("ip", ["-n", pod.namespace, "-d", "link", "show", "eth0"])).toContain(" veth ");
        expect(await must("ip", ["-n", pod.namespace, "-o", "-4", "address", "show", "eth0"])).toContain(
          `${address}/32 `,
        );
        await delPod(pod);
      } finally {
        await running.stop();
      }
    },
  );
});
