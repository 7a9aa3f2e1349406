/**
 * A port of a node's own address that the node translates to a pod (NodePort, host port): questions from everywhere reach the
 * pod, and its answers come back to whoever asked, on every datapath and family.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { parseIp } from "../../proto/addr6.ts";
import { must, until } from "../harness/process.ts";
import { type Bed, type Family, familiesOf, type Place, PORT } from "./bed.ts";
import { openHybridBed } from "./hybrid-bed.ts";
import { newNonce } from "./station.ts";
import { openVpcBed } from "./vpc-bed.ts";

/** The agent looks every 5 s whether somebody translates. */
const NOTICED_MS = 20_000;

const BEDS: readonly (readonly [name: string, open: (name: string) => Promise<Bed>])[] = [
  ["veth", (name) => openVpcBed(name, "veth", "dual")],
  ["overlay", (name) => openHybridBed(name, "overlay", "dual")],
  ["underlay", (name) => openHybridBed(name, "underlay", "dual")],
];

/** Kubernetes asks for it on every node; IPv6 by device where the kernel can, for the whole node where it cannot. */
async function forward({ station: { namespace } }: Place): Promise<void> {
  const net = "/proc/sys/net";
  const script = `echo 1 >${net}/ipv4/ip_forward
    for each in ${net}/ipv6/conf/*/force_forwarding; do [ ! -e $each ] || echo 1 >$each; done
    [ -e ${net}/ipv6/conf/all/force_forwarding ] || echo 1 >${net}/ipv6/conf/all/forwarding`;
  await must("nsenter", [`--net=/run/netns/${namespace}`, "sh", "-c", script]);
}

/** What became of datagrams to the node's address: whether an answer came back, and whom the pod saw. */
async function asked(client: Place, to: string, pod: Place): Promise<{ kind: string; seenAs: string }> {
  const nonce = newNonce();
  const exchange = { to, port: PORT, bytes: 600, replyBytes: 600, tries: 4, everyMs: 250 };
  const { kind } = await client.station.sendMarked(nonce, exchange);
  const [heard] = await pod.station.heard(nonce);
  return { kind, seenAs: heard?.from ?? "nobody" };
}

/**
 * Clients, and whom the pod may see: a tunnel's end puts the address of its node for a pod's on the way to a node. A pod that
 * asks itself sees any address of the node.
 */
function clientsOf({ pods, nodes }: Bed): readonly (readonly [client: Place, seenAs: readonly Place[]])[] {
  return [
    [nodes.otherNode, [nodes.otherNode]],
    [nodes.otherSubnet, [nodes.otherSubnet]],
    [nodes.here, [nodes.here]],
    [pods.sameNode, [pods.sameNode]],
    [pods.otherNode, [pods.otherNode, nodes.otherNode]],
    [pods.otherSubnet, [pods.otherSubnet, nodes.otherSubnet]],
    [pods.here, []],
  ];
}

async function wrongOf(bed: Bed, family: Family): Promise<readonly string[]> {
  const { pods, nodes } = bed;
  const [to = "", endpoint = ""] = [nodes.here.addresses[family], pods.here.addresses[family]];
  await bed.addService(to, endpoint);
  await until(
    `${nodes.otherNode.name} is answered by ${to}`,
    async () => (await asked(nodes.otherNode, to, pods.here)).kind === "answered",
    NOTICED_MS,
  );
  const wrong: string[] = [];
  for (const [client, places] of clientsOf(bed)) {
    const { kind, seenAs } = await asked(client, to, pods.here);
    const right = places.map(({ addresses }) => parseIp(addresses[family] ?? ""));
    const isRight = places.length === 0 ? seenAs !== endpoint : right.includes(parseIp(seenAs));
    if (kind !== "answered" || !isRight) wrong.push(`${client.name} to ${to}: ${kind}, seen as ${seenAs}`);
  }
  return wrong;
}

describe("a port of the node", () => {
  for (const [datapath, open] of BEDS)
    it(`reaches the pod from everywhere, and its answers come back: ${datapath}`, async () => {
      const bed = await open(`tw${process.pid}np${datapath.charAt(0)}`);
      const wrong: string[] = [];
      try {
        await forward(bed.nodes.here);
        for (const family of familiesOf(bed.stack)) wrong.push(...(await wrongOf(bed, family)));
      } finally {
        expect(await bed.close()).toEqual([]);
      }
      expect(wrong).toEqual([]);
    });
});
