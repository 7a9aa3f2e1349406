import { describe, expect, it } from "vitest";
import { parseIpv6 } from "../../../proto/addr6.ts";
import { mtuRefusal } from "./mtu.ts";

const gateway = parseIpv6("fd00::fd") ?? expect.fail("gateway");
const DUAL = { v6: { gateway } };

describe("mtuRefusal()", () => {
  it("knows what the device carries, and what the families need", () => {
    const eth1 = { name: "eth1", maxMtu: 8500 };
    expect(mtuRefusal({ mtu: 8500 }, eth1)).toBeUndefined();
    expect(mtuRefusal({ mtu: 8501 }, eth1)).toBe(
      "mtu is 8501, and eth1 carries 8500 at most: write 8500 or less, or leave mtu out",
    );
    expect(mtuRefusal({ mtu: 65_535 }, { name: "eth1", maxMtu: 0 })).toBeUndefined();
    expect(mtuRefusal({ mtu: 65_535 }, { name: "eth1" })).toBeUndefined();
    expect(mtuRefusal({ mtu: 576 }, eth1)).toBeUndefined();
    expect(mtuRefusal({ mtu: 575 }, eth1)).toBe(
      "eth1 has an MTU of 575, and IPv4 needs 576 bytes at least: raise it",
    );
    expect(mtuRefusal({ mtu: 1280, ...DUAL }, eth1)).toBeUndefined();
    expect(mtuRefusal({ mtu: 1279, ...DUAL }, eth1)).toBe(
      "eth1 has an MTU of 1279, and IPv6 needs 1280 bytes at least: raise it",
    );
  });
});
