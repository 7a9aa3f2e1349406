import { describe, expect, it } from "vitest";
import { type EniConf, parseEniConf } from "../config/eni-conf.ts";
import { decideBounds, decideType } from "./decide-bounds.ts";
import { guessType, knownType } from "./instance-types.ts";

function configOf(keys: string): EniConf {
  const parsed = parseEniConf(
    `{"version":"1","vswitches":{"cn-hangzhou-h":["vsw-a"]},"security_group":"sg-1"${keys}}`,
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  return parsed.config;
}

const ANNOTATION = JSON.stringify({
  InstanceTypeId: "ecs.g7.xlarge",
  EniQuantity: 5,
  EniPrivateIpAddressQuantity: 11,
  Whatever: [1],
});

describe("decideType()", () => {
  it("asks the configuration, the annotation, the table and a guess, in this order", () => {
    const instanceType = "ecs.g7.xlarge";
    const configured = { "ecs.g7.xlarge": { eni: 2, ip: 3 } };
    const cases = [
      [{ instanceType, configured, annotation: ANNOTATION }, { eni: 2, ip: 3 }, "configuration"],
      [{ instanceType, configured: {}, annotation: ANNOTATION }, { eni: 5, ip: 11 }, "annotation"],
      [{ instanceType, configured: {} }, { eni: 4, ip: 15, ipv6: 15 }, "table"],
      [
        { instanceType: "ecs.x9.xlarge", configured, annotation: ANNOTATION },
        { eni: 4, ip: 15, ipv6: 15 },
        "guess",
      ],
    ] as const;
    for (const [input, type, source] of cases) expect(decideType(input)).toEqual({ type, source });
  });

  it("takes no annotation that is no JSON, of another shape, or out of range", () => {
    for (const annotation of [
      "",
      "{",
      "[]",
      '{"InstanceTypeId":"ecs.g7.large"}',
      ANNOTATION.replace("11", "0"),
    ])
      expect(decideType({ instanceType: "ecs.g7.large", configured: {}, annotation })).toEqual({
        type: { eni: 3, ip: 6, ipv6: 6 },
        source: "table",
      });
  });
});

describe("knownType()", () => {
  it("knows generation 7 by family and size, and nothing else", () => {
    expect(knownType("ecs.g7.large")).toEqual({ eni: 3, ip: 6, ipv6: 6 });
    expect(knownType("ecs.c7.3xlarge")).toEqual({ eni: 8, ip: 15, ipv6: 15 });
    expect(knownType("ecs.r7.32xlarge")).toEqual({ eni: 15, ip: 30, ipv6: 30 });
    for (const other of ["ecs.g7t.large", "ecs.g6.large", "ecs.g7.5xlarge", "g7.large", "", "ecs.g7"])
      expect(knownType(other)).toBeUndefined();
  });
});

describe("guessType()", () => {
  it("goes by the size, or by nothing", () => {
    expect(guessType("ecs.g8i.4xlarge")).toEqual({ eni: 8, ip: 30, ipv6: 30 });
    expect(guessType("ecs.odd")).toEqual({ eni: 4, ip: 15 });
  });
});

describe("decideBounds()", () => {
  const instanceType = "ecs.g7.xlarge";

  it("counts the ENIs without the primary one", () => {
    expect(decideBounds({ config: configOf(""), instanceType })).toEqual({
      enisMax: 3,
      addressesPerEni: 15,
      idleMin: 0,
      idleMax: 5,
      source: "table",
    });
  });

  it("is lowered by max_eni, eni_cap_ratio, eni_cap_shift and by what was learnt", () => {
    const cases = [
      [',"max_eni":2', {}, { enisMax: 2, addressesPerEni: 15 }],
      [',"eni_cap_ratio":0.5', {}, { enisMax: 1, addressesPerEni: 15 }],
      [',"eni_cap_shift":-1', {}, { enisMax: 2, addressesPerEni: 15 }],
      ["", { enisMax: 1 }, { enisMax: 1, addressesPerEni: 15 }],
      ["", { addressesPerEni: 6 }, { enisMax: 3, addressesPerEni: 6 }],
      [',"max_eni":1', { enisMax: 2, addressesPerEni: 20 }, { enisMax: 1, addressesPerEni: 15 }],
    ] as const;
    for (const [keys, learnt, limits] of cases)
      expect(decideBounds({ config: configOf(keys), instanceType, learnt })).toMatchObject(limits);
  });

  it("keeps the idle bounds within what was learnt", () => {
    const config = configOf(',"min_pool_size":10,"max_pool_size":20');
    expect(decideBounds({ config, instanceType, learnt: { enisMax: 1, addressesPerEni: 6 } })).toEqual({
      enisMax: 1,
      addressesPerEni: 6,
      idleMin: 6,
      idleMax: 6,
      source: "table",
    });
  });

  it("is lowered by the IPv6 quota where pods get pairs, configured, annotated or learnt", () => {
    const annotation = ANNOTATION.replace("11", '11,"EniIpv6AddressQuantity":4');
    const cases = [
      [{ annotation }, { addressesPerEni: 11, addresses6PerEni: 4, idleMax: 16 }],
      [{ learnt: { addresses6PerEni: 2 } }, { addressesPerEni: 15, addresses6PerEni: 2, idleMax: 6 }],
      [{}, { addressesPerEni: 15, addresses6PerEni: 15, idleMax: 45 }],
    ] as const;
    const config = configOf(',"ip_stack":"dual","max_pool_size":100');
    for (const [more, bounds] of cases)
      expect(decideBounds({ config, instanceType, ...more })).toMatchObject(bounds);
    const limits = ',"instance_type_limits":{"ecs.g7.xlarge":{"eni":4,"ip":15,"ipv6":0}}';
    expect(decideBounds({ config: configOf(`,"ip_stack":"ipv6"${limits}`), instanceType })).toMatchObject({
      addresses6PerEni: 0,
      source: "configuration",
    });
  });

  it("believes the configuration more than what was learnt", () => {
    const config = configOf(',"instance_type_limits":{"ecs.g7.xlarge":{"eni":5,"ip":10}}');
    expect(decideBounds({ config, instanceType, learnt: { enisMax: 1, addressesPerEni: 6 } })).toMatchObject({
      enisMax: 4,
      addressesPerEni: 10,
      source: "configuration",
    });
  });
});
