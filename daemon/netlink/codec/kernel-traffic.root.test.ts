/**
 * The kernel takes queueing disciplines and filters as they were meant: our requests beside what tc(8) then shows.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { v4, v6 } from "../../../test/captures/literals.ts";
import { acks, answers, makeNamespace, type Namespace, succeed } from "../../../test/captures/namespace.ts";
import { NETLINK, type RawSocket } from "../../../test/captures/raw-socket.ts";
import { errnoName } from "./error.ts";
import { createLink } from "./link.ts";
import { type Request } from "./request.ts";
import { TC_H } from "./tc.ts";
import { type Action, MIRRED, TC_ACT } from "./tc-action.ts";
import { actionBase, addFilter, deleteFilter, dumpFilters, ETH_P } from "./tc-filter.ts";
import { addClsact, deleteQdisc, dumpQdiscs, getQdisc, setTbf, tbfOf } from "./tc-qdisc.ts";

let netns: Namespace;
let route: RawSocket;

beforeAll(() => {
  netns = makeNamespace("codec-t");
  route = netns.socket(NETLINK.ROUTE);
  succeed(route, [
    createLink({
      name: "va",
      index: 10,
      info: { kind: "veth", options: { peer: { name: "vb", index: 11 } } },
    }),
  ]);
});

afterAll(() => {
  netns.remove();
});

/** The error that the one request is answered with. */
function refusal(request: Request): string | undefined {
  const [ack] = acks(route, [request]);
  return ack && errnoName(ack.errno);
}

/** The token bucket that is the root of the device, if any. */
function bucket(): unknown {
  const answer = answers(route, [getQdisc({ index: 10, parent: TC_H.ROOT })], "each")[0];
  return answer?.kind === "qdisc" ? tbfOf(answer.qdisc) : undefined;
}

const TBF = { bytesPerSecond: 1_250_000, burstBytes: 12_500, limitBytes: 62_500, bufferTicks: 156_250 };
const redirect: Action = {
  kind: "mirred",
  options: { parameters: { ...actionBase(TC_ACT.STOLEN), direction: MIRRED.INGRESS_REDIR, target: 11 } },
};

describe("setTbf()", () => {
  it("makes a token bucket, which the kernel answers for with the values we gave", () => {
    succeed(route, [setTbf(10, 0x1_0000, TBF)]);
    const { burstBytes: _, ...kept } = TBF;
    expect(bucket()).toEqual(kept);
    expect(netns.json("tc -j qdisc show dev va")).toMatchObject([
      { kind: "tbf", handle: "1:", root: true, options: { rate: 1_250_000, burst: 12_500 } },
    ]);
  });

  it("changes it in place", () => {
    const faster = { ...TBF, bytesPerSecond: 2_500_000, bufferTicks: 78_125 };
    succeed(route, [setTbf(10, 0x1_0000, faster)]);
    expect(bucket()).toMatchObject({ bytesPerSecond: 2_500_000 });
  });

  it("takes more than 4 GB/s and a burst of a minute", () => {
    const fast = { ...TBF, bytesPerSecond: 12_500_000_000, burstBytes: 125_000_000 };
    succeed(route, [setTbf(10, 0x1_0000, fast)]);
    expect(bucket()).toMatchObject({ bytesPerSecond: 12_500_000_000 });
    const long = { ...TBF, burstBytes: 75_000_000 };
    succeed(route, [setTbf(10, 0x1_0000, long)]);
    expect(bucket()).toMatchObject({ bufferTicks: 60_000_000_000 / 64 });
  });

  it("is undone by deleteQdisc(), which then says ENOENT", () => {
    succeed(route, [deleteQdisc({ index: 10, parent: TC_H.ROOT })]);
    expect(refusal(deleteQdisc({ index: 10, parent: TC_H.ROOT }))).toBe("ENOENT");
    expect(bucket()).toBeUndefined();
  });
});

describe("addFilter()", () => {
  const egress = { index: 10, parent: TC_H.CLSACT_EGRESS };
  const ip = { ...egress, priority: 7, protocol: ETH_P.IP };
  const ip6 = { ...egress, priority: 8, protocol: ETH_P.IPV6 };

  it("makes filters of both families at a clsact", () => {
    succeed(route, [
      addClsact(10),
      addFilter(ip, { ip: v4("172.16.0.0"), bits: 12 }, [redirect]),
      addFilter(ip6, { ip: v6("fd00:1:2::"), bits: 49 }, [redirect]),
    ]);
    const shown = netns.run("tc filter show dev va egress");
    expect(shown).toContain("match ac100000/fff00000 at 16");
    expect(shown).toContain("match fd000001/ffffffff at 24");
    expect(shown).toContain("match 00020000/ffff8000 at 28");
    expect(shown.match(/Ingress Redirect to device vb\) stolen/g)).toHaveLength(2);
    const protocols = answers(route, [dumpFilters(egress)]).flatMap((message) =>
      message.kind === "filter" && message.filter.kind === "u32" && message.filter.options?.selector
        ? [message.filter.protocol]
        : [],
    );
    expect(protocols).toEqual([ETH_P.IP, ETH_P.IPV6]);
  });

  it("is undone by deleteFilter(), one priority at a time", () => {
    succeed(route, [deleteFilter(ip)]);
    expect(netns.run("tc filter show dev va egress")).not.toContain("protocol ip ");
    expect(refusal(deleteFilter(ip))).toBe("ENOENT");
  });

  it("goes with the clsact", () => {
    expect(refusal(addClsact(10))).toBe("EEXIST");
    succeed(route, [deleteQdisc({ index: 10, parent: TC_H.INGRESS })]);
    const left = answers(route, [dumpQdiscs()]).flatMap((message) =>
      message.kind === "qdisc" ? [message.qdisc] : [],
    );
    expect(left.filter(({ index, kind }) => index === 10 && kind === "clsact")).toEqual([]);
    expect(refusal(deleteQdisc({ index: 10, parent: TC_H.INGRESS }))).toBe("EINVAL");
  });
});
