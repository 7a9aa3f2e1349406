import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig, type LoadOptions } from "./load.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "terway-load-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ENI_CONF = '{"vswitches":{"cn-hangzhou-h":["vsw-1"]},"ecs_endpoint":"a.example"}';

function load(files: Readonly<Record<string, string>>, env: LoadOptions["env"] = {}) {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return loadConfig({ configDir: dir, secretDir: dir, env });
}

describe("loadConfig()", () => {
  it("reads both files and says where credentials will come from", async () => {
    const loaded = await load({ eni_conf: ENI_CONF, "10-terway.conf": '{"mtu":1400}' });
    expect(loaded).toMatchObject({
      ok: true,
      value: {
        eni: { vSwitches: { "cn-hangzhou-h": ["vsw-1"] }, ecsEndpoint: "https://a.example", maxPoolSize: 5 },
        cni: { mtuBytes: 1400 },
        warnings: [],
        report: "",
        credentialsSource: "RAM role of the instance",
      },
    });
    const withSecret = await load({ "access-key-id": "id", "access-key-secret": "secret" });
    expect(withSecret).toMatchObject({
      ok: true,
      value: { credentialsSource: "Secret alibaba-addon-secret" },
    });
  });

  it("refuses an MTU that IPv6 cannot have", async () => {
    const dual = ENI_CONF.replace("{", '{"ip_stack":"dual",');
    const loaded = await load({ eni_conf: dual, "10-terway.conf": '{"mtu":1279}' });
    expect(loaded.ok || loaded.fault.report).toContain(
      "error: mtu is 1279, and ip_stack of eni_conf is dual: IPv6 needs 1280 at least",
    );
    expect((await load({ eni_conf: dual, "10-terway.conf": '{"mtu":1280}' })).ok).toBe(true);
    expect((await load({ eni_conf: ENI_CONF, "10-terway.conf": '{"mtu":1279}' })).ok).toBe(true);
  });

  it("lets the environment override the endpoints", async () => {
    const files = { eni_conf: ENI_CONF, "10-terway.conf": "{}" };
    const loaded = await load(files, { ECS_ENDPOINT: "http://127.0.0.1:81", VPC_ENDPOINT: "b.example" });
    expect(loaded).toMatchObject({
      ok: true,
      value: { eni: { ecsEndpoint: "http://127.0.0.1:81", vpcEndpoint: "https://b.example" } },
    });
    expect(loaded.ok && Object.isFrozen(loaded.value.eni)).toBe(true);
  });

  it("reports what is wrong in every place at once, as a compiler would", async () => {
    const files = {
      eni_conf: '{\n  "max_eni": "2",\n  "mtu": 1\n}',
      "10-terway.conf": "{,}",
      "access-key-id": "id",
    };
    const loaded = await load(files, { VPC_ENDPOINT: "x/y" });
    expect(loaded.ok ? "" : loaded.fault.report.replaceAll(dir, "DIR")).toBe(
      [
        'DIR/eni_conf:1:1: error: vswitches is missing; an object from zone to vSwitches, such as {"cn-hangzhou-h": ["vsw-…"]}, is wanted',
        "  1 | {",
        "    | ^",
        '    = add "vswitches"',
        'DIR/eni_conf:2:14: error: max_eni is the string "2"; a whole number from 0 to 64 is wanted',
        '  2 |   "max_eni": "2",',
        "    |              ^^^",
        "    = write 2 without quotes",
        "DIR/10-terway.conf:1:2: error: not JSON: a value is missing, at `,`",
        "  1 | {,}",
        "    |  ^",
        'VPC_ENDPOINT: error: the environment variable is "x/y"; a host or URL without a path is wanted',
        "  = write it as ecs-vpc.cn-hangzhou.aliyuncs.com, or unset it",
        "DIR/access-key-secret: error: the file is missing or empty, while DIR/access-key-id is there",
        "  = give both access-key-id and access-key-secret in the Secret alibaba-addon-secret, or neither",
        "DIR/eni_conf:3:3: warning: mtu is not a key of eni_conf and is ignored",
        '  3 |   "mtu": 1',
        "    |   ^^^^^",
        "    = it belongs into 10-terway.conf",
      ].join("\n"),
    );
    expect(loaded.ok ? [] : loaded.fault.problems.map(({ file }) => file.replace(dir, "DIR"))).toEqual([
      "DIR/eni_conf",
      "DIR/eni_conf",
      "DIR/10-terway.conf",
      "VPC_ENDPOINT",
      "DIR/access-key-secret",
    ]);
  });

  it("names a file that is not there", async () => {
    const loaded = await load({ eni_conf: ENI_CONF });
    expect(loaded).toEqual({
      ok: false,
      fault: {
        kind: "config",
        problems: [
          {
            file: join(dir, "10-terway.conf"),
            line: 1,
            column: 1,
            length: 1,
            path: "",
            message: "cannot be read: ENOENT",
            suggestion: "mount the ConfigMap eni-config there, or give --config",
          },
        ],
        report: `${join(dir, "10-terway.conf")}: error: cannot be read: ENOENT\n  = mount the ConfigMap eni-config there, or give --config`,
      },
    });
  });

  it("warns of what is ignored, a list of plugins included", async () => {
    const loaded = await load({
      eni_conf: ENI_CONF,
      "10-terway.conf": '{"debug":true}',
      "10-terway.conflist": "{}",
    });
    expect(
      loaded.ok && loaded.value.warnings.map(({ file, message }) => [file.replace(dir, "DIR"), message]),
    ).toEqual([
      ["DIR/10-terway.conf", "debug is known but not supported by this version, and is ignored"],
      ["DIR/10-terway.conflist", "is for the runtime (--cni-conf-dir); the agent takes 10-terway.conf"],
    ]);
    expect(loaded.ok && loaded.value.report.replaceAll(dir, "DIR")).toBe(
      [
        "DIR/10-terway.conf:1:2: warning: debug is known but not supported by this version, and is ignored",
        '  1 | {"debug":true}',
        "    |  ^^^^^^^",
        "    = remove the key",
        "DIR/10-terway.conflist: warning: is for the runtime (--cni-conf-dir); the agent takes 10-terway.conf",
        "  = keep what concerns terway in both the same",
      ].join("\n"),
    );
  });
});
