/**
 * Limits of bandwidth as a lease keeps them: `"ingress 10000000 0"`, `"ingress 10000000 0, egress 20000000 1000"`; bits a
 * second and bytes of burst.
 *
 * @module
 */
import { type Bandwidth } from "../kernel.ts";

/** `undefined`: no limit, so nothing to keep. */
export function encodeBandwidth(bandwidth: Bandwidth | undefined): string | undefined {
  const parts = (["ingress", "egress"] as const).flatMap((direction) => {
    const rate = bandwidth?.[direction];
    return rate === undefined ? [] : [`${direction} ${rate.bitsPerSecond} ${rate.burstBytes}`];
  });
  return parts.length === 0 ? undefined : parts.join(", ");
}

const PART = /^(ingress|egress) (\d{1,16}) (\d{1,16})$/;

/** The inverse of `encodeBandwidth`; `undefined` for any other text. */
export function decodeBandwidth(text: string): Bandwidth | undefined {
  const entries = text.split(", ").map((part) => {
    const [, direction, bits, burst] = PART.exec(part) ?? [];
    return direction === undefined
      ? undefined
      : ([direction, { bitsPerSecond: Number(bits), burstBytes: Number(burst) }] as const);
  });
  return entries.includes(undefined)
    ? undefined
    : Object.fromEntries(entries.filter((entry) => entry !== undefined));
}
