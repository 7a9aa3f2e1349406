import { describe, expect, it } from "vitest";
import { parseEniConf } from "./eni-conf.ts";
import { ENI_KEYS } from "./eni-keys.ts";

const VSWITCHES = '"vswitches":{"cn-hangzhou-h":["vsw-1"]}';

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

const A_DURATION = 'such as "30s" or "1m30s", is wanted';
const LONG = "x".repeat(129);

/** Members beside `vswitches`, which take the first 40 columns of line 2, and everything that is said of them. */
const REFUSED: readonly (readonly [members: string, ...problems: readonly string[]])[] = [
  [
    '"max_pool_size":"5"',
    '2:17 max_pool_size is the string "5"; a whole number from 0 to 10000 is wanted -> write 5 without quotes',
  ],
  ['"max_pool_size":1.5', "2:17 max_pool_size is the number 1.5; a whole number from 0 to 10000 is wanted"],
  ['"max_pool_size":true', "2:17 max_pool_size is true; a whole number from 0 to 10000 is wanted"],
  ['"min_pool_size":-1', "2:17 min_pool_size is the number -1; a whole number from 0 to 10000 is wanted"],
  [
    '"min_pool_size":9,"max_pool_size":8',
    "2:17 min_pool_size is 9, above max_pool_size, which is 8 -> lower min_pool_size to 8 or raise max_pool_size to 9",
  ],
  [
    '"min_pool_size":6',
    "2:17 min_pool_size is 6, above max_pool_size, which is not given and so 5 -> lower min_pool_size to 5 or raise max_pool_size to 6",
  ],
  [
    '"min_eni":3,"max_eni":2',
    "2:11 min_eni is 3, above max_eni, which is 2 -> lower min_eni or raise max_eni",
  ],
  [
    '"vswitch_selection_policy":"orderd"',
    '2:28 vswitch_selection_policy is the string "orderd"; one of "ordered", "random", "most" is wanted -> did you mean "ordered"?',
  ],
  ['"add_timeout":"0.5s"', `2:15 add_timeout is the string "0.5s"; a duration from 1s to 4m, ${A_DURATION}`],
  [
    '"add_timeout":90',
    `2:15 add_timeout is the number 90; a duration from 1s to 4m, ${A_DURATION} -> write "90s" for 90 seconds`,
  ],
  [
    '"address_cooldown":"-1s"',
    `2:20 address_cooldown is the string "-1s"; a duration from 0s to 1h, ${A_DURATION}`,
  ],

  [
    '"orphan_eni_after":"0s"',
    `2:20 orphan_eni_after is the string "0s"; a duration from 1s to 24h, ${A_DURATION}`,
  ],
  [
    '"cloud_timeout":"10 s"',
    `2:17 cloud_timeout is the string "10 s"; a duration from 1s to 2m, ${A_DURATION}`,
  ],
  [
    '"security_groups":"sg-1"',
    '2:19 security_groups is the string "sg-1"; a list of at most 5 security groups, such as ["sg-…"], is wanted -> write ["sg-1"]',
  ],
  [
    '"security_groups":["sg-1","sg-2","sg-3","sg-4","sg-5","sg-6"]',
    '2:19 security_groups is a list of 6; a list of at most 5 security groups, such as ["sg-…"], is wanted',
  ],
  [
    '"security_group":"sg-0","security_groups":["sg-1","sg-2","sg-3","sg-4","sg-5"]',
    "2:43 security_groups and security_group together name 6 security groups; an ENI has at most 5 -> remove one",
  ],
  [
    '"security_group":"vsw-1"',
    '2:18 security_group is the string "vsw-1"; the id of a security group ("sg-…") is wanted',
  ],
  ['"eni_tags":{"":"x"}', '2:13 eni_tags has the key "", which has no name'],
  [
    '"eni_tags":{"acs:x":"y"}',
    '2:13 eni_tags has the key "acs:x", which begins with aliyun or acs:, which the cloud keeps for itself',
  ],
  [
    `"eni_tags":{"${LONG}":"y"}`,
    `2:13 eni_tags has the key "${"x".repeat(59)}…", which has 129 characters (128 at most)`,
  ],
  [`"eni_tags":{"a":"${LONG}"}`, "2:17 eni_tags.a has 129 characters; a tag's value has at most 128"],
  [
    '"eni_tags":{"a":"http://x"}',
    "2:17 eni_tags.a contains http:// or https://, which the cloud refuses in tags",
  ],
  [
    `"eni_tags":${JSON.stringify(Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`t${at}`, ""])))}`,
    "2:12 eni_tags has 16 tags; at most 15 are possible",
  ],
  [
    '"access_key":"id"',
    "2:14 access_key is given without access_secret -> give access_secret too, or neither and mount the Secret alibaba-addon-secret",
  ],
  [
    '"access_secret":"s3cr3t"',
    "2:17 access_secret is given without access_key -> give access_key too, or neither and mount the Secret alibaba-addon-secret",
  ],
  ['"access_key":12345,"access_secret":"x"', "2:14 access_key is a number; a string is wanted"],
  ['"service_cidr":"10.0.0.0"', '2:16 service_cidr holds "10.0.0.0", which is no CIDR block'],
  [
    '"service_cidr":"10.0.0.9/24"',
    "2:16 service_cidr holds 10.0.0.9/24, an address inside a network and not a network -> write 10.0.0.0/24",
  ],
  [
    '"service_cidr":"10.0.0.0/24,"',
    "2:16 service_cidr has an empty part between commas -> remove the comma that is too much",
  ],
  [
    '"instance_type_limits":{"ecs.x.large":{"eni":1,"ipp":5}}',
    '2:39 instance_type_limits["ecs.x.large"].ip is missing; a whole number from 1 to 64 is wanted',
    '2:46 instance_type_limits["ecs.x.large"].eni is the number 1; a whole number from 2 to 64 is wanted',
    '2:48 instance_type_limits["ecs.x.large"].ipp is not known; {"eni": …, "ip": …} is wanted',
  ],
  [
    '"rate_limit":{"DescribeVSwitches":0}',
    "2:35 rate_limit.DescribeVSwitches is the number 0; a whole number from 1 to 100000 is wanted",
  ],
  [
    '"ecs_endpoint":"https://x/path"',
    '2:16 ecs_endpoint is the string "https://x/path"; a host or URL without a path, such as "ecs-vpc.cn-hangzhou.aliyuncs.com", is wanted',
  ],
  [
    '"ip_stack":"ipv5"',
    '2:12 ip_stack is the string "ipv5"; one of "ipv4", "dual", "ipv6" is wanted -> did you mean "ipv4"?',
  ],
  [
    '"enable_eni_trunking":true',
    "2:1 enable_eni_trunking is not supported by this version, and to ignore it would not give what it asks for -> remove the key",
  ],
  [
    '"credential_path":"/var/addon/token-config"',
    "2:1 credential_path is not supported by this version, and to ignore it would not give what it asks for -> mount the Secret alibaba-addon-secret and remove the key",
  ],
  [
    '"ipam_type":"crd"',
    '2:1 ipam_type is not supported by this version, and to ignore it would not give what it asks for -> write ""',
  ],
  ['"max_eni":1,"max_eni":2', "2:13 max_eni is given twice -> keep one of the two"],
];

const WARNED: readonly (readonly [members: string, ...warnings: readonly string[]])[] = [
  [
    '"max_pool_sise":5',
    "2:1 max_pool_sise is not a key of eni_conf and is ignored -> did you mean max_pool_size?",
  ],
  [
    '"MAX_POOL_SIZE":5',
    "2:1 MAX_POOL_SIZE is not a key of eni_conf and is ignored -> did you mean max_pool_size?",
  ],
  ['"mtu":1500', "2:1 mtu is not a key of eni_conf and is ignored -> it belongs into 10-terway.conf"],
  [
    '"zzzzzzzz":5',
    "2:1 zzzzzzzz is not a key of eni_conf and is ignored -> the nearest known key is version",
  ],
  [
    '"enable_erdma":false',
    "2:1 enable_erdma is known but not supported by this version, and is ignored -> remove the key",
  ],
  [
    '"backoff_override":{"default":{}}',
    "2:1 backoff_override is known but not supported by this version, and is ignored -> remove the key",
  ],
  [
    '"idle_ip_reclaim_after":"5m"',
    "2:1 idle_ip_reclaim_after has no effect in this version -> remove the key",
  ],
  ['"version":"2"', '2:11 version is "2"; only "1" exists, and the file is read as that'],
  [
    '"security_group":"sg-1","security_groups":["sg-2"]',
    "2:18 security_group is given beside security_groups; new ENIs get all of them -> move it into security_groups",
  ],
  [
    '"service_cidr":"10.0.0.0/16,fc00::/112"',
    "2:16 service_cidr holds fc00::/112, which is not used: ip_stack is ipv4 -> set ip_stack to dual, or remove it",
  ],
  [
    '"rate_limit":{"DescribeVSwitch":5}',
    "2:33 rate_limit.DescribeVSwitch is for an action that the agent never calls -> did you mean DescribeVSwitches?",
  ],
  [
    '"ecs_endpoint":"http://127.0.0.1:80"',
    "2:16 ecs_endpoint is http: what the agent asks and hears is not encrypted -> use https outside of tests",
  ],
];

describe("parseEniConf() on values that are wrong", () => {
  it("says what is there, what is wanted and what to do, at the place", () => {
    for (const [members, ...problems] of REFUSED) {
      expect(problemsOf(`{${VSWITCHES},\n${members}}`), members).toEqual(problems);
    }
  });

  it("warns of what is ignored", () => {
    for (const [members, ...warnings] of WARNED) {
      const result = parseEniConf(`{${VSWITCHES},\n${members}}`);
      expect(result.ok, members).toBe(true);
      expect(said(result.warnings), members).toEqual(warnings);
    }
  });

  it("refuses vswitches that name nothing, something else or the same twice", () => {
    const wanted = 'an object from zone to vSwitches, such as {"cn-hangzhou-h": ["vsw-…"]}, is wanted';
    expect(problemsOf("{}")).toEqual([`1:1 vswitches is missing; ${wanted} -> add "vswitches"`]);
    expect(problemsOf('{"vswitches":["vsw-1"]}')).toEqual([`1:14 vswitches is a list of 1; ${wanted}`]);
    expect(problemsOf('{"vswitches":{}}')).toEqual([
      '1:14 vswitches names no zone: the agent would not know where to create ENIs -> write {"cn-hangzhou-h": ["vsw-…"]}',
    ]);
    expect(problemsOf('{"vswitches":{"cn-a":[],"cn-b":["vsw-1",2,"vsw_3"]}}')).toEqual([
      "1:22 vswitches.cn-a is empty: a zone needs at least one vSwitch -> name a vSwitch of this zone, or remove the zone",
      '1:41 vswitches.cn-b[1] is the number 2; the id of a vSwitch ("vsw-…") is wanted',
      '1:43 vswitches.cn-b[2] is the string "vsw_3"; the id of a vSwitch ("vsw-…") is wanted',
    ]);
    expect(problemsOf('{"vswitches":{"Zone A":["vsw-1"]}}')).toEqual([
      '1:15 vswitches has the key "Zone A"; the name of a zone, such as "cn-hangzhou-h", is wanted',
    ]);
    expect(problemsOf('{"vswitches":{"cn-a":["vsw-1","vsw-1"],"cn-b":["vsw-1"]}}')).toEqual([
      "1:31 vswitches.cn-a[1] repeats vsw-1, named already in the same zone -> keep one of the two",
      "1:48 vswitches.cn-b[0] repeats vsw-1, named already in cn-a; a vSwitch lies in one zone only -> keep one of the two",
    ]);
  });

  it("finds everything at once, what keys say to each other included", () => {
    expect(
      problemsOf(
        '{\n"vswitches":{},\n"max_eni":"x",\n"min_pool_size":7,\n"max_pool_size":6,\n"access_key":"k"}',
      ).map((problem) => problem.split(" ").slice(0, 2).join(" ")),
    ).toEqual(["2:13 vswitches", "3:11 max_eni", "4:17 min_pool_size", "6:14 access_key"]);
  });

  it("has one table row for each key that can be wrong", () => {
    const rows = [...REFUSED, ...WARNED].map(([members]) => members).join();
    const untested = Object.keys(ENI_KEYS.schema.shape).filter((name) => !rows.includes(`"${name}"`));
    expect(untested.filter((name) => !PLAIN.has(name))).toEqual([]);
  });
});

/** Keys whose checks are those of another key of the same kind. */
const PLAIN = new Set([
  "vswitches",
  "vswitch_retry_after",
  "eni_cap_ratio",
  "eni_cap_shift",
  "eni_selection_policy",
  "eni_tag_filter",
  "resource_group_id",
  "ip_pool_sync_period",
  "idle_ip_reclaim_interval",
  "idle_ip_reclaim_batch_size",
  "idle_ip_reclaim_jitter_factor",
  "region_id",
  "vpc_endpoint",
]);
