import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bandwidthRequest } from "./bandwidth-request.ts";

const M10 = { bitsPerSecond: 10_000_000, burstBytes: 0 };

function ofCapability(bandwidth: unknown): unknown {
  return said({ runtimeConfig: { bandwidth } });
}

function ofAnnotations(annotations: Readonly<Record<string, unknown>>): unknown {
  return said({ runtimeConfig: { "io.kubernetes.cri.pod-annotations": annotations } });
}

/** The limits, or the sentence of the refusal. */
function said(config: unknown): unknown {
  const read = bandwidthRequest(config);
  if (read.ok) return read.value;
  return read.fault.kind === "bad-config" ? `${read.fault.key} ${read.fault.reason}` : read.fault;
}

describe("bandwidthRequest()", () => {
  it("finds no limit where nobody asks for one", () => {
    for (const config of [
      undefined,
      null,
      7,
      [],
      {},
      { runtimeConfig: {} },
      { runtimeConfig: { bandwidth: null } },
    ])
      expect(said(config)).toEqual({});
    expect(ofAnnotations({ other: "x" })).toEqual({});
  });

  it("reads bits a second and bits, in either spelling", () => {
    const both = { ingress: { bitsPerSecond: 10_000_000, burstBytes: 1000 }, egress: M10 };
    expect(ofCapability({ ingressRate: 10_000_000, ingressBurst: 8000, egressRate: 10_000_000 })).toEqual(
      both,
    );
    expect(ofCapability({ IngressRate: 10_000_000, IngressBurst: 8000, EgressRate: 10_000_000 })).toEqual(
      both,
    );
  });

  it("takes the largest burst that a runtime can write, and zeros of the other direction, for nothing said", () => {
    const ofContainerd = {
      IngressRate: 10_000_000,
      IngressBurst: 4_294_967_295,
      EgressRate: 0,
      EgressBurst: 0,
    };
    expect(ofCapability(ofContainerd)).toEqual({ ingress: M10 });
    expect(ofCapability({ egressRate: 10_000_000, egressBurst: 34_359_738_359 })).toEqual({ egress: M10 });
    expect(ofCapability({ egressRate: 10_000_000, egressBurst: 18_446_744_073_709_552_000 })).toEqual({
      egress: M10,
    });
  });

  it("reads annotations of Kubernetes as quantities", () => {
    const texts: readonly (readonly [text: string, bits: number])[] = [
      ["10M", 10_000_000],
      ["10000000", 10_000_000],
      ["1e7", 10_000_000],
      ["1E+7", 10_000_000],
      ["0.5G", 500_000_000],
      ["1.5k", 1500],
      ["2Mi", 2_097_152],
      ["1P", 1e15],
      [" 10M ", 10_000_000],
      ["1500000m", 1500],
    ];
    for (const [text, bitsPerSecond] of texts)
      expect(ofAnnotations({ "kubernetes.io/ingress-bandwidth": text })).toEqual({
        ingress: { bitsPerSecond, burstBytes: 0 },
      });
  });

  it("reads annotations of the cloud as bytes, in powers of 1024", () => {
    const texts: readonly (readonly [text: string, bits: number])[] = [
      ["1M", 8 * 1024 ** 2],
      ["1m", 8 * 1024 ** 2],
      ["1.5MB", 12 * 1024 ** 2],
      ["2GiB", 16 * 1024 ** 3],
      ["1000", 8000],
      ["1000B", 8000],
    ];
    for (const [text, bitsPerSecond] of texts)
      expect(ofAnnotations({ "k8s.aliyun.com/egress-bandwidth": text })).toEqual({
        egress: { bitsPerSecond, burstBytes: 0 },
      });
  });

  it("takes each direction from the first place that names it", () => {
    const annotations = {
      "kubernetes.io/ingress-bandwidth": "20M",
      "kubernetes.io/egress-bandwidth": "30M",
      "k8s.aliyun.com/ingress-bandwidth": "1M",
    };
    const runtimeConfig = {
      bandwidth: { ingressRate: 10_000_000 },
      "io.kubernetes.cri.pod-annotations": annotations,
    };
    expect(said({ runtimeConfig })).toEqual({
      ingress: M10,
      egress: { bitsPerSecond: 30_000_000, burstBytes: 0 },
    });
    expect(ofAnnotations(annotations)).toMatchObject({ ingress: { bitsPerSecond: 20_000_000 } });
  });

  it("refuses what is no limit, with its place and what to write", () => {
    const rate = "; wanted is bits a second, a whole number from 1000 to 10^15, such as 10000000";
    const capabilities: readonly (readonly [given: unknown, said: string])[] = [
      [{ ingressRate: 0 }, `runtimeConfig.bandwidth.ingressRate is 0${rate}`],
      [{ ingressRate: 0, egressRate: 0 }, `runtimeConfig.bandwidth.ingressRate is 0${rate}`],
      [
        { IngressRate: 0, IngressBurst: 5, EgressRate: 10_000_000 },
        `runtimeConfig.bandwidth.IngressRate is 0${rate}`,
      ],
      [{ egressRate: -5 }, `runtimeConfig.bandwidth.egressRate is -5${rate}`],
      [{ egressRate: 999 }, `runtimeConfig.bandwidth.egressRate is 999${rate}`],
      [{ egressRate: 1.5 }, `runtimeConfig.bandwidth.egressRate is 1.5${rate}`],
      [{ egressRate: "10Mb" }, `runtimeConfig.bandwidth.egressRate is "10Mb"${rate}`],
      [
        { egressRate: 10_000_000, egressBurst: -1 },
        "runtimeConfig.bandwidth.egressBurst is -1; wanted is the burst in bits, a whole number from 0, such as 1000000",
      ],
      [
        { egressBurst: 8000 },
        "runtimeConfig.bandwidth.egressRate is missing; wanted is a rate beside the burst: bits a second, such as 10000000",
      ],
      ["10M", 'runtimeConfig.bandwidth is "10M"; wanted is an object with ingressRate and egressRate'],
    ];
    for (const [given, sentence] of capabilities) expect(ofCapability(given)).toBe(sentence);
    for (const text of ["10Mb", "0", "-1M", "", "1", "2P", "ten", "1e99"])
      expect(ofAnnotations({ "kubernetes.io/egress-bandwidth": text })).toBe(
        `runtimeConfig["io.kubernetes.cri.pod-annotations"]["kubernetes.io/egress-bandwidth"] is ${JSON.stringify(text)}; wanted is bits a second from 1k to 1P, such as "10M" for ten megabits a second`,
      );
    // A small b is for bits: eight times less than what the rest says.
    for (const text of ["0", "-1M", "1X", "M", "10Mb", "10mb", "10Mbit", "99999T"])
      expect(ofAnnotations({ "k8s.aliyun.com/ingress-bandwidth": text })).toContain(
        `is ${JSON.stringify(text)}; wanted is bytes a second`,
      );
  });

  it("never throws, and never gives a limit that the kernel cannot hold", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (rate, annotation) => {
        const config = {
          runtimeConfig: {
            bandwidth: { ingressRate: rate, egressBurst: annotation },
            "io.kubernetes.cri.pod-annotations": { "kubernetes.io/egress-bandwidth": annotation },
          },
        };
        const read = bandwidthRequest(config);
        if (!read.ok) return;
        for (const limit of [read.value.ingress, read.value.egress])
          if (limit !== undefined) {
            expect(limit.bitsPerSecond).toBeGreaterThanOrEqual(1000);
            expect(limit.bitsPerSecond).toBeLessThanOrEqual(1e15);
          }
      }),
    );
  });
});
