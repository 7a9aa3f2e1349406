/**
 * From a limit of bandwidth to a token bucket of the kernel (sch_tbf, tc-tbf(8)).
 *
 * Tokens are bytes. They come in at the rate and are kept up to the burst; a packet leaves when there are as many tokens as
 * it has bytes, and waits for them in a queue of so many bytes. So the rate holds in the long run, and after a pause the
 * burst goes at once.
 *
 * Bytes are counted as they are on the link: with the Ethernet header, without the frame check sequence.
 *
 * @module
 */
import { type Rate } from "../kernel.ts";

/** What `setTbf` of `daemon/netlink/codec/tc-qdisc.ts` sends. */
export type TokenBucket = {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  /** Bytes that may wait. */
  readonly limitBytes: number;
  /** The time that the burst takes at the rate, in ticks of 64 ns (PSCHED_SHIFT of <net/pkt_sched.h>). */
  readonly bufferTicks: number;
};

/** ETH_HLEN, bytes. */
const ETHERNET_HEADER_BYTES = 14;
/** How long a packet may wait where the sender is always faster than the limit: long enough for TCP, short for the rest. */
const LATENCY_MS = 25;
/** TCP needs some packets on the way, also where the rate is so low that they wait longer. */
const QUEUE_PACKETS = 10;
/** What comes in while the kernel's timer is late must find room: at least two packets, and what 10 ms are worth. */
const [BURST_MS, BURST_PACKETS] = [10, 2];
/** 64 KiB (GSO_LEGACY_MAX_SIZE) and the headers that the kernel counts for each packet that will be made of it. */
const LARGEST_BYTES = 80_000;
const TICK_NS = 64;
const U32_MAX = 0xffffffff;

/**
 * The bucket that holds `rate` on a link of that MTU:
 *
 *     rate   = bits a second / 8
 *     burst  = what was asked for, at least two packets; not asked for (0): what 10 ms are worth
 *     buffer = burst / rate, in ticks of 64 ns, of which the kernel shows 32 bits (275 s): a longer burst is cut to it
 *     limit  = what 25 ms are worth, and the burst up to the largest packet of TCP; at least ten packets
 *
 * A packet is the MTU and an Ethernet header. A sender hands over up to 64 KiB as one packet; the kernel cuts it only where
 * it is larger than the burst, so one as large as the burst has to fit into the queue. Beyond that the limit does not grow
 * with the burst: such a queue would be emptied at the rate, so that a large burst would make every packet late.
 */
export function tokenBucket(rate: Rate, mtuBytes: number): TokenBucket {
  const bytesPerSecond = Math.floor(rate.bitsPerSecond / 8);
  const packetBytes = mtuBytes + ETHERNET_HEADER_BYTES;
  const worth = (ms: number): number => Math.ceil((bytesPerSecond * ms) / 1000);
  const asked = rate.burstBytes === 0 ? worth(BURST_MS) : rate.burstBytes;
  const longest = Math.floor((bytesPerSecond * U32_MAX * TICK_NS) / 1e9);
  const burstBytes = Math.min(Math.max(asked, BURST_PACKETS * packetBytes), longest, U32_MAX);
  const queue = worth(LATENCY_MS) + Math.min(burstBytes, LARGEST_BYTES);
  return {
    bytesPerSecond,
    burstBytes,
    limitBytes: Math.min(Math.max(queue, QUEUE_PACKETS * packetBytes), U32_MAX),
    bufferTicks: Math.floor((burstBytes * 1e9) / bytesPerSecond / TICK_NS),
  };
}

/**
 * Whether the kernel has this bucket. It computes the buffer from the burst itself, in fixed point, so that may differ by
 * its last digit; the burst is not in its answers.
 */
export function isSameBucket(wanted: TokenBucket, found: Omit<TokenBucket, "burstBytes">): boolean {
  return (
    wanted.bytesPerSecond === found.bytesPerSecond &&
    wanted.limitBytes === found.limitBytes &&
    Math.abs(wanted.bufferTicks - found.bufferTicks) <= 1 + wanted.bufferTicks / 2 ** 30
  );
}

/** As tc(8) would say it: `"rate 10000000bit burst 12500b limit 43750b"`. */
export function bucketText({ bytesPerSecond, burstBytes, limitBytes }: TokenBucket): string {
  return `rate ${bytesPerSecond * 8}bit burst ${burstBytes}b limit ${limitBytes}b`;
}
