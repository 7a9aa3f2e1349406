/**
 * What is said between a test and a station (main.ts).
 *
 * @module
 */

/** One exchange: a request of `bytes` and an answer of `replyBytes`, both at least as long as their first line. */
export type Exchange = {
  readonly to: string;
  readonly port: number;
  readonly bytes: number;
  readonly replyBytes: number;
  /** UDP: datagrams sent at most, `everyMs` apart; a stream has the same time in all. */
  readonly tries: number;
  readonly everyMs: number;
  /** Address that is sent from; the kernel's choice where absent. */
  readonly source?: string;
};

export type Outcome =
  | {
      readonly kind: "answered";
      /** The sender's address as the peer saw it. */
      readonly seenAs: string;
      /** Bytes that the peer got. */
      readonly got: number;
    }
  | { readonly kind: "silent" }
  /** The kernel said no: unreachable, too long. */
  | { readonly kind: "refused"; readonly why: string };

/** A datagram that a station got. */
export type Heard = { readonly nonce: string; readonly from: string; readonly bytes: number };

export type Ask =
  | { readonly op: "listen"; readonly address: string; readonly port: number }
  | { readonly op: "udp" | "tcp"; readonly exchange: Exchange; readonly nonce: string }
  | { readonly op: "heard"; readonly nonce: string };

export type Request = { readonly id: number; readonly ask: Ask };
