import { describe, expect, it } from "vitest";
import { parseMac } from "../../proto/addr.ts";
import { parseEniConf } from "../core/config/eni-conf.ts";
import { parseTerwayConf } from "../core/config/terway-conf.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type IpvlanFacts } from "../netlink/ipvlan-node.ts";
import { openLog } from "./log.ts";
import { chooseVirtualType, onPremisesNote } from "./virtual-type.ts";

const ENI = '{"version":"1","vswitches":{"cn-hangzhou-h":["vsw-1"]},"service_cidr":"172.21.0.0/20"}';
const MAC = parseMac("00:16:3e:00:00:01");

/** What the kernel was asked for, and what new pods get. */
async function choose(
  cniConf: Readonly<Record<string, unknown>>,
  isThere: Result<boolean>,
  leases: readonly { readonly datapath?: "ipvlan" }[] = [],
) {
  const [eni, cni] = [parseEniConf(ENI), parseTerwayConf(JSON.stringify(cniConf))];
  if (!eni.ok || !cni.ok || MAC === undefined) throw new Error("configuration");
  const asked: string[] = [];
  const ipvlan = {
    isThere: async () => isThere,
    async use({ hostStack }: IpvlanFacts) {
      asked.push(`use ${hostStack.join(" ")}`);
      return ok(undefined);
    },
    async leave() {
      asked.push("leave");
      return ok(undefined);
    },
  };
  const config = { eni: eni.config, cni: cni.config };
  const chosen = await chooseVirtualType({ ipvlan, config, primaryMac: MAC, leases, log: openLog("silent") });
  return { chosen: chosen.ok ? chosen.value : chosen.fault.text, asked };
}

const IPVLAN = { eniip_virtual_type: "ipVLAN", host_stack_cidrs: ["169.254.20.10/32"] };
const USE = "use 172.21.0.0/20 169.254.20.10/32";

function noteOf(text: string): string {
  const parsed = parseTerwayConf(text);
  return parsed.ok ? onPremisesNote(parsed.config) : "refused";
}

describe("onPremisesNote()", () => {
  it("warns of what is for ENIs, and of nothing else", () => {
    expect(noteOf('{"eniip_virtual_type":"IPVlan"}')).toContain("on premises they are connected by veth");
    expect(noteOf("{}")).toBe("");
  });
});

describe("chooseVirtualType()", () => {
  it("takes what the configuration says, in any case of letters, where the kernel can", async () => {
    expect(await choose(IPVLAN, ok(true))).toEqual({ chosen: "ipvlan", asked: [USE] });
    expect(await choose({}, ok(true))).toEqual({ chosen: "veth", asked: ["leave"] });
  });

  it("refuses a kernel without IPVLAN with the module's name, unless veth is allowed", async () => {
    const refused = await choose(IPVLAN, ok(false));
    expect(refused.chosen).toContain("modprobe ipvlan");
    expect(refused.asked).toEqual([]);
    const allowed = await choose({ ...IPVLAN, veth_fallback: true }, ok(false));
    expect(allowed).toEqual({ chosen: "veth", asked: ["leave"] });
  });

  it("says what the kernel answered where it could not be asked", async () => {
    const fault = { kind: "kernel", op: "ask the kernel for IPVLAN", errno: "EPERM" } as const;
    expect((await choose(IPVLAN, failed(fault))).chosen).toContain("ask the kernel for IPVLAN: EPERM");
  });

  it("keeps what pods of IPVLAN need after new ones are of veth", async () => {
    const kept = await choose({ host_stack_cidrs: ["169.254.20.10/32"] }, ok(true), [
      {},
      { datapath: "ipvlan" },
    ]);
    expect(kept).toEqual({ chosen: "veth", asked: [USE] });
  });
});
