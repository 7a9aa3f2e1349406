/** The metadata client against the simulated VPC. */
import { describe, expect, it } from "vitest";
import { ok } from "../proto/result.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../sim/model/topology-default.ts";
import { CREATE, NODE, openWire, value } from "./cloud-wire.ts";

describe("openMetadata() and the simulated VPC", () => {
  it("knows the node, and signs with the keys of its role until they are refused", async () => {
    await using wire = await openWire({
      credentials: (metadata) => ({ current: () => metadata.roleCredentials() }),
    });
    expect(await wire.metadata.identity()).toEqual(
      ok({
        instance: NODE,
        instanceType: "ecs.g7.xlarge",
        region: "cn-hangzhou",
        zone: "cn-hangzhou-h",
        vpc: "vpc-demo",
        primaryMac: expect.stringMatching(/^00:16:3e:/),
      }),
    );
    expect(wire.metadata.requests()).toBe(7);
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    expect(wire.metadata.requests()).toBe(9);
    wire.simulator.mustOrder({ kind: "metadataTokenExpiry" });
    expect(await wire.metadata.read("vpc-id")).toEqual(ok("vpc-demo"));
    wire.simulator.mustOrder({ kind: "stsExpiry" });
    expect(await wire.cloud.deleteEni(eni.id)).toMatchObject({
      fault: {
        class: "configuration",
        effect: "none",
        fault: {
          code: "InvalidSecurityToken.Expired",
          remedy: expect.stringContaining("RAM role terway-node"),
        },
      },
    });
  });

  it("shows the ENIs of the node as the API has them once they are attached, and names what it could not read", async () => {
    await using wire = await openWire();
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    expect(value(await wire.cloud.attachEni(eni.id, NODE, "pod"))).toBeUndefined();
    const shown = async () => {
      const enis = await wire.metadata.enis();
      return enis.ok ? enis.value.find(({ id }) => id === eni.id) : undefined;
    };
    await expect.poll(shown, { timeout: 10_000 }).toEqual({
      id: eni.id,
      mac: eni.mac,
      vSwitch: eni.vSwitch,
      cidr: expect.stringMatching(/^10\./),
      primary: eni.primary,
      addresses: eni.addresses,
      addresses6: [],
    });
    const before = wire.metadata.requests();
    expect(await wire.metadata.enis()).toMatchObject({ ok: true, value: [{}, {}] });
    expect(wire.metadata.requests() - before).toBe(15);
    const path = `network/interfaces/macs/${eni.mac}/private-ipv4s`;
    wire.simulator.mustOrder({ kind: "metadataError", status: 404, path, times: 1 });
    expect(await wire.metadata.enis()).toMatchObject({ ok: false, fault: { kind: "metadata", path } });
    wire.simulator.mustOrder({ kind: "metadataError", status: 500, path, times: 100 });
    expect(await wire.metadata.enis()).toMatchObject({ ok: false, fault: { kind: "metadata", path } });
  });

  it("rides over errors of the service, and reads one that wants no token", async () => {
    await using wire = await openWire({ file: { switches: { metadataTokens: "required" } } });
    wire.simulator.mustOrder({ kind: "metadataError", status: 429, times: 2 });
    expect(await wire.metadata.read("zone-id")).toEqual(ok("cn-hangzhou-h"));
    expect(await wire.metadata.read("no-such-item")).toEqual(ok(undefined));
  });

  it("says so where the instance has no role", async () => {
    const { ramRole: _, ...file } = DEFAULT_TOPOLOGY_FILE;
    await using wire = await openWire({ file: { ...file, ramRole: undefined } });
    expect(await wire.metadata.roleCredentials()).toMatchObject({
      fault: { kind: "metadata", reason: "no RAM role is attached to this instance" },
    });
  });
});
