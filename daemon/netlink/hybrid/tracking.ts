/**
 * Whether somebody else (kube-proxy, a firewall) has the kernel track connections. Then VXLAN has to be kept out of it;
 * where nobody has, a rule that does so would only cost.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { ok, type Result } from "../../../proto/result.ts";
import { type Client } from "../client.ts";
import { decodeConntrackCount, getConntrackCount } from "../codec/conntrack-count.ts";
import { lookAt } from "../look.ts";

/** There once nf_conntrack is loaded; to ask without it would load it. */
export const CONNTRACK_LOADED = "/proc/sys/net/netfilter/nf_conntrack_max";

export type Tracking = {
  /** True from the first time on that a connection was seen, so that an idle moment changes nothing. */
  look(client: Client): Promise<Result<boolean>>;
};

/** Nothing was seen yet. */
export function openTracking(): Tracking {
  let seen = false;
  return {
    async look(client) {
      if (seen || !existsSync(CONNTRACK_LOADED)) return ok(seen);
      const counted = await lookAt(
        client,
        "conntrack -C",
        [getConntrackCount()],
        ({ payload }) => decodeConntrackCount(payload),
        { family: "netfilter" },
      );
      if (!counted.ok) return counted;
      seen = (counted.value[0] ?? 0) > 0;
      return ok(seen);
    },
  };
}
