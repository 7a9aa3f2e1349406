import { assert, json, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeCacheEntry } from "./cache-entry.ts";

/** Of cnitool 1.3.1, with CAP_ARGS and CNI_ARGS given. */
const WRITTEN = `{"kind":"cniCacheV1","containerId":"cnitool-cddcca9b9aa7c54ade9b","config":"eyJjbmlWZXJzaW9uIjoiMS4xLjAiLCJuYW1lIjoidGVyd2F5IiwicGx1Z2lucyI6W3sidHlwZSI6InRlcndheSIsImNhcGFiaWxpdGllcyI6eyJiYW5kd2lkdGgiOnRydWV9fV19Cg==","ifName":"eth0","networkName":"terway","netns":"/run/netns/p1","cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","default"],["K8S_POD_NAME","p1"]],"capabilityArgs":{"bandwidth":{"egressBurst":0,"egressRate":0,"ingressBurst":4294967295,"ingressRate":1000000}},"result":{"cniVersion":"1.1.0","interfaces":[{"mac":"02:00:00:00:00:01","mtu":1500,"name":"tw0kk3uinjd3h5d"},{"mac":"02:00:00:00:00:02","mtu":1500,"name":"eth0","sandbox":"/run/netns/p1"}],"ips":[{"address":"10.0.0.5/32","gateway":"169.254.1.1","interface":1}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}]}}`;

type Json = Record<string, unknown>;

function changed(change: (entry: Json) => unknown): string {
  const entry: Json = JSON.parse(WRITTEN);
  return JSON.stringify(change(entry));
}

describe("decodeCacheEntry()", () => {
  it("takes what libcni has written", () => {
    expect(decodeCacheEntry(WRITTEN)).toEqual({
      attachment: { network: "terway", containerId: "cnitool-cddcca9b9aa7c54ade9b", ifName: "eth0" },
      netns: "/run/netns/p1",
      pod: "default/p1",
      addresses: ["10.0.0.5"],
      podMac: "02:00:00:00:00:02",
      bandwidth: { ingress: { bitsPerSecond: 1_000_000, burstBytes: 0 } },
    });
  });

  it("knows the namespace of older entries by the result", () => {
    const older = changed((entry) => ({ ...entry, netns: undefined }));
    expect(decodeCacheEntry(older)).toMatchObject({ netns: "/run/netns/p1" });
  });

  it("has no limit where the plugin does not have the capability", () => {
    const config = btoa(JSON.stringify({ cniVersion: "1.0.0", name: "terway", type: "terway" }));
    const entry = decodeCacheEntry(changed((written) => ({ ...written, config })));
    expect(entry).toBeDefined();
    expect(entry?.bandwidth).toBeUndefined();
  });

  it("goes without what the result of an old version does not say", () => {
    const result = { cniVersion: "0.2.0", ip4: { ip: "10.0.0.5/32" } };
    expect(decodeCacheEntry(changed((entry) => ({ ...entry, result })))).toMatchObject({
      netns: "/run/netns/p1",
      addresses: [],
    });
  });

  it("leaves everything else to others, and never throws", () => {
    for (const text of [
      "",
      "{}",
      "[]",
      '{"kind":"cniCacheV2"}',
      changed((entry) => ({ ...entry, ifName: "" })),
    ])
      expect(decodeCacheEntry(text)).toBeUndefined();
    assert(
      property(json(), (text) => {
        decodeCacheEntry(text);
        decodeCacheEntry(changed((entry) => ({ ...entry, result: JSON.parse(text), config: text })));
      }),
    );
  });
});
