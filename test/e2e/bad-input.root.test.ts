/**
 * What is wrong when a program starts is refused with a message that names the thing, the place and the remedy, with an
 * exit status that is not 0, and without a change of the node or of the cloud.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEFAULT_TOPOLOGY_FILE, DOCUMENTED_POLICY } from "../../sim/model/topology-default.ts";
import { type AgentOptions, prepareAgent, runAgent } from "../harness/agent.ts";
import { run } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

const KEY = "LTAI5tSimulatedVpcKey";
const SECRET = "simulated-vpc-secret";
/** A credential of this name may do all but describe vSwitches. */
const RESTRICTED = "without-vswitches";

/** No RAM role: without an access key there is none at all. */
const TOPOLOGY = {
  ramRole: undefined,
  policies: {
    terway: DOCUMENTED_POLICY,
    [RESTRICTED]: {
      ...DOCUMENTED_POLICY,
      Statement: DOCUMENTED_POLICY.Statement.filter(
        ({ Action }) => !Action.includes("vpc:DescribeVSwitches"),
      ),
    },
  },
  credentials: [
    { accessKeyId: KEY, accessKeySecret: SECRET, policy: "terway" },
    { accessKeyId: RESTRICTED, accessKeySecret: SECRET, policy: RESTRICTED },
  ],
};

let one: OneNode;
let before: Snapshot;
beforeAll(async () => {
  one = await openOneNode(`tw${process.pid}b`, TOPOLOGY);
  before = await one.snapshot();
});
afterAll(async () => {
  await one[Symbol.asyncDispose]();
});

/** Runs terwayd to its end with status 1 and nothing changed on node and in cloud; returns what it says, by lines. */
async function refusal(options: AgentOptions): Promise<string[]> {
  await prepareAgent(options);
  const ran = await runAgent(options);
  expect(differences(before, await one.snapshot())).toEqual([]);
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 1, stdout: "" });
  return readable(ran.stderr);
}

/** Log lines left out; paths, times and request ids made the same in every run. */
function readable(stderr: string): string[] {
  return stderr
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("{"))
    .map((line) =>
      line
        .replaceAll(one.directory, "DIR")
        .replaceAll(/\(request [0-9A-F-]{36}\)/g, "(request ID)")
        .replaceAll(/[0-9-]{10}T[0-9:]{8}Z is 18\d\d s/g, "TIME is 1800 s"),
    );
}

type ConfigRow = {
  readonly what: string;
  /** The whole file, or changes to one that is right. */
  readonly eniConf: string | Readonly<Record<string, unknown>>;
  readonly says: readonly string[];
};

const CONFIG_ROWS: readonly ConfigRow[] = [
  {
    what: "is not JSON",
    eniConf: '{\n  "version": "1",\n  "max_pool_size": 5,,\n}\n',
    says: [
      "terwayd: the configuration cannot be used",
      "DIR/agent/eni-config/eni_conf:3:22: error: not JSON: a key in double quotes is missing, at `,`",
      '  3 |   "max_pool_size": 5,,',
      "    |                      ^",
    ],
  },
  {
    what: "has a value of the wrong type",
    eniConf: { max_pool_size: "five" },
    says: [
      "terwayd: the configuration cannot be used",
      'DIR/agent/eni-config/eni_conf:3:20: error: max_pool_size is the string "five"; a whole number from 0 to 10000 is wanted',
      '  3 |   "max_pool_size": "five",',
      "    |                    ^^^^^^",
    ],
  },
  {
    what: "wants more idle addresses at least than at most",
    eniConf: { min_pool_size: 6 },
    says: [
      "terwayd: the configuration cannot be used",
      "DIR/agent/eni-config/eni_conf:4:20: error: min_pool_size is 6, above max_pool_size, which is 5",
      '  4 |   "min_pool_size": 6,',
      "    |                    ^",
      "    = lower min_pool_size to 5 or raise max_pool_size to 6",
    ],
  },
  {
    what: "has no vSwitch in a zone",
    eniConf: { vswitches: { "cn-hangzhou-h": [] } },
    says: [
      "terwayd: the configuration cannot be used",
      "DIR/agent/eni-config/eni_conf:6:22: error: vswitches.cn-hangzhou-h is empty: a zone needs at least one vSwitch",
      '  6 |     "cn-hangzhou-h": []',
      "    |                      ^^",
      "    = name a vSwitch of this zone, or remove the zone",
    ],
  },
  {
    what: "leaves the node's zone out",
    eniConf: { vswitches: { "cn-hangzhou-i": ["vsw-pods-i1"] } },
    says: [
      "terwayd: vswitches of eni_conf has no vSwitch for cn-hangzhou-h, the zone of this node; it has cn-hangzhou-i",
      '  add "cn-hangzhou-h": ["vsw-…"] to vswitches of the ConfigMap eni-config',
    ],
  },
  {
    what: "names a vSwitch that does not exist",
    eniConf: { vswitches: { "cn-hangzhou-h": ["vsw-pods-h2", "vsw-pods-h9"] } },
    says: [
      "terwayd: vSwitch vsw-pods-h9 does not exist",
      '  correct "vswitches" of eni_conf: zone cn-hangzhou-h needs vSwitches of VPC vpc-demo in that zone',
    ],
  },
  {
    what: "names a vSwitch of another zone",
    eniConf: { vswitches: { "cn-hangzhou-h": ["vsw-pods-i1"] } },
    says: [
      "terwayd: vSwitch vsw-pods-i1 is in zone cn-hangzhou-i, this node in cn-hangzhou-h",
      '  correct "vswitches" of eni_conf: zone cn-hangzhou-h needs vSwitches of VPC vpc-demo in that zone',
    ],
  },
];

const CREDENTIAL_ROWS = [
  {
    what: "a wrong secret",
    key: [KEY, "wrong"],
    says: [
      "terwayd: DescribeVSwitches for vpc-demo in cn-hangzhou-h: SignatureDoesNotMatch: Specified signature does not match our calculation. (request ID)",
      "  the access key secret does not belong to the access key id: correct access-key-secret (Secret alibaba-addon-secret)",
    ],
  },
  {
    what: "an access key that does not exist",
    key: ["LTAI5tNobody", SECRET],
    says: [
      "terwayd: DescribeVSwitches for vpc-demo in cn-hangzhou-h: InvalidAccessKeyId.NotFound: Specified access key is not found: LTAI5tNobody. (request ID)",
      "  the access key id does not exist or is disabled: correct or enable access-key-id (Secret alibaba-addon-secret)",
    ],
  },
  {
    what: "half a key",
    key: [KEY, ""],
    says: [
      "terwayd: the configuration cannot be used",
      "DIR/agent/secret/access-key-secret: error: the file is missing or empty, while DIR/agent/secret/access-key-id is there",
      "  = give both access-key-id and access-key-secret in the Secret alibaba-addon-secret, or neither",
    ],
  },
  {
    what: "no key at all",
    key: ["", ""],
    says: [
      "terwayd: credentials for DIR/agent/secret: CredentialsMissing: no Secret there, no access_key in eni_conf, none in the environment, and no RAM role (no RAM role is attached to this instance) (request none)",
      "  create the Secret alibaba-addon-secret with access-key-id and access-key-secret, or give the instance a RAM role",
    ],
  },
  {
    what: "a key that may not describe vSwitches",
    key: [RESTRICTED, SECRET],
    says: [
      "terwayd: DescribeVSwitches for vpc-demo in cn-hangzhou-h: Forbidden.RAM: User not authorized to operate on the specified resource, or this API doesn't support RAM: vpc:DescribeVSwitches on acs:vpc:cn-hangzhou:1234567890123456:*. (request ID)",
      "  add vpc:DescribeVSwitches to the RAM policy of the user or role that the access key (Secret alibaba-addon-secret) belongs to",
    ],
  },
] as const;

describe("terwayd", () => {
  it.each(CONFIG_ROWS)("refuses an eni_conf that $what", async ({ eniConf, says }) => {
    const right = one.agent("agent", typeof eniConf === "string" ? {} : eniConf);
    const options = typeof eniConf === "string" ? { ...right, eniConf } : right;
    expect(await refusal(options)).toEqual(says);
  });

  it.each(CREDENTIAL_ROWS)("refuses $what", async ({ key: [accessKeyId, accessKeySecret], says }) => {
    expect(await refusal({ ...one.agent("agent"), accessKeyId, accessKeySecret })).toEqual(says);
  });

  it("refuses to go on where the node's clock is wrong", async () => {
    await one.simulator.call("fault", "add", "clockSkew", "skewMs=1800000");
    const said = await refusal(one.agent("agent"));
    await one.simulator.call("fault", "add", "clockSkew", "skewMs=0");
    expect(said).toEqual([
      "terwayd: DescribeVSwitches for vpc-demo in cn-hangzhou-h: InvalidTimeStamp.Expired: Specified time stamp or date value is expired: TIME is 1800 s from the server's time. (request ID)",
      "  the clock of this node is wrong by more than 15 minutes: run chrony (chronyc makestep) or another NTP client",
    ]);
  });

  it("refuses an option that it does not know", async () => {
    const ran = await run(program("terwayd"), ["--nonsense"]);
    const stderr = "terwayd: Unknown option '--nonsense'\nTry: terwayd --help\n";
    expect(ran).toMatchObject({ status: 2, stdout: "", stderr });
  });
});

describe("terway-sim up", () => {
  it("refuses a topology with networks that overlap", async () => {
    const name = `tw${process.pid}o`;
    const path = join(one.directory, "overlap.json");
    const vSwitches = DEFAULT_TOPOLOGY_FILE.vSwitches.map((vSwitch) =>
      vSwitch.id === "vsw-pods-h2" ? { ...vSwitch, cidr: "10.10.16.0/24" } : vSwitch,
    );
    await writeFile(path, JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, vSwitches }, undefined, 2));
    const ran = await run(program("terway-sim"), ["up", path, "--name", name]);
    const said = `${path}:23:15: vSwitches[1].cidr: 10.10.16.0/24 overlaps with 10.10.16.0/28 of vsw-pods-h1; give them networks apart`;
    expect(ran).toMatchObject({ status: 1, stdout: "", stderr: `terway-sim up: ${said}\n` });
    expect((await run("ip", ["netns"])).stdout).not.toContain(name);
  });
});
