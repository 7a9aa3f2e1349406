import { describe, expect, it } from "vitest";
import { parseIp } from "../../../proto/addr6.ts";
import { parseMac } from "../../../proto/addr.ts";
import { foreignOverlay } from "./foreign.ts";

const [MAC, LOCAL] = [parseMac("0a:58:00:00:00:01"), parseIp("10.10.0.1")];
if (MAC === undefined || LOCAL === undefined) throw new Error("not addresses");
const OVERLAY = { vni: 7, udpPort: 8472, mac: MAC, mtu: 1450, local: LOCAL };

describe("foreignOverlay()", () => {
  it("names who owns the device that is in the way, and lets others be", () => {
    const table = [
      ["flannel.1", 1, 8472, false, "flanneld"],
      ["flannel-v6.9", 9, 4789, false, "flanneld"],
      ["vxlan.calico", 4096, 4789, false, undefined],
      ["vxlan.calico", 7, 8472, false, "Calico"],
      ["cilium_vxlan", 0, 8472, true, "Cilium"],
      ["vxlan_sys_4789", 0, 4789, true, undefined],
      ["mine", 7, 8472, false, "somebody else"],
      ["mine", 8, 8472, false, undefined],
      ["mine", 7, 8473, false, undefined],
    ] as const;
    const found = table.map(([name, vni, udpPort, external]) => {
      const fault = foreignOverlay([{ name, vni, udpPort, external }], OVERLAY);
      return fault?.kind === "foreign-device" ? fault.owner : fault;
    });
    expect(found).toEqual(table.map(([, , , , owner]) => owner));
  });
});
