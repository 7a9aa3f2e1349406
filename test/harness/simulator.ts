/**
 * The simulated VPC as a user drives it: through the command `terway-sim`.
 *
 * @module
 */
import { vSwitchGateway, parseCidr } from "../../proto/cidr.ts";
import { type StatusReport } from "../../sim/cli/status.ts";
import { type SimulatorState } from "../../sim/http/operator.ts";
import { must } from "./process.ts";
import { program } from "./programs.ts";

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
  /** One sentence for each promise of the cloud that is broken now. */
  readonly brokenInvariants: () => Promise<string[]>;
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
  return {
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
      (await state()).broken.map(({ invariant, detail }) => `${invariant}: ${detail}`),
    down: async () => simulatorDown(name),
  };
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
