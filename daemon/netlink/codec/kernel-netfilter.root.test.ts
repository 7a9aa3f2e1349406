/**
 * The kernel takes our set elements and our requests to connection tracking as they were meant: in a namespace of their
 * own, beside what nft(8) lists and conntrack(8) made.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { v4 } from "../../../test/captures/literals.ts";
import { acks, makeNamespace, type Namespace, succeed } from "../../../test/captures/namespace.ts";
import { NETLINK, type RawSocket } from "../../../test/captures/raw-socket.ts";
import {
  connectionsOf,
  decodeConntrack,
  deleteConntrack,
  deleteConntrackMatching,
  dumpConntrack,
} from "./conntrack.ts";
import { errnoName } from "./error.ts";
import { NLMSG } from "./header.ts";
import {
  addElements,
  decodeSetElements,
  deleteElements,
  dumpElements,
  flushElements,
  NFT_ELEMENT,
  NFT_SET_ELEM,
  nftBatch,
  type SetElement,
  type SetTarget,
} from "./nft-element.ts";

let host: Namespace;
let netfilter: RawSocket;

beforeAll(() => {
  host = makeNamespace("codec-n");
  netfilter = host.socket(NETLINK.NETFILTER);
});

afterAll(() => {
  host.remove();
});

describe("set elements", () => {
  it("are what nft(8) lists", () => {
    host.run(
      "nft 'add table ip t; add chain ip t c; add map ip t marks { type ipv4_addr : mark; };" +
        "add map ip t verdicts { type ipv4_addr . mark : verdict; };" +
        "add set ip t ports { type ifname . inet_service; }'",
    );
    const changes = [
      ...addElements(target("marks"), marks([1, 3])),
      ...addElements(target("verdicts"), [
        {
          key: [
            { kind: "ip", ip: v4("10.0.0.1") },
            { kind: "mark", mark: 5 },
          ],
          data: { kind: "verdict", verdict: "goto", chain: "c" },
        },
      ]),
      ...addElements(target("ports"), [
        {
          key: [
            { kind: "ifname", name: "eth0" },
            { kind: "port", port: 443 },
          ],
        },
      ]),
    ];
    succeed(netfilter, nftBatch(changes), "as-is");
    const listed = host.run("nft list ruleset").replaceAll(/\s+/g, " ");
    expect(listed).toContain("elements = { 10.0.0.1 : 0x00000001, 10.0.0.2 : 0x00000002 }");
    expect(listed).toContain("elements = { 10.0.0.1 . 0x00000005 : goto c }");
    expect(listed).toContain('elements = { "eth0" . 443 }');
  });

  it("are many in one batch, listed whole and taken away", () => {
    const list = marks([0, 4000]);
    succeed(
      netfilter,
      nftBatch([flushElements(target("marks")), ...addElements(target("marks"), list)]),
      "as-is",
    );
    const elements = listElements("marks");
    expect(elements.length).toBe(4000);
    expect(new Set(elements.map((element) => JSON.stringify(element)))).toEqual(
      new Set(list.map((element) => JSON.stringify(element))),
    );
    succeed(netfilter, nftBatch(deleteElements(target("marks"), list)), "as-is");
    expect(listElements("marks")).toEqual([]);
  });

  it("have one for all other keys, where the map has a catch-all", () => {
    const rest: SetElement = { key: [], flags: NFT_SET_ELEM.CATCHALL, data: { kind: "mark", mark: 9 } };
    succeed(netfilter, nftBatch(addElements(target("marks"), [rest])), "as-is");
    expect(host.run("nft list map ip t marks")).toContain("* : 0x00000009");
    expect(listElements("marks")).toEqual([rest]);
    succeed(netfilter, nftBatch(deleteElements(target("marks"), [rest])), "as-is");
  });

  it("change all or none: one error means that nothing was done", () => {
    const refused = acks(
      netfilter,
      nftBatch([
        ...addElements(target("marks"), marks([1, 2])),
        ...deleteElements(target("marks"), marks([7, 8])),
      ]),
      "as-is",
    );
    expect(refused.map(({ errno }) => errnoName(errno))).toContain("ENOENT");
    expect(listElements("marks")).toEqual([]);
  });
});

describe("connection tracking", () => {
  const ip = v4("10.0.0.1");

  it("forgets the connections of one address and no others", () => {
    host.run(
      "nft 'add chain ip t p { type filter hook prerouting priority 0; }; add rule ip t p ct state new accept'",
    );
    host.run(
      [
        insert("10.0.0.1", "10.0.0.2", 1001),
        insert("10.0.0.3", "10.0.0.1", 1002),
        insert("10.0.0.3", "10.0.0.4", 1003),
        insert("10.0.0.10", "10.0.0.11", 1004),
      ].join(";"),
    );
    expect(sources()).toEqual(["10.0.0.10:1004", "10.0.0.1:1001", "10.0.0.3:1002", "10.0.0.3:1003"]);
    succeed(netfilter, connectionsOf(ip).map(deleteConntrackMatching));
    expect(sources()).toEqual(["10.0.0.10:1004", "10.0.0.3:1003"]);
  });

  it("dumps by filter and forgets one connection by its tuple and id", () => {
    const [entry, ...others] = netfilter
      .exchange([dumpConntrack({ tuple: "orig", side: "dst", ip: v4("10.0.0.11") })], "as-is")
      .filter(({ type }) => type !== NLMSG.DONE)
      .map(({ payload }) => decodeConntrack(payload));
    expect(others).toEqual([]);
    if (entry === undefined) throw new Error("no connection");
    const another = { ...entry, id: ((entry.id ?? 0) + 1) % 2 ** 32 };
    expect(acks(netfilter, [deleteConntrack(another)]).map(({ errno }) => errnoName(errno))).toEqual([
      "ENOENT",
    ]);
    succeed(netfilter, [deleteConntrack(entry)]);
    expect(sources()).toEqual(["10.0.0.3:1003"]);
  });
});

function target(set: string): SetTarget {
  return { family: 2, table: "t", set };
}

/** The addresses number `from` to `to` - 1, each with its number for a mark. */
function marks([from, to]: readonly [number, number]): SetElement[] {
  return Array.from({ length: to - from }, (_, index) => ({
    key: [{ kind: "ip", ip: v4(`10.0.${(from + index) >> 8}.${(from + index) & 255}`) }],
    data: { kind: "mark", mark: from + index },
  }));
}

function listElements(set: string): SetElement[] {
  return netfilter
    .exchange([dumpElements(target(set))], "as-is")
    .filter(({ type }) => type === NFT_ELEMENT.NEW)
    .flatMap(({ payload }) => decodeSetElements(payload, { key: ["ip"], data: "mark" }).elements);
}

function insert(from: string, to: string, port: number): string {
  return `conntrack -I -s ${from} -d ${to} -p udp --sport ${port} --dport 53 -t 600 >/dev/null 2>&1`;
}

/** Source and source port of all connections. */
function sources(): readonly string[] {
  return netfilter
    .exchange([dumpConntrack()], "as-is")
    .filter(({ type }) => type !== NLMSG.DONE)
    .map(({ payload }) => decodeConntrack(payload))
    .map(({ orig }) => `${orig?.ip?.src}:${orig?.proto?.srcPort}`)
    .toSorted();
}
