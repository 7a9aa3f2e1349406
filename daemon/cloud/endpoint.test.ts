import { describe, expect, it } from "vitest";
import { defaultEndpoint, parseEndpoint } from "./endpoint.ts";

describe("parseEndpoint()", () => {
  it.each([
    ["http://127.0.0.1:8080", { protocol: "HTTP", host: "127.0.0.1:8080" }],
    ["HTTP://ecs.local/", { protocol: "HTTP", host: "ecs.local" }],
    ["https://ecs.cn-beijing.aliyuncs.com", { protocol: "HTTPS", host: "ecs.cn-beijing.aliyuncs.com" }],
    ["ecs-vpc.cn-beijing.aliyuncs.com", { protocol: "HTTPS", host: "ecs-vpc.cn-beijing.aliyuncs.com" }],
    ["[fd00::1]:443", { protocol: "HTTPS", host: "[fd00::1]:443" }],
  ])("reads %s", (text, endpoint) => {
    expect(parseEndpoint(text)).toEqual(endpoint);
  });

  it.each(["", "ftp://a", "http://", "http://a/path", "http://user@a", "a b", "a:123456"])(
    "refuses %j",
    (text) => {
      expect(parseEndpoint(text)).toBeUndefined();
    },
  );
});

describe("defaultEndpoint()", () => {
  it("is the one inside the VPC, also where the SDK would take the public one", () => {
    expect([defaultEndpoint("ecs", "cn-hangzhou"), defaultEndpoint("vpc", "cn-hangzhou")]).toEqual([
      "ecs-vpc.cn-hangzhou.aliyuncs.com",
      "vpc-vpc.cn-hangzhou.aliyuncs.com",
    ]);
  });
});
