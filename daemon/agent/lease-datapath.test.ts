import { describe, expect, it, vi } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { type LeaseRow } from "../store/schema.ts";
import { openPodsLab, podCall } from "./pods-lab.ts";
import { attachment } from "./test-lab.ts";

/** Of a pod that was connected while `eniip_virtual_type` was IPVlan. */
const LEASE: LeaseRow = {
  ...attachment("old"),
  address: "10.0.0.10",
  address6: "",
  stack: "ipv4",
  slot: 0,
  state: "done",
  hostName: "twv0",
  netns: "/run/netns/old",
  pod: "default/old",
  hostMac: "02:00:00:00:00:01",
  podMac: "02:00:00:00:00:01",
  datapath: "ipvlan",
};

describe("openPods()", () => {
  it("connects new pods by the datapath in force, and answers with what an ipvlan pod has", async () => {
    const { pods, kernel } = openPodsLab([], "ipv4", undefined, "ipvlan");
    const attach = vi.spyOn(kernel, "attachPod");
    const added = await pods.add(podCall("a"));
    expect(attach.mock.calls[0]?.[0]).toMatchObject({ datapath: "ipvlan", hostName: "twv0", slot: 0 });
    expect(added.ok && added.value.result).toMatchObject({
      interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }],
      ips: [{ interface: 0 }],
    });
  });

  it("mends an ipvlan pod whose route is gone: nothing else of it is on the node", async () => {
    const { pods, kernel } = openPodsLab([LEASE]);
    const attach = vi.spyOn(kernel, "attachPod");
    expect(await pods.checkAll()).toContain("default/old: link twv0 is missing");
    await pods.mendSuspects(() => true);
    expect(attach).toHaveBeenCalledWith(expect.objectContaining({ datapath: "ipvlan", hostName: "twv0" }));
  });

  it("takes the datapath of a pod from its lease, whatever is in force", async () => {
    const { pods, kernel, links } = openPodsLab([LEASE]);
    const address = parseIpv4("10.0.0.10");
    if (address !== undefined) links.set("twv0", address);
    const check = vi.spyOn(kernel, "checkPod");
    const detach = vi.spyOn(kernel, "detachPod");
    const attach = vi.spyOn(kernel, "attachPod");
    const ofOld = expect.objectContaining({ datapath: "ipvlan", hostName: "twv0" });
    await pods.check({ ...podCall("old"), prevResult: {} });
    expect(check).toHaveBeenLastCalledWith(ofOld);
    await pods.del(podCall("old"));
    expect(detach).toHaveBeenLastCalledWith(ofOld);
    await pods.add(podCall("new"));
    expect(attach).toHaveBeenLastCalledWith(expect.objectContaining({ datapath: "veth" }));
  });
});
