/**
 * The simulated VPC as a user drives it: through the command `terway-sim`. Whoever takes one down is told of each promise
 * of the cloud that is broken then; `after-each.ts` asks after each test.
 *
 * @module
 */
import * as z from "zod";
import { vSwitchGateway, parseCidr } from "../../proto/cidr.ts";
import { askOperator } from "../../sim/cli/operator-client.ts";
import { type StatusReport } from "../../sim/cli/status.ts";
import { type SimulatorState } from "../../sim/http/operator.ts";
import { type CallReport } from "../../sim/model/calls.ts";
import { must } from "./process.ts";
import { program } from "./programs.ts";
import { standing } from "./standing.ts";

export type SimNode = {
  readonly name: string;
  readonly instance: string;
  /** Name of its network namespace. */
  readonly namespace: string;
};

export type SimEni = {
  readonly id: string;
  readonly isPrimary: boolean;
  readonly status: string;
  readonly instance: string;
  readonly vSwitch: string;
  readonly addresses: readonly string[];
};

/** The name of a promise of the simulated cloud: `address-held-twice`, `rate-exceeded`, … */
export type Invariant = SimulatorState["broken"][number]["invariant"];

export type Simulator = {
  readonly name: string;
  readonly nodes: readonly SimNode[];
  readonly routerNamespace: string;
  /** URL of the ECS and VPC API, as a node reaches it. */
  readonly apiUrl: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Gateway of each vSwitch. */
  readonly gateways: Readonly<Record<string, string>>;
  /** `terway-sim VERB …`; returns what it prints. */
  readonly call: (verb: string, ...args: readonly string[]) => Promise<string>;
  /** `terway-sim VERB … -o json`. */
  readonly json: (verb: string, ...args: readonly string[]) => Promise<unknown>;
  readonly state: () => Promise<SimulatorState>;
  readonly enis: () => Promise<SimEni[]>;
  /** One sentence for each promise of the cloud that is broken now, and that `breaks` was not told of. */
  readonly brokenInvariants: () => Promise<string[]>;
  /** From now on this one is broken on purpose, which is no failure. */
  readonly breaks: (invariant: Invariant) => void;
  /** Takes it down. Fails in the end where an invariant is broken that `breaks` was not told of. */
  readonly down: () => Promise<void>;
};

/** `terway-sim up`; what a run of this name left that was killed is taken down first. */
export async function simulatorUp(name: string, args: readonly string[] = []): Promise<Simulator> {
  const sim = program("terway-sim");
  const call = (verb: string, ...rest: readonly string[]): Promise<string> =>
    must(sim, [verb, "--name", name, ...rest]);
  const json = async (verb: string, ...rest: readonly string[]): Promise<unknown> =>
    JSON.parse(await call(verb, ...rest, "-o", "json"));
  await must(sim, ["up", ...args, "--name", name]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the command prints has this type
  const status = (await json("status")) as StatusReport;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  const state = async (): Promise<SimulatorState> => (await json("state")) as SimulatorState;
  const first = await state();
  const [credential] = status.credentials;
  const intended = new Set<Invariant>();
  const simulator: Simulator = {
    name,
    nodes: status.nodes.map(({ node, instance, namespace }) => ({ name: node, instance, namespace })),
    routerNamespace: status.routerNamespace,
    apiUrl: status.endpoints.api,
    accessKeyId: credential?.accessKeyId ?? "",
    accessKeySecret: credential?.accessKeySecret ?? "",
    gateways: Object.fromEntries(first.vSwitches.map(({ id, cidr }) => [id, gatewayOf(cidr)])),
    call,
    json,
    state,
    enis: async () => enisOf(await state()),
    brokenInvariants: async () =>
      (await cloudState(name)).broken
        .filter(({ invariant }) => !intended.has(invariant))
        .map(({ invariant, detail }) => `${invariant}: ${detail}`),
    breaks: (invariant) => {
      intended.add(invariant);
    },
    async down() {
      if (!standing.delete(simulator)) return simulatorDown(name);
      let broken: readonly string[] = [];
      try {
        broken = await simulator.brokenInvariants();
      } finally {
        await simulatorDown(name);
      }
      if (broken.length > 0) throw new Error(`broken in the cloud ${name}:\n${broken.join("\n")}`);
    },
  };
  standing.add(simulator);
  return simulator;
}

/** As `terway-sim calls`, asked without a process, as often as a test likes that waits for one. */
export async function callReport(name: string): Promise<CallReport> {
  return ask(name, "/_sim/calls", z.custom<CallReport>());
}

/** As `terway-sim state`, in the same way. */
export async function cloudState(name: string): Promise<SimulatorState> {
  return ask(name, "/_sim/state", z.custom<SimulatorState>());
}

async function ask<Answer>(name: string, path: string, schema: z.ZodType<Answer>): Promise<Answer> {
  const asked = await askOperator(name, { method: "GET", path }, schema);
  if (!asked.ok) throw new Error(asked.fault.message);
  return asked.value;
}

/** `terway-sim down`, of one that came up or did not. */
export async function simulatorDown(name: string): Promise<void> {
  await must(program("terway-sim"), ["down", "--name", name]);
}

function gatewayOf(cidr: string): string {
  const parsed = parseCidr(cidr);
  return parsed === undefined ? "?" : vSwitchGateway(parsed);
}

/** The ENIs of a state, as tests look at them. */
export function enisOf(state: SimulatorState): SimEni[] {
  return state.enis.map((eni) => ({
    id: eni.id,
    isPrimary: eni.type === "Primary",
    status: eni.status,
    instance: eni.owner,
    vSwitch: eni.vSwitch,
    addresses: eni.addresses,
  }));
}
