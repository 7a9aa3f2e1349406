/**
 * Pods whose lease was rebuilt without the runtime's word: the name of their link alone tells which they are.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { ok } from "../../proto/result.ts";
import { hostLinkName } from "../core/datapath/link-name.ts";
import { unknownAttachment } from "../core/rebuild/rebuild.ts";
import { type LeaseRow } from "../store/schema.ts";
import { openPodsLab, podCall, type PodsLab } from "./pods-lab.ts";
import { attachment } from "./test-lab.ts";

const HOST_NAME = hostLinkName(attachment("a"));
const LEASE: LeaseRow = {
  ...unknownAttachment(HOST_NAME),
  address: "10.0.9.9",
  address6: "",
  stack: "ipv4",
  slot: 0,
  state: "done",
  hostName: HOST_NAME,
  netns: "",
  pod: "",
  hostMac: "02:00:00:00:00:01",
  podMac: "02:00:00:00:00:02",
};

/** A node with the link of "a", which has the address 10.0.9.9. */
function unknownPod(): PodsLab {
  const lab = openPodsLab([LEASE]);
  lab.gone.add("");
  const address = parseIpv4(LEASE.address);
  if (address !== undefined) lab.links.set(HOST_NAME, address);
  return lab;
}

const VALID = { network: "terway", valid: [attachment("a")] };

describe("a pod whose attachment is unknown", () => {
  it("is taken away by its DEL, and by no other one", async () => {
    const lab = unknownPod();
    await lab.pods.del(podCall("b"));
    expect(lab.links.has(HOST_NAME)).toBe(true);
    expect(await lab.pods.del(podCall("a"))).toEqual(ok(undefined));
    expect([lab.links.size, lab.order]).toEqual([0, ["write delete-lease"]]);
  });

  it("makes room for its ADD, where the runtime asks again", async () => {
    const lab = unknownPod();
    const added = await lab.pods.add(podCall("a"));
    expect(added).toMatchObject({ ok: true, value: { result: { ips: [{ address: "10.0.0.10/32" }] } } });
    expect(lab.order[0]).toBe("write delete-lease");
  });

  it("is looked at by CHECK where the caller says that it is", async () => {
    const lab = unknownPod();
    const checked = await lab.pods.check({
      ...podCall("a"),
      prevResult: {
        interfaces: [
          { name: HOST_NAME, mac: "02:00:00:00:00:01", sandbox: "" },
          { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/a" },
        ],
        ips: [{ address: "10.0.9.9/32", interface: 1 }],
      },
    });
    // Only the pool of this test does not know the address.
    expect(checked).toMatchObject({ ok: false, fault: { kind: "check-failed" } });
    if (!checked.ok && checked.fault.kind === "check-failed")
      expect(checked.fault.differences).toEqual([expect.stringContaining("10.0.9.9")]);
  });

  it("stays where GC lists it, goes where GC does not, and waits where there is no list", async () => {
    const lab = unknownPod();
    await lab.pods.gc(VALID);
    await lab.pods.gc({ ...VALID, valid: undefined });
    await lab.pods.sweep();
    expect(lab.links.size).toBe(1);
    await lab.pods.gc({ ...VALID, valid: [attachment("b")] });
    expect(lab.links.size).toBe(0);
  });

  it("is not GC's of one network where the node has pods of another", async () => {
    const lab = unknownPod();
    await lab.pods.add({ ...podCall("o"), attachment: { ...attachment("o"), network: "other" } });
    await lab.pods.gc({ network: "terway", valid: [] });
    expect(lab.links.has(HOST_NAME)).toBe(true);
  });

  it("is freed when its link is gone", async () => {
    const lab = unknownPod();
    lab.links.clear();
    expect(await lab.pods.sweep()).toEqual(ok(undefined));
    expect(lab.order).toEqual(["write delete-lease"]);
  });
});
