/**
 * The kernel takes what we write as it was meant: our requests in namespaces of their own, beside what ip(8) and bridge(8)
 * then show, and what our dumps decode to.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hw, v4, v6 } from "../../../test/captures/literals.ts";
import { acks, answers, makeNamespace, type Namespace, succeed } from "../../../test/captures/namespace.ts";
import { NETLINK, type RawSocket } from "../../../test/captures/raw-socket.ts";
import { addAddress, deleteAddress } from "./address.ts";
import { dumpAddresses, dumpForwarding, dumpLinks, dumpNeighbours, dumpRoutes, dumpRules } from "./dump.ts";
import { errnoName } from "./error.ts";
import { hostPrefix } from "./ip.ts";
import { createLink, deleteLink, deleteLinkGroup, getLink, setLink } from "./link.ts";
import { IFF } from "./link-base.ts";
import { deleteNeighbour, setForwarding, setNeighbour } from "./neighbour.ts";
import { assignNsid, getNsid } from "./nsid.ts";
import { addRoute, deleteRoute, lookupRoute, RTN, RTNH_F } from "./route.ts";
import { addRule, deleteRule, FIB_RULE } from "./rule.ts";

const TABLE = 1000;
const UP = { flags: IFF.UP, change: IFF.UP };

let host: Namespace;
let pod: Namespace;
let route: RawSocket;
let podRoute: RawSocket;

beforeAll(() => {
  host = makeNamespace("codec-h");
  pod = makeNamespace("codec-p");
  route = host.socket(NETLINK.ROUTE);
  podRoute = pod.socket(NETLINK.ROUTE);
});

afterAll(() => {
  host.remove();
  pod.remove();
});

describe("a pod's network", () => {
  it("is made in two sends, with links born where they belong", () => {
    const fd = openSync(pod.path, "r");
    succeed(route, [
      setLink({ index: 1, ...UP }),
      createLink({
        name: "v0",
        index: 10,
        address: hw("02:00:00:00:00:0a"),
        mtu: 1400,
        group: 77,
        ...UP,
        info: {
          kind: "veth",
          options: {
            peer: { name: "eth0", index: 100, address: hw("02:00:00:00:00:0b"), mtu: 1400, netNsFd: fd },
          },
        },
      }),
      setLink({
        index: 10,
        alias: "pod-a",
        afSpec: { inet: { conf: { forwarding: 1, proxyArp: 1, rpFilter: 2, arpAnnounce: 1 } } },
      }),
      addRoute({ dst: hostPrefix(v4("10.0.0.1")), oif: 10, protocol: 77 }),
      addRule({ src: hostPrefix(v4("10.0.0.1")), table: TABLE, priority: 2048, protocol: 77 }),
      addRule({
        fwmark: 0x10,
        fwmask: 0xf0,
        iifName: "v0",
        table: TABLE,
        priority: 512,
        protocol: 77,
        suppressPrefixLength: 0,
      }),
    ]);
    closeSync(fd);
    succeed(podRoute, [
      setLink({ index: 1, ...UP }),
      setLink({ index: 100, ...UP }),
      addAddress({ index: 100, local: v4("10.0.0.1"), prefixLength: 32 }),
      addRoute({ dst: hostPrefix(v4("169.254.1.1")), oif: 100, protocol: 77 }),
      addRoute({ gateway: v4("169.254.1.1"), oif: 100, protocol: 77, metrics: { mtu: 1300 } }),
      setNeighbour({ index: 100, dst: v4("169.254.1.1"), lladdr: hw("02:00:00:00:00:0a") }),
    ]);
  });

  it("is what ip(8) shows on the host", () => {
    expect(host.json("ip -j -d link show v0")).toMatchObject([
      {
        ifindex: 10,
        ifname: "v0",
        address: "02:00:00:00:00:0a",
        mtu: 1400,
        group: "77",
        ifalias: "pod-a",
        flags: expect.arrayContaining(["UP", "LOWER_UP"]),
        linkinfo: { info_kind: "veth" },
        link_index: 100,
      },
    ]);
    const conf = ["forwarding", "proxy_arp", "rp_filter", "arp_announce", "arp_ignore"];
    const shown = host.run(`cd /proc/sys/net/ipv4/conf/v0; cat ${conf.join(" ")}`);
    expect(shown.trim().split("\n")).toEqual(["1", "1", "2", "1", "0"]);
    expect(host.json("ip -j -d route show dev v0")).toEqual([
      { type: "unicast", dst: "10.0.0.1", scope: "link", protocol: "77", flags: [] },
    ]);
    expect(host.json("ip -j rule show table 1000")).toEqual([
      {
        priority: 512,
        src: "all",
        fwmark: "0x10",
        fwmask: "0xf0",
        iif: "v0",
        table: "1000",
        suppress_prefixlen: 0,
        protocol: "77",
      },
      { priority: 2048, src: "10.0.0.1", table: "1000", protocol: "77" },
    ]);
  });

  it("is what ip(8) shows in the pod", () => {
    expect(pod.json("ip -j -4 address show dev eth0")).toMatchObject([
      { ifindex: 100, mtu: 1400, addr_info: [{ local: "10.0.0.1", prefixlen: 32, scope: "global" }] },
    ]);
    expect(pod.json("ip -j route show")).toMatchObject([
      { dst: "default", gateway: "169.254.1.1", dev: "eth0", protocol: "77", metrics: [{ mtu: 1300 }] },
      { dst: "169.254.1.1", dev: "eth0", protocol: "77", scope: "link" },
    ]);
    expect(pod.json("ip -j neighbour show")).toMatchObject([
      { dst: "169.254.1.1", dev: "eth0", lladdr: "02:00:00:00:00:0a", state: ["PERMANENT"] },
    ]);
  });

  it("is what our dumps decode to, filtered by the kernel", () => {
    expect(answers(route, [dumpLinks({ kind: "veth" })])).toMatchObject([
      {
        kind: "link",
        link: {
          index: 10,
          afSpec: {
            inet: { conf: { forwarding: 1, proxyArp: 1, rpFilter: 2, arpAnnounce: 1, arpIgnore: 0 } },
          },
        },
      },
      { kind: "done", done: { errno: 0 } },
    ]);
    expect(answers(podRoute, [dumpAddresses({ index: 100 })])).toMatchObject([
      { kind: "address", address: { local: v4("10.0.0.1"), prefixLength: 32, index: 100 } },
      { kind: "done" },
    ]);
    const rules = answers(route, [dumpRules()]).filter(({ kind }) => kind === "rule");
    expect(rules).toMatchObject([
      { rule: { table: 255 } },
      { rule: { priority: 512, fwmark: 0x10, fwmask: 0xf0, iifName: "v0", suppressPrefixLength: 0 } },
      { rule: { priority: 2048, src: hostPrefix(v4("10.0.0.1")), table: TABLE, suppressPrefixLength: -1 } },
      { rule: { table: 254 } },
      { rule: { table: 253 } },
    ]);
    expect(answers(podRoute, [dumpNeighbours({ index: 100 })])).toMatchObject([
      { kind: "neighbour", neighbour: { dst: v4("169.254.1.1") } },
      { kind: "done" },
    ]);
    expect(answers(route, [lookupRoute({ dst: v4("10.0.0.1") })], "each")).toMatchObject([
      { kind: "route", route: { dst: hostPrefix(v4("10.0.0.1")), oif: 10 } },
      { kind: "ack", ack: { errno: 0 } },
    ]);
  });

  it("can be read by the id of its namespace, without entering it", () => {
    const fd = openSync(pod.path, "r");
    const [answer] = answers(route, [getNsid(fd)], "each");
    // The veth's birth across namespaces has given it an id.
    const nsid = answer?.kind === "nsid" ? (answer.nsid.nsid ?? -1) : -1;
    expect(nsid).toBeGreaterThanOrEqual(0);
    expect(acks(route, [assignNsid(fd)]).map(({ errno }) => errnoName(errno))).toEqual(["EEXIST"]);
    expect(answers(route, [getLink({ index: 100 }, nsid)], "each")).toMatchObject([
      {
        kind: "link",
        link: { name: "eth0", address: hw("02:00:00:00:00:0b"), linkNetnsId: expect.any(Number) },
      },
      { kind: "ack", ack: { errno: 0 } },
    ]);
    closeSync(fd);
  });
});

describe("routes of all sorts", () => {
  it("are taken, shown by ip(8), decoded alike and deleted", () => {
    const routes = [
      { gateway: v4("10.9.0.1"), oif: 10, flags: RTNH_F.ONLINK },
      { dst: { ip: v4("10.4.0.0"), bits: 16 }, type: RTN.BLACKHOLE },
      { dst: { ip: v4("10.5.0.0"), bits: 16 }, via: { family: 10, address: v6("fe80::1") }, oif: 10 },
      {
        dst: { ip: v4("10.6.0.0"), bits: 16 },
        multipath: [
          { gateway: v4("10.9.0.1"), oif: 10, weight: 3, flags: RTNH_F.ONLINK },
          { oif: 10, weight: 1, flags: 0 },
        ],
      },
    ].map((fields) => ({ ...fields, table: TABLE, protocol: 77 }));
    succeed(
      route,
      routes.map((fields) => addRoute(fields)),
    );
    expect(host.json(`ip -j route show table ${TABLE}`)).toMatchObject([
      { dst: "default", gateway: "10.9.0.1", dev: "v0", flags: ["onlink"] },
      { type: "blackhole", dst: "10.4.0.0/16" },
      { dst: "10.5.0.0/16", via: { family: "inet6", host: "fe80::1" }, dev: "v0" },
      {
        dst: "10.6.0.0/16",
        nexthops: [
          { gateway: "10.9.0.1", weight: 3 },
          { dev: "v0", weight: 1 },
        ],
      },
    ]);
    const dumped = answers(route, [dumpRoutes({ table: TABLE })]).filter(({ kind }) => kind === "route");
    expect(dumped).toMatchObject(routes.map((fields) => ({ route: fields })));
    expect(acks(route, [addRoute({ ...routes[1], protocol: 77 })])).toMatchObject([{ errno: 17 }]);
    succeed(
      route,
      routes.map((fields) => deleteRoute(fields)),
    );
    expect(answers(route, [dumpRoutes({ table: TABLE })])).toEqual([{ kind: "done", done: { errno: 0 } }]);
  });
});

describe("a rule turned round", () => {
  it("is shown as one, and deleted by what tells it", () => {
    const rule = {
      src: hostPrefix(v4("10.0.0.3")),
      table: TABLE,
      priority: 700,
      protocol: 77,
      flags: FIB_RULE.INVERT,
    };
    succeed(route, [addRule(rule)]);
    expect(host.json("ip -j rule show priority 700")).toEqual([
      { priority: 700, not: null, src: "10.0.0.3", table: "1000", protocol: "77" },
    ]);
    succeed(route, [deleteRule(rule)]);
    expect(host.json("ip -j rule show priority 700")).toEqual([]);
  });
});

describe("a vxlan", () => {
  it("has its options, remotes and neighbours", () => {
    const lladdr = hw("02:00:00:00:00:77");
    succeed(route, [
      createLink({
        name: "vx",
        index: 12,
        ...UP,
        info: { kind: "vxlan", options: { id: 1, port: 8472, local: v4("10.0.0.1"), learning: 0 } },
      }),
      setForwarding({ index: 12, lladdr, dst: v4("10.0.0.77") }),
      setNeighbour({ index: 12, dst: v4("10.7.0.0"), lladdr }),
    ]);
    expect(host.json("ip -j -d link show vx")).toMatchObject([
      {
        linkinfo: {
          info_kind: "vxlan",
          info_data: { id: 1, port: 8472, local: "10.0.0.1", learning: false },
        },
      },
    ]);
    expect(host.json("bridge -j fdb show dev vx")).toMatchObject([
      { mac: "02:00:00:00:00:77", dst: "10.0.0.77", flags: ["self"], state: "permanent" },
    ]);
    expect(answers(route, [dumpForwarding({ index: 12 })])).toMatchObject([
      { kind: "neighbour", neighbour: { family: 7, lladdr, dst: v4("10.0.0.77") } },
      { kind: "done" },
    ]);
    succeed(route, [
      deleteNeighbour({ family: 7, index: 12, lladdr, dst: v4("10.0.0.77"), flags: 2 }),
      deleteNeighbour({ index: 12, dst: v4("10.7.0.0") }),
    ]);
    expect(host.json("bridge -j fdb show dev vx")).toEqual([]);
  });
});

describe("a macvlan and a bridge", () => {
  it("are made, and a port put into it", () => {
    succeed(route, [
      createLink({ name: "mv", index: 13, link: 10, info: { kind: "macvlan", options: { mode: 4 } } }),
      createLink({ name: "br", index: 14, info: { kind: "bridge", options: { ageingTime: 1000 } } }),
      setLink({ index: 12, master: 14 }),
    ]);
    expect(host.json("ip -j -d link show mv")).toMatchObject([
      { link: "v0", linkinfo: { info_kind: "macvlan", info_data: { mode: "bridge" } } },
    ]);
    expect(host.json("ip -j -d link show br")).toMatchObject([
      { linkinfo: { info_kind: "bridge", info_data: { ageing_time: 1000 } } },
    ]);
    const ports = answers(route, [dumpLinks({ master: 14 })]).filter(({ kind }) => kind === "link");
    expect(ports).toMatchObject([{ link: { name: "vx", master: 14, info: { portKind: "bridge" } } }]);
    succeed(route, [deleteLink({ name: "br" }), deleteLink({ index: 13 })]);
  });
});

describe("refusals", () => {
  it("come with a name, and mostly with words", () => {
    expect(acks(route, [setLink({ index: 10, mtu: 1_000_000 })])).toMatchObject([
      { errno: 22, message: "mtu greater than device maximum" },
    ]);
    expect(acks(route, [createLink({ name: "v0", info: { kind: "veth" } })])).toMatchObject([{ errno: 17 }]);
    expect(acks(route, [addRoute({ gateway: v4("192.0.2.1"), oif: 10, protocol: 77 })])).toMatchObject([
      { errno: 101, message: "Nexthop has invalid gateway" },
    ]);
    expect(acks(route, [deleteRule({ priority: 9999 })]).map(({ errno }) => errnoName(errno))).toEqual([
      "ENOENT",
    ]);
    expect(
      acks(route, [deleteAddress({ index: 10, local: v4("10.0.0.250"), prefixLength: 32 })]),
    ).toMatchObject([{ errno: 99 }]);
  });

  it("do not stop a batch, and come even where no answer was asked for", () => {
    const group = { index: 10, group: 78 };
    const wrong = setLink({ index: 999, mtu: 1400 });
    const result = acks(route, [wrong, setLink(group), setLink(group)], "last");
    expect(result.map(({ errno }) => errno)).toEqual([19, 0]);
    expect(host.json("ip -j link show v0")).toMatchObject([{ group: "78" }]);
  });
});

describe("deleteLinkGroup()", () => {
  it("takes all links of a group and no others", () => {
    succeed(
      route,
      [20, 22, 24].map((index) =>
        createLink({
          name: `g${index}`,
          index,
          group: 99,
          info: { kind: "veth", options: { peer: { name: `g${index}p`, index: index + 1 } } },
        }),
      ),
    );
    succeed(route, [deleteLinkGroup(99)]);
    const names = answers(route, [dumpLinks()]).flatMap((answer) =>
      answer.kind === "link" ? [answer.link.name] : [],
    );
    expect(names).toEqual(["lo", "v0", "vx"]);
    expect(acks(route, [deleteLinkGroup(99)]).map(({ errno }) => errnoName(errno))).toEqual(["ENODEV"]);
  });
});
