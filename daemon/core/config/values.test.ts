import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDuration } from "./duration.ts";
import { parseEndpoint } from "./endpoint.ts";
import { parseEniConf } from "./eni-conf.ts";
import { poolBounds } from "./pool-bounds.ts";
import { formatProblems, pathText } from "./problem.ts";
import { maskSecrets, Secret } from "./secret.ts";
import { type TypeLimits } from "./type-limits.ts";

describe("parseDuration()", () => {
  it("reads what Go's time.ParseDuration reads, as whole milliseconds", () => {
    const table = {
      "0": 0,
      "0s": 0,
      "30s": 30_000,
      "1m30s": 90_000,
      "1.5s": 1500,
      ".5h": 1_800_000,
      "250ms": 250,
      "1500us": 2,
      "1500µs": 2,
      "999ns": 0,
      "1h2m3s4ms": 3_723_004,
    };
    expect(Object.fromEntries(Object.keys(table).map((text) => [text, parseDuration(text)]))).toEqual(table);
  });

  it("refuses everything else", () => {
    const wrong = ["", "5", "-1s", "+1s", "1 s", "s", "1d", "1s ", "1.s", "1e3s", "Infinitys", "5minutes"];
    expect(wrong.filter((text) => parseDuration(text) !== undefined)).toEqual([]);
    expect(parseDuration(`${"9".repeat(400)}h`)).toBeUndefined();
  });
});

describe("parseEndpoint()", () => {
  it("makes a URL without a path", () => {
    const table = {
      "ecs-vpc.cn-hangzhou.aliyuncs.com": "https://ecs-vpc.cn-hangzhou.aliyuncs.com",
      "https://host/": "https://host",
      "http://127.0.0.1:8080": "http://127.0.0.1:8080",
      "host:443": "https://host:443",
    };
    expect(Object.fromEntries(Object.keys(table).map((text) => [text, parseEndpoint(text)]))).toEqual(table);
    const wrong = ["", "ftp://x", "http://", "x/y", "http://u@x", "x:0", "x:65536", "x:", "a b", "-x"];
    expect(wrong.filter((text) => parseEndpoint(text) !== undefined)).toEqual([]);
  });
});

describe("Secret", () => {
  it("shows itself to nobody who does not ask", () => {
    const secret = new Secret("LTAI5tXYZ");
    expect([String(secret), JSON.stringify({ secret }), inspect({ secret }), secret.toString()]).toEqual([
      "******",
      '{"secret":"******"}',
      "{ secret: ****** }",
      "******",
    ]);
    expect(secret.reveal()).toBe("LTAI5tXYZ");
  });
});

describe("maskSecrets()", () => {
  it("keeps the length and hides the values, also where the text is no JSON", () => {
    const table = {
      '{"access_key": "abc", "access_secret":"de\n': '{"access_key": "***", "access_secret":"**\n',
      '"access_key": "",\n"access_secret": ""': '"access_key": "",\n"access_secret": ""',
      "'access_secret' : 'abc'": "'access_secret' : '***'",
      "access_key = abc, max_eni": "access_key = ***, max_eni",
      '"access_secret":\n  "abc"': '"access_secret":\n  "***"',
    };
    expect(Object.fromEntries(Object.keys(table).map((text) => [text, maskSecrets(text)]))).toEqual(table);
  });
});

describe("formatProblems()", () => {
  it("prints file, line, column, the line with a mark, and the remedy", () => {
    const text = '{\n\t"max_pool_size": "5",\n  "vswitches": {"cn-hangzhou-h": ["vsw-1"]}\n}';
    const result = parseEniConf(text);
    expect(result.ok ? "" : formatProblems({ name: "/etc/eni/eni_conf", text }, result.problems)).toBe(
      [
        '/etc/eni/eni_conf:2:19: error: max_pool_size is the string "5"; a whole number from 0 to 10000 is wanted',
        '  2 | \t"max_pool_size": "5",',
        "    | \t                 ^^^",
        "    = write 5 without quotes",
      ].join("\n"),
    );
  });

  it("cuts a long line around the place, and shows no secret of it", () => {
    const text = `{"x":"${"a".repeat(200)}","access_key":"LTAI5tXYZ","access_secret":"topsecret","max_eni":-1}`;
    const result = parseEniConf(text);
    const shown = result.ok ? "" : formatProblems({ name: "eni_conf", text }, result.problems);
    expect(shown).toContain('"access_key":"*********","access_secret":"*********","max_eni":-1}');
    expect(shown).not.toMatch(/topsecret|LTAI/);
    const [, line = "", mark = ""] = shown.split("\n").slice(-3);
    expect(line.length).toBeLessThan(120);
    expect(line.slice(mark.indexOf("^"), mark.lastIndexOf("^") + 1)).toBe("-1");
  });
});

describe("pathText()", () => {
  it("writes a path as a person would", () => {
    expect(pathText(["vswitches", "cn-hangzhou-h", 0])).toBe("vswitches.cn-hangzhou-h[0]");
    expect(pathText(["eni_tags", "ack.aliyun.com"])).toBe('eni_tags["ack.aliyun.com"]');
  });
});

describe("poolBounds()", () => {
  const xlarge: TypeLimits = { eni: 4, ip: 15 };
  const bounds = (members: string, limits = xlarge) => {
    const result = parseEniConf(`{"vswitches":{"cn-a":["vsw-1"]}${members}}`);
    if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join());
    return poolBounds(result.config, limits);
  };

  const six = (stack: string, ipv6?: number) =>
    bounds(`,"ip_stack":"${stack}","max_pool_size":100`, {
      eni: 2,
      ip: 10,
      ...(ipv6 === undefined ? {} : { ipv6 }),
    });

  it("takes the primary ENI off and keeps idle addresses as configured", () => {
    expect(bounds("")).toEqual({ enisMax: 3, addressesPerEni: 15, idleMin: 0, idleMax: 5 });
    expect(bounds(',"max_eni":2,"min_pool_size":3')).toEqual({
      enisMax: 2,
      addressesPerEni: 15,
      idleMin: 3,
      idleMax: 5,
    });
    expect(bounds(',"eni_cap_ratio":0.5,"eni_cap_shift":1')).toMatchObject({ enisMax: 2 });
    expect(bounds(',"eni_cap_shift":9')).toMatchObject({ enisMax: 3 });
    expect(bounds(',"min_eni":1')).toMatchObject({ idleMin: 15, idleMax: 15 });
    expect(bounds(',"max_pool_size":1000', { eni: 2, ip: 4 })).toMatchObject({ enisMax: 1, idleMax: 4 });
    expect(bounds("", { eni: 1, ip: 4 })).toEqual({ enisMax: 0, addressesPerEni: 4, idleMin: 0, idleMax: 0 });
  });

  it("counts pairs where pods get IPv6, limited by the smaller quota", () => {
    const common = { enisMax: 1, addressesPerEni: 10, idleMin: 0 };
    expect(six("ipv4", 6)).toEqual({ ...common, idleMax: 10 });
    expect(six("dual", 6)).toEqual({ ...common, addresses6PerEni: 6, idleMax: 6 });
    expect(six("ipv6", 20)).toEqual({ ...common, addresses6PerEni: 20, idleMax: 10 });
    expect(six("dual")).toEqual({ ...common, addresses6PerEni: 10, idleMax: 10 });
    expect(six("dual", 0)).toEqual({ ...common, addresses6PerEni: 0, idleMax: 0 });
  });

  it("never promises more than the type allows, nor a minimum above the maximum", () => {
    const size = fc.nat(10_000);
    const input = fc.record({
      max: size,
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      eniMax: fc.nat(64),
      eniMin: fc.nat(64),
      shift: fc.integer({ min: -64, max: 64 }),
      eni: fc.integer({ min: 2, max: 64 }),
      ip: fc.integer({ min: 1, max: 64 }),
    });
    fc.assert(
      fc.property(input, ({ max, part, eniMax, eniMin, shift, eni, ip }) => {
        const least = eniMax === 0 ? eniMin : Math.min(eniMin, eniMax);
        const found = bounds(
          `,"max_pool_size":${max},"min_pool_size":${Math.floor(max * part)},"max_eni":${eniMax},"min_eni":${least},"eni_cap_shift":${shift}`,
          { eni, ip },
        );
        expect(found.enisMax).toBeGreaterThanOrEqual(0);
        expect(found.enisMax).toBeLessThan(eni);
        expect(found.idleMin).toBeLessThanOrEqual(found.idleMax);
        expect(found.idleMax).toBeLessThanOrEqual(found.enisMax * ip);
      }),
    );
  });
});
