import { describe, expect, it } from "vitest";
import { parseCidr } from "../../proto/cidr.ts";
import { vSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { openDatapath, type Datapath } from "./datapath.ts";
import { openLog } from "./log.ts";
import { BROKEN } from "./pods-lab.ts";
import { openLab, VIEW } from "./test-lab.ts";

/** A ready ENI in slot 0; what was asked of the kernel and of the pods is in `did`. */
function setup(prepared: Result<void> = ok(undefined)): {
  readonly datapath: Datapath;
  readonly did: unknown[];
} {
  const did: unknown[] = [];
  const cidr = parseCidr("10.0.0.0/24");
  if (cidr === undefined) throw new Error("cidr");
  const { loop } = openLab();
  const datapath = openDatapath({
    kernel: {
      async checkNode(enis) {
        did.push(enis);
        return ok(["rule is missing"]);
      },
      async prepareHost() {
        did.push("prepareHost");
        return prepared;
      },
      async configureEni({ slot }) {
        did.push(`configureEni ${slot}`);
        return failed(BROKEN);
      },
    },
    pods: {
      checkAll: async () => ["a: element is missing"],
      mendAll: async () => void did.push("mendAll"),
    },
    pool: loop.pool,
    vSwitchOf: (id) => ({ id, vpc: "v", zone: "z", cidr, availableAddresses: 1 }),
    mtuOf: async () => ok(1500),
    log: openLog("silent"),
  });
  return { datapath, did };
}

describe("openDatapath()", () => {
  it("looks at what the ready ENIs need, and at the pods where that is asked for", async () => {
    const { datapath, did } = setup();
    expect(await datapath.check(false)).toEqual(ok(["rule is missing"]));
    const { mac, primary } = VIEW;
    expect(did).toEqual([
      [{ slot: 0, mac, ifIndex: 7, primary, gateway: "10.0.0.253", prefixLength: 24, mtu: 1500 }],
    ]);
    expect(VIEW.vSwitch).toBe(vSwitchId("vsw-1"));
    expect(await datapath.check(true)).toEqual(ok(["rule is missing", "a: element is missing"]));
  });

  it("makes the shared part again, each ENI, then the pods, past an ENI that fails", async () => {
    const { datapath, did } = setup();
    await datapath.mend();
    expect(did).toEqual(["prepareHost", "configureEni 0", "mendAll"]);
  });

  it("leaves the pods alone where the shared part cannot be made", async () => {
    const { datapath, did } = setup(failed(BROKEN));
    await datapath.mend();
    expect(did).toEqual(["prepareHost"]);
  });
});
