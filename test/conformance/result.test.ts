import { describe, expect, it } from "vitest";
import { readResult, withoutLength, wrongShape } from "./result.ts";
import { type Version, VERSIONS } from "./version.ts";

const DNS = { nameservers: ["192.0.2.53"], domain: "example", search: ["a"], options: ["b"] };
const OLD = {
  cniVersion: "0.2.0",
  ip4: { ip: "10.0.0.5/24", gateway: "10.0.0.1", routes: [{ dst: "0.0.0.0/0" }] },
  dns: DNS,
};
const MIDDLE = {
  cniVersion: "0.4.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" }],
  ips: [{ version: "4", interface: 0, address: "10.0.0.5/24", gateway: "10.0.0.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
  dns: {},
};
const NEW = { ...MIDDLE, cniVersion: "1.0.0", ips: [{ interface: 0, address: "fd00::5/64" }] };
const NEWEST = {
  ...NEW,
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", mtu: 1500, socketPath: "/s", pciID: "0000:00:01.0" }],
  routes: [{ dst: "0.0.0.0/0", mtu: 1400, advmss: 1360, priority: 1, table: 254, scope: 0 }],
};

describe("wrongShape()", () => {
  it("finds nothing in a result of its version, and something in one of another", () => {
    const fits: Readonly<Record<string, readonly Version[]>> = {
      OLD: ["0.1.0", "0.2.0"],
      MIDDLE: ["0.3.0", "0.3.1", "0.4.0"],
      NEW: ["1.0.0", "1.1.0"],
      NEWEST: ["1.1.0"],
    };
    for (const [name, result] of Object.entries({ OLD, MIDDLE, NEW, NEWEST })) {
      const good = VERSIONS.filter((version) => wrongShape(result, version).length === 0);
      expect(good, name).toEqual(fits[name]);
    }
  });

  it("names what is wrong, and tells keys that nobody knows from the rest", () => {
    const table: readonly (readonly [unknown, boolean, string])[] = [
      [{ ...NEW, state: 1 }, true, "result: "],
      [{ ...NEW, ips: [{ address: "10.0.0.5" }] }, false, "ips.0.address: "],
      [{ ...NEW, ips: [{ address: "10.0.0.5/24", interface: "0" }] }, false, "ips.0.interface: "],
      [{ ...NEW, interfaces: [{ name: "eth0", mac: "no" }] }, false, "interfaces.0.mac: "],
      [{ ...NEW, interfaces: [{ name: "eth0", mtu: 1500 }] }, true, "interfaces.0: "],
      [{ ...NEW, routes: [{ dst: "default" }] }, false, "routes.0.dst: "],
      [{ ...NEW, dns: [] }, false, "dns: "],
      ["text", false, "result: "],
    ];
    for (const [result, isUnknownKey, text] of table) {
      expect(wrongShape(result, "1.0.0")).toEqual([{ isUnknownKey, text: expect.stringContaining(text) }]);
    }
    expect(wrongShape({ cniVersion: "0.2.0" }, "0.2.0")).toEqual([
      { isUnknownKey: false, text: "result: neither ip4 nor ip6" },
    ]);
  });
});

describe("readResult()", () => {
  it("says the same of old and new results", () => {
    expect(readResult(OLD)).toEqual({
      interfaces: [],
      ips: [{ address: "10.0.0.5/24", index: undefined }],
      routes: [{ dst: "0.0.0.0/0", gw: "" }],
    });
    expect(readResult(MIDDLE)).toEqual({
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" }],
      ips: [{ address: "10.0.0.5/24", index: 0 }],
      routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
    });
    expect(readResult({})).toEqual({ interfaces: [], ips: [], routes: [] });
    expect(withoutLength("fd00::5/64")).toBe("fd00::5");
  });
});
