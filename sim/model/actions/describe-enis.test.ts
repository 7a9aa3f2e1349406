import { describe, expect, it } from "vitest";
import { cloudOf, create } from "../test-cloud.ts";
import { type VirtualAnswer } from "../virtual-cloud.ts";

function ids(answer: VirtualAnswer): readonly string[] {
  return [
    ...JSON.stringify(answer.body["NetworkInterfaceSets"]).matchAll(/"NetworkInterfaceId":"([^"]+)"/g),
  ].map(([, id]) => id ?? "");
}

describe("DescribeNetworkInterfaces", () => {
  it("shows a new ENI after a while", () => {
    const cloud = cloudOf({
      latencies: { visibility: { minMs: 5000, maxMs: 5000 }, describe: { minMs: 0, maxMs: 0 } },
    });
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    expect(ids(cloud.call("DescribeNetworkInterfaces", { "NetworkInterfaceId.1": eni }))).toEqual([]);
    cloud.pass(5000);
    expect(ids(cloud.call("DescribeNetworkInterfaces", { "NetworkInterfaceId.1": eni }))).toEqual([eni]);
  });

  it("filters and pages", () => {
    const cloud = cloudOf();
    const tagged = Array.from({ length: 12 }, (_, index) =>
      String(
        create(cloud, { "Tag.1.Key": "k", "Tag.1.Value": String(index % 2) }).body["NetworkInterfaceId"],
      ),
    );
    cloud.pass(1000);
    const describeAll = (filter: Readonly<Record<string, string>>): VirtualAnswer =>
      cloud.call("DescribeNetworkInterfaces", filter);
    const odd = tagged.filter((_, index) => index % 2 === 1);
    expect(ids(describeAll({ "Tag.1.Key": "k", "Tag.1.Value": "1" }))).toEqual(odd);
    expect(ids(describeAll({ InstanceId: "i-node-1", Type: "Primary", MaxResults: "500" }))).toHaveLength(1);
    expect(ids(describeAll({ Status: "InUse" }))).toHaveLength(2);
    expect(ids(describeAll({ VSwitchId: "vsw-nodes-i", VpcId: "vpc-demo" }))).toHaveLength(1);
    const first = describeAll({ VSwitchId: "vsw-pods-h2", MaxResults: "10" });
    const token = String(first.body["NextToken"]);
    const second = describeAll({ VSwitchId: "vsw-pods-h2", MaxResults: "10", NextToken: token });
    expect([...ids(first), ...ids(second)]).toEqual(tagged);
    expect([first.body["TotalCount"], second.body["NextToken"]]).toEqual([12, ""]);
    const page = describeAll({ VSwitchId: "vsw-pods-h2", PageNumber: "3", PageSize: "5" });
    expect(ids(page)).toEqual(tagged.slice(10));
    expect(describeAll({ MaxResults: "5" }).code).toBe("InvalidParameter");
    expect(describeAll({ NextToken: "nonsense" }).code).toBe("InvalidParameter");
  });
});
