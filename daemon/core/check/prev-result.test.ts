import { describe, expect, it } from "vitest";
import { type Answered, resultDifferences } from "./prev-result.ts";

const ANSWERED: Answered = {
  ifName: "eth0",
  hostName: "tw0",
  hostMac: "02:00:00:00:00:01",
  podMac: "02:00:00:00:00:0a",
  netns: "/run/netns/p",
  addresses: ["10.0.0.5"],
};
const HOST = { name: "tw0", mac: "02:00:00:00:00:01" };
const POD = { name: "eth0", mac: "02:00:00:00:00:0A", sandbox: "/run/netns/p" };
const IP = { address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 };

describe("resultDifferences()", () => {
  it("finds nothing in the result of ADD, whatever was added to it", () => {
    const table: readonly object[] = [
      { cniVersion: "1.1.0", interfaces: [HOST, POD], ips: [IP], dns: {} },
      { interfaces: [{ name: "tw0" }, { name: "eth0", sandbox: "/run/netns/p" }], ips: [IP] },
      { interfaces: [HOST, POD], ips: [{ version: "4", address: "10.0.0.5/32" }] },
      {
        interfaces: [HOST, POD, { name: "ifb0" }, { name: "eth1", sandbox: "/run/netns/p" }],
        ips: [{ address: "10.9.0.1/24", interface: 3 }, IP],
        routes: [{ dst: "10.8.0.0/16" }],
      },
    ];
    for (const result of table) expect(resultDifferences(result, ANSWERED)).toEqual([]);
  });

  it("wants no device on the node of an ipvlan pod, which has none of its own", () => {
    const answered = { ...ANSWERED, datapath: "ipvlan", hostName: "twv0" } as const;
    const result = { interfaces: [POD], ips: [{ ...IP, address: "10.0.0.5/24", interface: 0 }] };
    expect(resultDifferences(result, answered)).toEqual([]);
    expect(resultDifferences({ ...result, interfaces: [] }, answered)).toEqual([
      "prevResult has no interface eth0 in a sandbox",
      "prevResult has 10.0.0.5 on interface 0, which is not eth0",
    ]);
  });

  it("wants both addresses of a pair, in whatever spelling", () => {
    const answered = { ...ANSWERED, addresses: ["10.0.0.5", "fd00::5"] };
    const six = { address: "FD00:0::5/128", gateway: "fe80::1", interface: 1 };
    expect(resultDifferences({ interfaces: [HOST, POD], ips: [IP, six] }, answered)).toEqual([]);
    expect(resultDifferences({ interfaces: [HOST, POD], ips: [IP] }, answered)).toEqual([
      "prevResult has no address fd00::5",
    ]);
  });

  it("names each thing that is missing or different", () => {
    const table: readonly (readonly [unknown, readonly string[]])[] = [
      ["text", ["prevResult is not the result of an ADD: interfaces or ips are malformed"]],
      [{ ips: "no" }, ["prevResult is not the result of an ADD: interfaces or ips are malformed"]],
      [
        {},
        [
          "prevResult has no interface eth0 in a sandbox",
          "prevResult has no interface tw0 on the node",
          "prevResult has no address 10.0.0.5",
        ],
      ],
      [
        { interfaces: [HOST, { ...POD, sandbox: "/run/netns/q" }], ips: [IP] },
        ["prevResult has eth0 in /run/netns/q, it was made in /run/netns/p"],
      ],
      [
        { interfaces: [{ ...HOST, mac: "02:00:00:00:00:99" }, POD], ips: [IP] },
        ["prevResult has tw0 with the MAC 02:00:00:00:00:99, it was made with 02:00:00:00:00:01"],
      ],
      [
        { interfaces: [HOST, POD], ips: [{ ...IP, interface: 0 }] },
        ["prevResult has 10.0.0.5 on interface 0, which is not eth0"],
      ],
      [
        { interfaces: [HOST, POD], ips: [{ ...IP, address: "10.0.0.6/32" }] },
        ["prevResult has no address 10.0.0.5"],
      ],
    ];
    for (const [result, differences] of table)
      expect(resultDifferences(result, ANSWERED)).toEqual(differences);
  });
});
