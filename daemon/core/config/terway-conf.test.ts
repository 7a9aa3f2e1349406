import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTerwayConf } from "./terway-conf.ts";
import { TERWAY_KEYS } from "./terway-keys.ts";

const DEFAULTS = {
  cniVersion: "0.3.0",
  name: "terway",
  type: "terway",
  virtualType: "veth",
  vethFallback: false,
  hostStackCidrs: [],
};

function said(text: string): readonly string[] {
  const result = parseTerwayConf(text);
  const findings = result.ok ? result.warnings : [...result.problems, ...result.warnings];
  return findings.map(
    ({ line, column, message, suggestion }) => `${line}:${column} ${message} -> ${suggestion ?? "-"}`,
  );
}

const WRONG: readonly (readonly [text: string, said: string])[] = [
  [
    '{"cniVersion":"0.2.0"}',
    '1:15 cniVersion is the string "0.2.0"; one of "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0" is wanted -> did you mean "0.3.0"?',
  ],
  ['{"type":"calico"}', '1:9 type is the string "calico"; "terway" is wanted -> -'],
  ['{"name":"a/b"}', '1:9 name is the string "a/b"; a name of letters, digits, _ . and - is wanted -> -'],
  ['{"mtu":575}', "1:8 mtu is the number 575; a whole number from 576 to 65535 is wanted -> -"],
  ['{"mtu":65536}', "1:8 mtu is the number 65536; a whole number from 576 to 65535 is wanted -> -"],
  [
    '{"auto_mtu":false}',
    "1:2 auto_mtu is known but not supported by this version, and is ignored -> set mtu where 1500 is wanted on ENIs that carry more",
  ],
  [
    '{"eniip_virtual_type":"IPVlam"}',
    '1:23 eniip_virtual_type is the string "IPVlam"; one of "veth", "ipvlan" is wanted -> did you mean "ipvlan"?',
  ],
  [
    '{"eniip_virtual_type":"datapathv2"}',
    '1:23 eniip_virtual_type is the string "datapathv2"; one of "veth", "ipvlan" ("datapathv2" is known but not supported by this version) is wanted -> -',
  ],
  ['{"veth_fallback":"yes"}', '1:18 veth_fallback is the string "yes"; true or false is wanted -> -'],
  [
    '{"host_stack_cidrs":"10.0.0.0/8"}',
    '1:21 host_stack_cidrs is the string "10.0.0.0/8"; a list of CIDR blocks, such as ["169.254.20.10/32"], is wanted -> write ["10.0.0.0/8"]',
  ],
  [
    '{"host_stack_cidrs":["10.0.0.0/33"]}',
    '1:21 host_stack_cidrs holds "10.0.0.0/33", which is no CIDR block -> -',
  ],
  [
    '{"host_stack_cidrs":["fd00::1/64"]}',
    "1:21 host_stack_cidrs holds fd00::1/64, an address inside a network and not a network -> write fd00::/64",
  ],
  [
    '{"veth_prefix":"cali"}',
    "1:2 veth_prefix is known but not supported by this version, and is ignored -> remove the key",
  ],
  [
    '{"capabilities":{"bandwidth":"yes"}}',
    '1:30 capabilities.bandwidth is the string "yes"; true or false is wanted -> -',
  ],
  [
    '{"bandwidth_mode":"edt"}',
    '1:19 bandwidth_mode is the string "edt"; "tc" ("edt" is known but not supported by this version) is wanted -> -',
  ],
  [
    '{"max_pool_size":5}',
    "1:2 max_pool_size is not a key of 10-terway.conf and is ignored -> it belongs into eni_conf",
  ],
  [
    '{"ip_stack":"dual"}',
    "1:2 ip_stack is not a key of 10-terway.conf and is ignored -> it belongs into eni_conf",
  ],
  ["{,}", "1:2 not JSON: a value is missing, at `,` -> -"],
];

describe("parseTerwayConf()", () => {
  it("applies every default", () => {
    expect(parseTerwayConf("{}")).toEqual({ ok: true, config: DEFAULTS, warnings: [] });
  });

  it("honours every key", () => {
    const text = `{"cniVersion":"1.0.0","name":"pods","type":"terway","eniip_virtual_type":"IPVlan","veth_fallback":true,"mtu":8500,
      "capabilities":{"bandwidth":true,"io.kubernetes.cri.pod-annotations":true},"bandwidth_mode":"tc",
      "host_stack_cidrs":["fd00:dd::10/128","169.254.20.10/32"],"agent_socket":"/run/a.sock"}`;
    expect(parseTerwayConf(text)).toEqual({
      ok: true,
      warnings: [],
      config: {
        cniVersion: "1.0.0",
        name: "pods",
        type: "terway",
        virtualType: "ipvlan",
        vethFallback: true,
        mtuBytes: 8500,
        hostStackCidrs: ["169.254.20.10/32", "fd00:dd::10/128"],
        agentSocket: "/run/a.sock",
      },
    });
  });

  it("says what is wrong or ignored, at the place", () => {
    for (const [text, wanted] of WRONG) expect(said(text), text).toEqual([wanted]);
  });

  it("gives problems or a configuration for any value, and never throws", () => {
    const names = [...Object.keys(TERWAY_KEYS.schema.shape), ...Object.keys(TERWAY_KEYS.unsupported)];
    const members = fc.dictionary(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 8 });
    fc.assert(
      fc.property(members, (value) => {
        const result = parseTerwayConf(JSON.stringify(value));
        expect(result.ok || result.problems.length > 0).toBe(true);
      }),
    );
  });
});
