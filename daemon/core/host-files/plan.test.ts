import { describe, expect, it } from "vitest";
import { parseMac } from "../../../proto/addr.ts";
import { hostLinkName } from "../datapath/link-name.ts";
import { overlayName } from "../hybrid/desired.ts";
import { HOST_FILE_PATHS, isOurs, planHostFiles } from "./plan.ts";

const [FIRST, SECOND] = ["00:16:3e:00:00:0a", "00:16:3e:00:00:0b"].map((text) => {
  const mac = parseMac(text);
  if (mac === undefined) throw new Error(text);
  return mac;
});
if (FIRST === undefined || SECOND === undefined) throw new Error("two MACs");

/** As udev(7), systemd.network(5) and NetworkManager.conf(5) do: `?` is any character, `*` any number of them. */
function matches(glob: string, name: string): boolean {
  const pattern = glob
    .replaceAll(".", String.raw`\.`)
    .replaceAll("?", ".")
    .replaceAll("*", ".*");
  return new RegExp(`^${pattern}$`).test(name);
}

describe("planHostFiles()", () => {
  it("names our links and the ENIs in the words of each program", () => {
    const texts = Object.fromEntries(
      planHostFiles([SECOND, FIRST, SECOND]).map(({ path, text }) => [path, text.split("\n").slice(1)]),
    );
    const leave = 'ENV{NM_UNMANAGED}="1", ENV{ID_NET_MANAGED_BY}="terway"';
    expect(texts).toEqual({
      "etc/udev/rules.d/99-terway.rules": [
        `SUBSYSTEM=="net", ACTION!="remove", KERNEL=="tw?????????????|terway.*", ${leave}`,
        `SUBSYSTEM=="net", ACTION!="remove", ATTR{address}=="00:16:3e:00:00:0a", ${leave}`,
        `SUBSYSTEM=="net", ACTION!="remove", ATTR{address}=="00:16:3e:00:00:0b", ${leave}`,
        "",
      ],
      "etc/NetworkManager/conf.d/99-terway.conf": [
        "[keyfile]",
        "unmanaged-devices+=interface-name:tw?????????????;interface-name:terway.*;mac:00:16:3e:00:00:0a;mac:00:16:3e:00:00:0b",
        "",
      ],
      "etc/systemd/network/00-terway-links.network": [
        "[Match]",
        "Name=tw????????????? terway.*",
        "",
        "[Link]",
        "Unmanaged=yes",
        "",
      ],
      "etc/systemd/network/00-terway-enis.network": [
        "[Match]",
        "MACAddress=00:16:3e:00:00:0a 00:16:3e:00:00:0b",
        "",
        "[Link]",
        "Unmanaged=yes",
        "",
      ],
      "etc/systemd/networkd.conf.d/99-terway.conf": [
        "[Network]",
        "ManageForeignRoutes=no",
        "ManageForeignRoutingPolicyRules=no",
        "",
      ],
      "etc/cloud/cloud.cfg.d/99-terway.cfg": ["updates:", "  network:", "    when: [boot-new-instance]", ""],
    });
    expect(Object.keys(texts)).toEqual(HOST_FILE_PATHS);
  });

  it("has no file without a condition: it would match every link", () => {
    const files = planHostFiles([]);
    expect(files.map(({ path }) => path)).not.toContain("etc/systemd/network/00-terway-enis.network");
    for (const { text } of files) expect(text).not.toContain("MACAddress");
  });

  it("matches the names of our links and no others", () => {
    const [, name = ""] = /Name=(.*)/.exec(planHostFiles([])[2]?.text ?? "") ?? [];
    const isNamed = (link: string): boolean => name.split(" ").some((glob) => matches(glob, link));
    expect(isNamed(hostLinkName({ network: "terway", containerId: "c1", ifName: "eth0" }))).toBe(true);
    expect(isNamed(overlayName(1))).toBe(true);
    expect(["eth0", "twin0", "tw-bridge", "flannel.1", "terway"].filter(isNamed)).toEqual([]);
  });

  it("marks its files, and knows them by the mark", () => {
    for (const { text } of planHostFiles([FIRST])) expect(isOurs(text)).toBe(true);
    expect(isOurs("")).toBe(false);
    expect(isOurs("[keyfile]\nunmanaged-devices=none\n")).toBe(false);
  });
});
