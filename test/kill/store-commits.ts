/**
 * What is committed to the database whose power fails: by the program that does it, and by the test that looks for it.
 *
 * @module
 */
import { type Boot } from "../../daemon/store/migrate.ts";
import { type LeaseRow } from "../../daemon/store/schema.ts";

/** `pair`: an ENI and a cooldown in one transaction, both of which outlive the boot; `big`: the same, of many pages. */
export type Commit = { readonly number: number; readonly kind: "pair" | "lease" | "big" | "reopen" };

/** Forty of them are more than the 1000 pages behind which SQLite copies the log to the database. */
export const BIG_BYTES = 120_000;
const [SMALL, BIG] = [4, 40];

/** In their order. The log is copied twice: at the closing, and in between because it has become long. */
export function commits(): readonly Commit[] {
  const small = Array.from({ length: SMALL }, (_, at): Commit["kind"] => (at % 2 === 0 ? "pair" : "lease"));
  const kinds: Commit["kind"][] = [
    ...small,
    "reopen",
    ...small,
    ...Array.from({ length: BIG }, (): Commit["kind"] => "big"),
    ...small,
  ];
  return kinds.map((kind, at) => ({ number: at + 1, kind }));
}

/** The wall clock of all boots is the same. */
export function boot(number: number): Boot {
  return { bootId: `boot-${number}`, nowMs: 1_000_000, uptimeMs: 1000 };
}

export function addressOf(number: number): string {
  return `10.0.0.${number}`;
}

export function leaseOf(number: number): LeaseRow {
  return {
    network: "terway",
    containerId: `sandbox-${number}`,
    ifName: "eth0",
    address: addressOf(number),
    address6: "",
    stack: "ipv4",
    slot: 1,
    state: "done",
    hostName: "tw0",
    netns: "/run/netns/x",
    pod: "",
    hostMac: "",
    podMac: "",
  };
}
