/** What the metadata service shows of ENIs, and that nothing half-read looks like an answer. */
import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { ENIS_MAX, readEnis } from "./metadata-enis.ts";

const MACS = "network/interfaces/macs/";
const MAC = "00:16:3e:00:00:01";
const ITEMS: Readonly<Record<string, string>> = {
  [MACS]: `${MAC}/`,
  [`${MACS}${MAC}/network-interface-id`]: "eni-1",
  [`${MACS}${MAC}/vswitch-id`]: "vsw-1",
  [`${MACS}${MAC}/vswitch-cidr-block`]: "10.0.0.0/24",
  [`${MACS}${MAC}/primary-ip-address`]: "10.0.0.7",
  [`${MACS}${MAC}/private-ipv4s`]: '["10.0.0.7", "10.0.0.8"]',
};
const ENI = {
  id: "eni-1",
  mac: MAC,
  vSwitch: "vsw-1",
  cidr: "10.0.0.0/24",
  primary: "10.0.0.7",
  addresses: ["10.0.0.7", "10.0.0.8"],
  addresses6: [],
};

const read = (more: Readonly<Record<string, string | undefined>> = {}) =>
  readEnis(async (path) => ok({ ...ITEMS, ...more }[path]));

describe("readEnis()", () => {
  it("reads every item of every ENI, in the service's order", async () => {
    expect(await read()).toEqual(ok([ENI]));
    const other = "00:16:3E:00:00:02";
    const second = Object.fromEntries(
      Object.entries(ITEMS).map(([path, value]) => [path.replace(MAC, other), value]),
    );
    const both = await read({
      ...second,
      [MACS]: `${MAC}/\n${other}/\n`,
      [`${MACS}${other}/network-interface-id`]: "eni-2",
      [`${MACS}${other}/ipv6s`]: "[fd00::1, fd00::2]",
      [`${MACS}${other}/vswitch-ipv6-cidr-block`]: "fd00::/64",
    });
    const eni2 = {
      ...ENI,
      id: "eni-2",
      mac: "00:16:3e:00:00:02",
      cidr6: "fd00::/64",
      addresses6: ["fd00::1", "fd00::2"],
    };
    expect(both).toEqual(ok([ENI, eni2]));
  });

  it.each<[path: string, value: string | undefined, reason: string]>([
    ["", undefined, "0 ENIs are listed, which cannot be"],
    ["", "eth0/", "not a MAC address: eth0"],
    [`${MAC}/network-interface-id`, undefined, "there is no such item, though its ENI is listed"],
    [`${MAC}/private-ipv4s`, undefined, "there is no such item, though its ENI is listed"],
    [`${MAC}/private-ipv4s`, "[]", "it makes no sense: []"],
    [`${MAC}/private-ipv4s`, '["10.0.0.8"]', 'it makes no sense: ["10.0.0.8"]'],
    [`${MAC}/private-ipv4s`, '["10.0.0.7","?"]', 'it makes no sense: ["10.0.0.7","?"]'],
    [`${MAC}/primary-ip-address`, "10.0.0", "it makes no sense: 10.0.0"],
    [`${MAC}/ipv6s`, "fd00::1", "it makes no sense: fd00::1"],
    [`${MAC}/ipv6s`, "[10.0.0.7]", "it makes no sense: [10.0.0.7]"],
    [`${MAC}/vswitch-cidr-block`, "10.0.0.0", "it makes no sense: 10.0.0.0"],
    [`${MAC}/vswitch-ipv6-cidr-block`, "no", "it makes no sense: no"],
  ])("names %s where it is %s", async (path, value, reason) => {
    expect(await read({ [MACS + path]: value })).toEqual(
      failed({ kind: "metadata", path: MACS + path, reason }),
    );
  });

  it("reads no more ENIs than an instance can have", async () => {
    let reads = 0;
    const many = Array.from({ length: ENIS_MAX + 1 }, () => `${MAC}/`).join("\n");
    const answer = await readEnis(async (path) => {
      reads += 1;
      return ok(path === MACS ? many : ITEMS[path]);
    });
    expect([answer.ok, reads]).toEqual([false, 1]);
  });
});
