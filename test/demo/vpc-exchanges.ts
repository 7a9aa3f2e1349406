/**
 * Proofs of the VPC's demo that need programs at both ends: Service addresses, as kube-proxy makes them, the node's own DNS
 * cache, and packets with a source that is not the pod's.
 *
 * @module
 */
import { must } from "../harness/process.ts";
import { type SimNode } from "../harness/simulator.ts";
import { type Place, PORT } from "../matrix/bed.ts";
import { openPlace } from "../matrix/place.ts";
import { addService } from "../matrix/service.ts";
import { newNonce } from "../matrix/station.ts";
import { type Outcome } from "../matrix/station/words.ts";
import { type DemoPod } from "./demo-nodes.ts";
import { type Report } from "./report.ts";

const LOCAL_DNS = "169.254.20.10";
const DNS_PORT = 53;
/** No pod has it. */
const FOREIGN = "10.10.99.99";
const SMALL = { port: PORT, bytes: 100, replyBytes: 100, tries: 5, everyMs: 300 } as const;
const SPOOFED_PACKETS = 3;

export type Exchanges = {
  readonly client: DemoPod<SimNode>;
  /** Address of the client's node. */
  readonly node: string;
  /** Pods that are asked, and where they are, seen from the client. */
  readonly places: readonly (readonly [where: string, pod: DemoPod<SimNode>])[];
};

type Stations = {
  readonly client: Place;
  readonly node: Place;
  readonly pods: readonly (readonly [where: string, pod: Place])[];
};

/** What is made for it on the client's node and in its namespace is removed. */
export async function proveExchanges({ client, node, places }: Exchanges, report: Report): Promise<void> {
  const opened: Place[] = [];
  const open = async (name: string, namespace: string, v4: string): Promise<Place> => {
    const place = await openPlace(name, namespace, { v4 });
    opened.push(place);
    return place;
  };
  const podAt = async ({ pod, attached }: DemoPod<SimNode>): Promise<Place> =>
    open("pod", pod.namespace, attached.address);
  try {
    const stations: Stations = {
      client: await podAt(client),
      node: await open("node", client.node.namespace, node),
      pods: await Promise.all(places.map(async ([where, pod]) => [where, await podAt(pod)] as const)),
    };
    await proveServices(stations, report);
    await proveLocalDns(stations, report);
    await proveSpoof(stations, report);
  } finally {
    await Promise.all(opened.map(async ({ station }) => station.close()));
    await inside(client.node.namespace, `nft delete table ip service; ${withoutAddress(LOCAL_DNS)}`);
    await inside(client.pod.namespace, withoutAddress(FOREIGN));
  }
}

/** From the client and from its node, one Service for each pod. */
async function proveServices({ client, node, pods }: Stations, report: Report): Promise<void> {
  for (const [at, [, { addresses }]] of pods.entries())
    await addService(node.station.namespace, {
      address: serviceAddress(at),
      endpoint: addresses.v4 ?? "",
      port: PORT,
    });
  for (const from of [client, node]) {
    const outcomes = await Promise.all(
      pods.map(async (_, at) => from.station.exchange("tcp", { ...SMALL, to: serviceAddress(at) })),
    );
    const backends = pods.map(([where]) => where).join(", ");
    report.check(
      outcomes.every(isAnswer),
      `${from.name} -> Service with a backend ${backends}: ${counted(outcomes)} answered`,
    );
  }
}

/** In `service_cidr` of the cluster. */
function serviceAddress(at: number): string {
  return `172.21.0.${11 + at}`;
}

async function proveLocalDns({ client, node }: Stations, report: Report): Promise<void> {
  await inside(node.station.namespace, `ip address add ${LOCAL_DNS}/32 dev lo`);
  await node.station.listen(LOCAL_DNS, DNS_PORT);
  const outcomes: Outcome[] = [];
  for (const protocol of ["udp", "tcp"] as const)
    outcomes.push(await client.station.exchange(protocol, { ...SMALL, to: LOCAL_DNS, port: DNS_PORT }));
  report.check(
    outcomes.every(isAnswer),
    `pod -> its node's DNS cache ${LOCAL_DNS}, UDP and TCP: ${counted(outcomes)} answered`,
  );
}

/** Foreign packets, then an honest one on the same way: when it has arrived, they would have. */
async function proveSpoof({ client, pods }: Stations, report: Report): Promise<void> {
  await inside(client.station.namespace, `ip address add ${FOREIGN}/32 dev lo`);
  for (const [where, { station, addresses }] of pods) {
    const [nonce, to] = [newNonce(), addresses.v4 ?? ""];
    const foreign = { ...SMALL, to, source: FOREIGN, tries: SPOOFED_PACKETS, everyMs: 5 };
    await client.station.sendMarked(nonce, foreign);
    const honest = await client.station.exchange("udp", { ...SMALL, to });
    const arrived = await station.heard(nonce);
    report.check(
      isAnswer(honest) && arrived.length === 0,
      `spoofed source, to a pod ${where}: ${arrived.length}/${SPOOFED_PACKETS} arrived, the pod's own did`,
    );
  }
}

function isAnswer({ kind }: Outcome): boolean {
  return kind === "answered";
}

function counted(outcomes: readonly Outcome[]): string {
  return `${outcomes.filter(isAnswer).length}/${outcomes.length}`;
}

/** What is not there needs no removal. */
function withoutAddress(address: string): string {
  return `ip address del ${address}/32 dev lo; true`;
}

async function inside(namespace: string, script: string): Promise<void> {
  await must("nsenter", [`--net=/run/netns/${namespace}`, "sh", "-c", script]);
}
