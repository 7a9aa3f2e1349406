import { describe, expect, it } from "vitest";
import { readPreviousResult } from "./config.ts";
import { type AddReply } from "./messages.ts";
import { renderResult, wrongReply } from "./result.ts";
import { SUPPORTED_VERSIONS } from "./version.ts";

const REPLY: AddReply = {
  interfaces: [
    { name: "cali1", mac: "00:16:3e:00:00:01", sandbox: "", mtu: 1500 },
    { name: "eth0", mac: "00:16:3e:00:00:02", sandbox: "/run/netns/pod", mtu: 1500 },
  ],
  ips: [
    { address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 },
    { address: "fd00::5/128", gateway: "", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "169.254.1.1" },
    { dst: "10.0.0.0/8", gw: "" },
  ],
};
const PLACE = { ifName: "eth0", netns: "/run/netns/pod" };

describe("renderResult()", () => {
  it("has the shape of each version", () => {
    for (const version of SUPPORTED_VERSIONS.slice(2)) {
      const old = ["0.3.0", "0.3.1", "0.4.0"].includes(version);
      const mtu = version === "1.1.0" ? { mtu: 1500 } : {};
      expect(renderResult(REPLY, version)).toStrictEqual({
        cniVersion: version,
        interfaces: [
          { name: "cali1", mac: "00:16:3e:00:00:01", ...mtu },
          { name: "eth0", mac: "00:16:3e:00:00:02", ...mtu, sandbox: "/run/netns/pod" },
        ],
        ips: [
          { ...(old && { version: "4" }), interface: 1, address: "10.0.0.5/32", gateway: "169.254.1.1" },
          { ...(old && { version: "6" }), interface: 1, address: "fd00::5/128" },
        ],
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }, { dst: "10.0.0.0/8" }],
      });
    }
  });

  it("has one address of each family before 0.3.0, with its routes", () => {
    for (const version of SUPPORTED_VERSIONS.slice(0, 2)) {
      const routes4 = [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }, { dst: "10.0.0.0/8" }];
      const ip4 = { ip: "10.0.0.5/32", gateway: "169.254.1.1", routes: routes4 };
      expect(renderResult(REPLY, version)).toStrictEqual({
        cniVersion: version,
        ip4,
        ip6: { ip: "fd00::5/128" },
      });
      const more = { address: "10.0.0.6/32", gateway: "", interface: 1 };
      const v4 = { ...REPLY, ips: [...REPLY.ips.slice(0, 1), more] };
      expect(renderResult(v4, version)).toStrictEqual({ cniVersion: version, ip4 });
      const given = { cniVersion: version, ip4: { ip: "10.1.0.1/24" }, dns: { domain: "a" } };
      const previous = readPreviousResult(given);
      if (!previous.ok) throw new Error("no previous result");
      expect(renderResult(REPLY, version, previous.value)).toStrictEqual({
        ...given,
        ip6: { ip: "fd00::5/128" },
      });
    }
  });

  it("leaves out what the agent does not say", () => {
    const bare = {
      interfaces: [{ name: "eth0", mac: "", sandbox: "/n", mtu: 0 }],
      ips: [{ address: "10.0.0.5/32", gateway: "", interface: 0 }],
      routes: [],
    };
    expect(renderResult(bare, "1.1.0")).toStrictEqual({
      cniVersion: "1.1.0",
      interfaces: [{ name: "eth0", sandbox: "/n" }],
      ips: [{ interface: 0, address: "10.0.0.5/32" }],
      routes: [],
    });
  });

  it("puts a previous result first, unchanged, and shifts our indexes", () => {
    const given = {
      cniVersion: "1.0.0",
      interfaces: [{ name: "lo", sandbox: "/run/netns/pod", extra: 1 }],
      ips: [{ interface: 0, address: "127.0.0.1/8" }, { address: "192.168.0.1/32" }],
      routes: [{ dst: "192.168.0.0/16", gw: "192.168.0.1" }],
      dns: { nameservers: ["10.0.0.2"] },
    };
    const previous = readPreviousResult(given);
    if (!previous.ok || previous.value === undefined) throw new Error("no previous result");
    const ours = renderResult(REPLY, "1.0.0");
    const { interfaces, ips, routes } = ours;
    if (!Array.isArray(interfaces) || !Array.isArray(ips) || !Array.isArray(routes)) throw new Error("lists");
    expect(renderResult(REPLY, "1.0.0", previous.value)).toStrictEqual({
      cniVersion: "1.0.0",
      interfaces: [...given.interfaces, ...interfaces],
      ips: [...given.ips, ...ips.map((ip: object) => ({ ...ip, interface: 2 }))],
      routes: [...given.routes, ...routes],
      dns: given.dns,
    });
  });
});

describe("wrongReply()", () => {
  it("takes a complete reply", () => {
    expect(wrongReply(REPLY, PLACE)).toBeUndefined();
  });

  it("says what a reply lacks", () => {
    const ip = { address: "10.0.0.5/32", gateway: "", interface: 1 };
    const table: readonly (readonly [Partial<AddReply>, string])[] = [
      [{ interfaces: [] }, "its reply does not have the interface eth0 in /run/netns/pod"],
      [
        { interfaces: REPLY.interfaces.slice(0, 1) },
        "its reply does not have the interface eth0 in /run/netns/pod",
      ],
      [{ ips: [] }, "its reply has no address"],
      [{ ips: [{ ...ip, address: "10.0.0.5" }] }, "its reply has an address without a length: 10.0.0.5"],
      [{ ips: [{ ...ip, interface: 2 }] }, "its reply puts 10.0.0.5/32 on interface number 2"],
      [{ routes: [{ dst: "default", gw: "" }] }, "its reply has a route without a length: default"],
    ];
    for (const [change, reason] of table) expect(wrongReply({ ...REPLY, ...change }, PLACE)).toBe(reason);
    expect(wrongReply(REPLY, { ...PLACE, netns: "/other" })).toBeDefined();
    expect(wrongReply(REPLY, { ...PLACE, ifName: "eth1" })).toBeDefined();
  });
});

describe("readPreviousResult()", () => {
  it("reads nothing as nothing and a partial result with empty lists", () => {
    expect(readPreviousResult(undefined)).toEqual({ ok: true, value: undefined });
    expect(readPreviousResult(null)).toEqual({ ok: true, value: undefined });
    const all = { cniVersion: "1.0.0", ips: null };
    expect(readPreviousResult(all)).toEqual({
      ok: true,
      value: { all, interfaces: [], ips: [], routes: [] },
    });
  });
});
