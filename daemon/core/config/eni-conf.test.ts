import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ENI_KEYS } from "./eni-keys.ts";
import { type EniConf, parseEniConf, vSwitchesOf } from "./eni-conf.ts";
import { defaultOf } from "./key-table.ts";
import { formatProblems } from "./problem.ts";
import { Secret } from "./secret.ts";
import { parseTerwayConf } from "./terway-conf.ts";

/** The block of a key of the documented ConfigMap, blanks at line ends included, without the indentation of the block. */
function block(key: string): string {
  const lines = readFileSync(new URL("example/eni-config.yaml.txt", import.meta.url), "utf8").split("\n");
  const start = lines.findIndex((line) => line.startsWith(` ${key}: |`));
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => !line.startsWith("  "));
  return rest
    .slice(0, end === -1 ? undefined : end)
    .map((line) => `${line.slice(2)}\n`)
    .join("");
}

const FILLED = block("eni_conf")
  .replace("{{.PodVswitchId}}", '{"cn-hangzhou-h":["vsw-a","vsw-b"],"cn-hangzhou-i":["vsw-c"]}')
  .replace("{{.ClusterID}}", "c0123")
  .replace("{{.ServiceCIDR}}", "172.21.0.0/20")
  .replace("{{.SecurityGroupId}}", "sg-1");

const VSWITCHES = '"vswitches":{"cn-hangzhou-h":["vsw-1"]}';

/** A configuration with nothing but the one required key and what is given. */
function parsed(members: string): ReturnType<typeof parseEniConf> {
  return parseEniConf(`{${VSWITCHES}${members === "" ? "" : `,${members}`}}`);
}

function configOf(text: string): EniConf {
  const result = parseEniConf(text);
  if (!result.ok) throw new Error(formatProblems({ name: "eni_conf", text }, result.problems));
  return result.config;
}

/** "line:column message -> suggestion" of each. */
function said(findings: readonly { line: number; column: number; message: string; suggestion?: string }[]) {
  return findings.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? "" : ` -> ${suggestion}`}`,
  );
}

function problemsOf(text: string): readonly string[] {
  const result = parseEniConf(text);
  return result.ok ? [] : said(result.problems);
}

const DEFAULTS = {
  version: "1",
  vSwitches: { "cn-hangzhou-h": ["vsw-1"] },
  vSwitchPolicy: "ordered",
  vSwitchRetryMs: 600_000,
  securityGroups: [],
  serviceCidrs: [],
  minPoolSize: 0,
  maxPoolSize: 5,
  minEni: 0,
  maxEni: 0,
  eniCapRatio: 1,
  eniCapShift: 0,
  eniPolicy: "most_ips",
  eniTags: {},
  eniTagFilter: {},
  cooldownMs: 30_000,
  orphanAfterMs: 600_000,
  poolSyncPeriodMs: 120_000,
  idleReclaim: { intervalMs: 600_000, batchSize: 5, jitterFactor: 0.1 },
  instanceTypeLimits: {},
  addTimeoutMs: 90_000,
  cloudTimeoutMs: 15_000,
  rateLimits: {},
  ipStack: "ipv4",
};

describe("parseEniConf()", () => {
  it("reads the documented ConfigMap, blanks at line ends included, once it is filled in", () => {
    expect(FILLED).toContain('{      \n "version": "1",      \n "max_pool_size": 5,      \n');
    expect(parseEniConf(FILLED)).toEqual({
      ok: true,
      warnings: [],
      config: {
        ...DEFAULTS,
        vSwitches: { "cn-hangzhou-h": ["vsw-a", "vsw-b"], "cn-hangzhou-i": ["vsw-c"] },
        eniTags: { "ack.aliyun.com": "c0123" },
        serviceCidrs: ["172.21.0.0/20"],
        securityGroups: ["sg-1"],
      },
    });
    expect(parseTerwayConf(block("10-terway.conf")).ok).toBe(true);
  });

  it("names every template field that was not filled in, also where it makes the text no JSON", () => {
    expect(problemsOf(block("eni_conf"))).toEqual([
      "5:15 vswitches still holds the template field {{.PodVswitchId}} -> put the value in its place; the template was not filled in",
      '6:33 eni_tags["ack.aliyun.com"] still holds the template field {{.ClusterID}} -> put the value in its place; the template was not filled in',
      "7:19 service_cidr still holds the template field {{.ServiceCIDR}} -> put the value in its place; the template was not filled in",
      "8:21 security_group still holds the template field {{.SecurityGroupId}} -> put the value in its place; the template was not filled in",
    ]);
  });

  it("applies every default", () => {
    expect(configOf(`{${VSWITCHES}}`)).toEqual(DEFAULTS);
  });

  it("says the same where every default is written out", () => {
    const written = Object.entries(ENI_KEYS.schema.shape)
      .map(([name, field]) => [name, defaultOf(field)] as const)
      .filter(([, value]) => value !== undefined);
    const text = JSON.stringify({
      ...Object.fromEntries(written),
      vswitches: { "cn-hangzhou-h": ["vsw-1"] },
    });
    expect(written.length).toBeGreaterThan(20);
    expect(configOf(text)).toEqual(DEFAULTS);
  });

  it("takes null and the empty string as not given", () => {
    const members = Object.entries(ENI_KEYS.schema.shape)
      .filter(([name]) => name !== "vswitches")
      .map(([name]) => `"${name}":null`);
    expect(parsed(members.join(","))).toMatchObject({ ok: true, config: DEFAULTS });
    expect(
      parsed('"access_key":"","access_secret":"","security_group":"","service_cidr":"","add_timeout":""'),
    ).toEqual({
      ok: true,
      config: DEFAULTS,
      warnings: [],
    });
  });

  it("honours every key", () => {
    const result = parsed(
      [
        '"vswitch_selection_policy":"most","vswitch_retry_after":"1m30s","security_group":"sg-1"',
        '"security_groups":["sg-1","sg-2"],"service_cidr":"10.0.0.0/16, 10.1.0.0/16","max_pool_size":20',
        '"min_pool_size":10,"max_eni":3,"min_eni":1,"eni_cap_ratio":0.5,"eni_cap_shift":-1',
        '"eni_selection_policy":"least_ips","eni_tags":{"a":"b"},"eni_tag_filter":{"c":""}',
        '"resource_group_id":"rg-1","address_cooldown":"0s","ip_pool_sync_period":"5m"',
        '"instance_type_limits":{"ecs.x.large":{"eni":3,"ip":6}},"add_timeout":"1m","cloud_timeout":"2.5s"',
        '"rate_limit":{"DescribeVSwitches":30},"region_id":"cn-x","ecs_endpoint":"a.example:8443"',
        '"vpc_endpoint":"https://b.example/","access_key":"id","access_secret":"secret","ip_stack":"ipv4"',
      ].join(","),
    );
    expect(result).toEqual({
      ok: true,
      warnings: [],
      config: {
        ...DEFAULTS,
        vSwitchPolicy: "most",
        vSwitchRetryMs: 90_000,
        securityGroups: ["sg-1", "sg-2"],
        serviceCidrs: ["10.0.0.0/16", "10.1.0.0/16"],
        maxPoolSize: 20,
        minPoolSize: 10,
        maxEni: 3,
        minEni: 1,
        eniCapRatio: 0.5,
        eniCapShift: -1,
        eniPolicy: "least_ips",
        eniTags: { a: "b" },
        eniTagFilter: { c: "" },
        resourceGroup: "rg-1",
        cooldownMs: 0,
        poolSyncPeriodMs: 300_000,
        instanceTypeLimits: { "ecs.x.large": { eni: 3, ip: 6 } },
        addTimeoutMs: 60_000,
        cloudTimeoutMs: 2500,
        rateLimits: { DescribeVSwitches: 30 },
        region: "cn-x",
        ecsEndpoint: "https://a.example:8443",
        vpcEndpoint: "https://b.example",
        inlineCredentials: { accessKeyId: new Secret("id"), accessKeySecret: new Secret("secret") },
      },
    });
    expect(result.ok && result.config.inlineCredentials?.accessKeySecret.reveal()).toBe("secret");
    expect(JSON.stringify(result)).not.toContain('"secret"');
  });

  it("freezes what it gives, all the way down", () => {
    const config = configOf(`{${VSWITCHES}}`);
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.vSwitches["cn-hangzhou-h"])).toBe(true);
    expect(Object.isFrozen(config.idleReclaim)).toBe(true);
  });
});

describe("parseEniConf() on any value", () => {
  const names = [...Object.keys(ENI_KEYS.schema.shape), ...Object.keys(ENI_KEYS.unsupported)];
  const anything = fc.jsonValue({ maxDepth: 3 });
  const members = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), anything, { maxKeys: 12 });

  it("gives problems or a configuration, each finding inside the text, and never throws", () => {
    fc.assert(
      fc.property(fc.oneof(anything, members), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const result = parseEniConf(text);
        const lines = text.split("\n");
        const findings = result.ok ? result.warnings : [...result.problems, ...result.warnings];
        if (!result.ok) expect(result.problems.length).toBeGreaterThan(0);
        for (const { line, column, length, message } of findings) {
          expect(message).not.toBe("");
          expect(length).toBeGreaterThan(0);
          expect(column).toBeLessThanOrEqual((lines[line - 1] ?? "").length);
        }
        formatProblems({ name: "eni_conf", text }, findings);
      }),
      { numRuns: 500 },
    );
  });
});

describe("vSwitchesOf()", () => {
  const config = configOf(FILLED);

  it("gives those of the zone in the configured order", () => {
    expect(vSwitchesOf(config, "cn-hangzhou-h")).toEqual({ ok: true, value: ["vsw-a", "vsw-b"] });
  });

  it("names the zones there are where the node's has none", () => {
    for (const zone of ["cn-hangzhou-j", "constructor"]) {
      expect(vSwitchesOf(config, zone)).toEqual({
        ok: false,
        fault: {
          kind: "no-vswitch",
          zone,
          reason: `vswitches of eni_conf has no vSwitch for ${zone}, the zone of this node; it has cn-hangzhou-h, cn-hangzhou-i`,
          remedy: `add "${zone}": ["vsw-…"] to vswitches of the ConfigMap eni-config`,
        },
      });
    }
  });
});
