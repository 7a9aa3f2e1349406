/**
 * What a sniffer is told to look at: one JSON argument of its process.
 *
 * @module
 */
import * as z from "zod";

/** Taps of devices in the namespace that the process is in. */
export const sniffSchema = z.strictObject({
  taps: z.array(
    z.strictObject({
      /** Interface index. */
      ifIndex: z.number().int(),
      /** Packets that come in by the device, or that go out by it. */
      direction: z.enum(["in", "out"]),
      /** Begins each line. */
      label: z.string(),
    }),
  ),
  /** UDP packets from or to this port only. */
  udpPort: z.number().int().optional(),
});

/** See `sniffSchema`. */
export type SniffWanted = z.infer<typeof sniffSchema>;

/** The line that says that there was nothing to read for a while. */
export const IDLE_LINE = ".";
