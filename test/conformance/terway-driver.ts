/**
 * The driver for this project's own plugin: a simulated VPC with one small node, and an agent on it.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DEFAULT_TOPOLOGY_FILE } from "../../sim/model/topology-default.ts";
import { type OneNode, openOneNode, socketOf } from "../e2e/one-node.ts";
import { type AgentOptions, prepareAgent, runAgent, startAgent } from "../harness/agent.ts";
import { addPod, deletePodNamespace, delPod, type Pod } from "../harness/pod.ts";
import { type Background, background, run, until } from "../harness/process.ts";
import { differences } from "../harness/snapshot.ts";
import { type Damage, type Driver, type OpenDriver, type Switch } from "./driver.ts";
import { textOf } from "./target.ts";

/** Two secondary ENIs of ten addresses: enough for every line, and soon used up. */
const TYPE = { name: "ecs.conformance", eniQuantity: 3, eniPrivateIpAddressQuantity: 10 };
const CAPACITY = (TYPE.eniQuantity - 1) * TYPE.eniPrivateIpAddressQuantity;

/** The pool is full from the start and stays so: the node's links and rules do not change under the lines. */
const ENI_CONF = { min_pool_size: CAPACITY, max_pool_size: CAPACITY, address_cooldown: "0s" };

/** Of the first rule that all pods need, daemon/core/datapath/layout.ts. */
const PODS_RULE_PRIORITY = "512";
const PODS_TABLE = "7400";

export const openDriver: OpenDriver = async ({ name }) => {
  const one = await openOneNode(name, topology());
  const options = one.agent("agent", ENI_CONF);
  const before = await one.snapshot();
  await prepareAgent(options);
  const spool = join(options.directory, "state/spool");
  let agent = await startAgent(options);
  await poolFull(one, options).catch(async (error: unknown) => {
    await agent.kill();
    await one[Symbol.asyncDispose]();
    throw error;
  });
  const agentDown: Switch = {
    on: () => agent.kill(),
    off: async () => {
      agent = await startAgent(options);
    },
  };
  const agentFrozen: Switch = {
    on: async () => {
      agent.process.kill("SIGSTOP");
      return Promise.resolve();
    },
    off: async () => {
      agent.process.kill("SIGCONT");
      return Promise.resolve();
    },
  };
  const node = one.node.namespace;
  const driver: Driver = {
    node,
    config: { agent_socket: socketOf(options), spool_dir: spool },
    leases: () => leasesOf(options, spool),
    agentDown,
    agentFrozen,
    poolEmpty: emptying(one, options),
    poolDip: emptying(one, options),
    nodeDamaged: damaging(node),
    damages: damagesOn(node),
    close: async () => {
      await agent.stop();
      await runAgent(options, ["--drain"]);
      const left = differences(before, await one.snapshot());
      const broken = await one[Symbol.asyncDispose]().then(
        () => [],
        (error: unknown) => [String(error)],
      );
      return [...left, ...broken];
    },
  };
  return driver;
};

function topology(): Parameters<typeof openOneNode>[1] {
  const [first] = DEFAULT_TOPOLOGY_FILE.instances;
  if (first === undefined) throw new Error("the default topology has no instance");
  const { name, ...limits } = TYPE;
  return { instances: [{ ...first, type: name }], instanceTypes: { [name]: limits } };
}

/** Waits until every address that the node can have is there, and nothing changes any more. */
async function poolFull({ simulator, node }: OneNode, options: AgentOptions): Promise<void> {
  await until(
    `${CAPACITY} addresses of ${node.name} are in the pool; the agent's log is in ${options.directory}`,
    async () => {
      const enis = (await simulator.enis()).filter(({ isPrimary }) => !isPrimary);
      const addresses = enis.flatMap((eni) => (eni.status === "InUse" ? eni.addresses : []));
      const rules = await run("ip", ["-n", node.namespace, "rule", "show"]);
      const marks = rules.stdout.split("\n").filter((line) => line.includes("fwmark")).length;
      return addresses.length === CAPACITY && marks === enis.length;
    },
    60_000,
    200,
  );
}

/** One line for each attachment in the agent's database, and for each DEL that waits for the agent. */
async function leasesOf(options: AgentOptions, spool: string): Promise<readonly string[]> {
  const path = join(options.directory, "state/agent.db");
  const waiting = (await readdir(spool).catch(() => [])).filter((file) => file.endsWith(".del"));
  if (!existsSync(path)) return waiting;
  using database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare("SELECT network, container_id, ifname, address FROM lease").all();
  const leases = rows.map((row) =>
    [row["network"], row["container_id"], row["ifname"], row["address"]].map(textOf).join("/"),
  );
  return [...leases, ...waiting].sort();
}

const AT_ONCE = 4;

/** Pods that take every address there is. */
function emptying(one: OneNode, options: AgentOptions): Switch {
  let pods: Pod[] = [];
  return {
    on: async () => {
      let isEmpty = false;
      const fill = async (): Promise<void> => {
        while (!isEmpty && pods.length <= CAPACITY + AT_ONCE) {
          const pod = await one.pod(`filler${fillers++}`, options);
          pods.push(pod);
          isEmpty = await addPod(pod).then(
            () => isEmpty,
            () => true,
          );
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, fill));
      if (!isEmpty) throw new Error(`${pods.length} pods did not use up the ${CAPACITY} addresses`);
    },
    off: async () => {
      const emptied = pods;
      pods = [];
      await Promise.all(emptied.map(delPod));
      for (const pod of emptied) await deletePodNamespace(pod);
    },
  };
}

let fillers = 0;

/** Takes a rule away again and again, faster than the agent can put it back; in the end the agent does. */
function damaging(node: string): Switch {
  const isThere = async (): Promise<boolean> =>
    (await run("ip", ["-n", node, "rule", "show", "priority", PODS_RULE_PRIORITY])).stdout !== "";
  let damage: Background | undefined;
  return {
    on: async () => {
      const take = `while :; do ip -n ${node} rule del priority ${PODS_RULE_PRIORITY} 2>/dev/null; sleep 0.005; done`;
      damage = background("sh", ["-c", take]);
      await until("the rule of the pods is gone", async () => !(await isThere()), 5000);
    },
    off: async () => {
      damage?.kill("SIGKILL");
      await damage?.ended;
      await until("the agent has put the rule of the pods back", isThere, 60_000);
    },
  };
}

/** What ADD makes for a pod beside links, addresses and routes, daemon/core/datapath/layout.ts. */
function damagesOn(node: string): readonly Damage[] {
  const inside = ["netns", "exec", node];
  return [
    {
      what: "the pod's element of the nftables map is missing",
      inflict: async ({ address }) => {
        const route = await run("ip", ["-n", node, "route", "show", "table", PODS_TABLE, address]);
        const device = /dev (\S+)/.exec(route.stdout)?.[1] ?? "none";
        const gone = await run("ip", [
          ...inside,
          "nft",
          "delete",
          "element",
          "ip",
          "terway",
          "pod_source",
          `{ ${device} . ${address} }`,
        ]);
        if (gone.status !== 0) throw new Error(gone.stderr);
      },
    },
  ];
}
