/**
 * What the matrix needs of a datapath: a cluster with pods in every position, made by the built programs.
 *
 * @module
 */
import { type Stack } from "./table.ts";
import { type Station } from "./station.ts";

export type Family = "v4" | "v6";

/** The families that a stack has. */
export function familiesOf(stack: Stack): readonly Family[] {
  return stack === "dual" ? ["v4", "v6"] : [stack];
}

/** A pod, a node or a host elsewhere; its station answers at each address, on `PORT`. */
export type Place = {
  /** For people. */
  readonly name: string;
  readonly station: Station;
  readonly addresses: Readonly<Partial<Record<Family, string>>>;
};

export const PORT = 7000;

export type Bed = {
  readonly stack: Stack;
  /** `here` is where most exchanges begin. */
  readonly pods: Readonly<Record<"here" | "sameNode" | "otherNode" | "otherSubnet", Place>>;
  /** A pod of the same node on another ENI, or why there can be none. */
  readonly otherEni: Place | { readonly impossible: string };
  readonly nodes: Readonly<Record<"here" | "otherNode" | "otherSubnet", Place>>;
  readonly outside: Place;
  /** Whose address the other side sees: `from` itself, or the node that puts its own there; undefined where any is right. */
  readonly seenAs: (from: Place, to: Place) => Place | undefined;
  /** Whose address an endpoint sees of a pod that asked a Service: the pod's, or its node's where the datapath needs that. */
  readonly serviceClient: "pod" | "node";
  /** Bytes, of the pod's link. */
  readonly mtu: number;
  /** A Service address on the node `here`, port `PORT` of both protocols, with one endpoint. */
  readonly addService: (address: string, endpoint: string) => Promise<void>;
  /** Packets that were dropped for their source, anywhere, since the beginning. */
  readonly spoofed: () => Promise<number>;
  /** The way from pod `here` to a place behind it becomes narrower than the pod's link, until the end. */
  readonly narrow: (mtu: number) => Promise<{ readonly to: Place }>;
  /** Ends all; one line for each thing that is left on the machine or in the cloud. */
  readonly close: () => Promise<string[]>;
};
