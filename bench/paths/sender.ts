/**
 * What a path between two namespaces costs, measured by a small C program (`packets/packets.c`): processor time of the one
 * thread that sends, in whose context the kernel carries a packet all the way. Other processes of the machine do not count.
 *
 * @module
 */
import { join } from "node:path";
import { must } from "../../test/harness/process.ts";
import { compiled } from "../compile.ts";

const SOURCE = join(import.meta.dirname, "../packets/packets.c");
const TIMEOUT_MS = 60_000;

/** Packets that may be lost of a thousand before a measurement is none. */
const LOST_PER_MILLE_MAX = 5;

/** udp: packets of 64 bytes in one direction; echo: round trips of 1 byte over TCP; stream: MB over TCP. */
export type Traffic = "udp" | "echo" | "stream";

export type Sending = {
  readonly traffic: Traffic;
  /** Paths of namespaces. */
  readonly from: string;
  readonly to: string;
  /** Of the receiver. */
  readonly address: string;
  /** Packets, round trips or MB. */
  readonly count: number;
};

/** Nanoseconds of processor time for one packet, round trip or MB. Throws where packets were lost. */
export type Sender = (sending: Sending) => Promise<number>;

/** Compiles the program, if that was not done before. Throws where no C compiler is there. */
export async function openSender(): Promise<Sender> {
  // Not musl's: it lacks the kernel's headers.
  const path = await compiled(SOURCE, ["cc"]);
  return async ({ traffic, from, to, address, count }) => {
    const stdout = await must(path, [traffic, from, to, address, `${count}`], { timeoutMs: TIMEOUT_MS });
    const { units, cpuNs } = parseReport(stdout);
    if (units < count - (count * LOST_PER_MILLE_MAX) / 1000)
      throw new Error(`${units} of ${count} packets from ${from} arrived at ${address}`);
    return cpuNs / units;
  };
}

function parseReport(text: string): { readonly units: number; readonly cpuNs: number } {
  const [, units, cpuNs] = /^\{"units":(\d+),"cpuNs":(\d+),/.exec(text) ?? [];
  if (units === undefined || cpuNs === undefined) throw new Error(`packets printed ${text}`);
  return { units: Number(units), cpuNs: Number(cpuNs) };
}
