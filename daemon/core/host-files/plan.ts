/**
 * Which files on the node keep its programs from our links and ENIs, and what is in them. Pure.
 *
 * A program that manages networks takes a new link for one of its own: it asks for an address by DHCP on an ENI, whose
 * addresses are the pods', brings links down, or removes routes and rules that it did not make. Each of these programs
 * reads drop-in files, so nothing of its own configuration has to be touched.
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";

/** A file of ours. */
export type HostFile = {
  /** Below the node's root, without a leading slash. */
  readonly path: string;
  /** The file is for a program that is there only where this directory is. */
  readonly programDirectory: string;
  readonly text: string;
};

/** The first line of each; `#` begins a comment in all of these formats. */
const MARK = "# Written by terwayd; removed by terwayd --drain. Changes are overwritten.";

/** `hostLinkName`: any other link whose name begins with `tw` is somebody else's. */
const POD_LINKS = `tw${"?".repeat(13)}`;
/** `overlayName`. */
const OVERLAYS = "terway.*";

const UDEV = { path: "etc/udev/rules.d/99-terway.rules", programDirectory: "etc/udev/rules.d" };
const NETWORK_MANAGER = {
  path: "etc/NetworkManager/conf.d/99-terway.conf",
  programDirectory: "etc/NetworkManager/conf.d",
};
/** systemd-networkd takes the first file that matches a link: ours have to come before those of netplan (`10-netplan-…`). */
const NETWORKD_LINKS = {
  path: "etc/systemd/network/00-terway-links.network",
  programDirectory: "etc/systemd/network",
};
const NETWORKD_ENIS = {
  path: "etc/systemd/network/00-terway-enis.network",
  programDirectory: "etc/systemd/network",
};
const NETWORKD = {
  path: "etc/systemd/networkd.conf.d/99-terway.conf",
  programDirectory: "etc/systemd/network",
};
const CLOUD_INIT = { path: "etc/cloud/cloud.cfg.d/99-terway.cfg", programDirectory: "etc/cloud/cloud.cfg.d" };

/** Every path that `planHostFiles` ever uses: what is to be looked at when files go. */
export const HOST_FILE_PATHS: readonly string[] = [
  UDEV,
  NETWORK_MANAGER,
  NETWORKD_LINKS,
  NETWORKD_ENIS,
  NETWORKD,
  CLOUD_INIT,
].map(({ path }) => path);

/** The files for a node with these ENIs that serve pods. The same ENIs in another order are the same files. */
export function planHostFiles(eniMacs: readonly Mac[]): readonly HostFile[] {
  const macs = [...new Set(eniMacs)].sort();
  return [
    { ...UDEV, text: fileText(udevLines(macs)) },
    { ...NETWORK_MANAGER, text: fileText(networkManagerLines(macs)) },
    { ...NETWORKD_LINKS, text: fileText(["[Match]", `Name=${POD_LINKS} ${OVERLAYS}`, ...UNMANAGED]) },
    // A [Match] without a condition would match every link of the node.
    ...(macs.length === 0
      ? []
      : [{ ...NETWORKD_ENIS, text: fileText(["[Match]", `MACAddress=${macs.join(" ")}`, ...UNMANAGED]) }]),
    { ...NETWORKD, text: fileText(NETWORKD_LINES) },
    { ...CLOUD_INIT, text: fileText(CLOUD_INIT_LINES) },
  ];
}

/** Whether we wrote a file with this text. */
export function isOurs(text: string): boolean {
  return text.startsWith(`${MARK}\n`);
}

/** systemd.network(5). */
const UNMANAGED = ["", "[Link]", "Unmanaged=yes"];

/** networkd.conf(5): else a restart of systemd-networkd removes routes and rules that it did not make, ours among them. */
const NETWORKD_LINES = ["[Network]", "ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no"];

/**
 * cloud-init, "updates": the network is configured once for each new instance, not when an ENI is plugged in and not at each
 * boot. On Alibaba Cloud it would otherwise configure every ENI that the metadata service knows.
 */
const CLOUD_INIT_LINES = ["updates:", "  network:", "    when: [boot-new-instance]"];

/**
 * udev(7). Properties of a device are there before any of these programs hears of it, so this works for links that come
 * later without a program that reads its files again. NM_UNMANAGED: NetworkManager(8). ID_NET_MANAGED_BY:
 * systemd-networkd leaves a link with another value than its own name, since version 258.
 */
function udevLines(macs: readonly Mac[]): readonly string[] {
  const leave = `ENV{NM_UNMANAGED}="1", ENV{ID_NET_MANAGED_BY}="terway"`;
  const rule = (match: string): string => `SUBSYSTEM=="net", ACTION!="remove", ${match}, ${leave}`;
  return [rule(`KERNEL=="${POD_LINKS}|${OVERLAYS}"`), ...macs.map((mac) => rule(`ATTR{address}=="${mac}"`))];
}

/** NetworkManager.conf(5): `+=` adds to what other files name. */
function networkManagerLines(macs: readonly Mac[]): readonly string[] {
  const devices = [
    `interface-name:${POD_LINKS}`,
    `interface-name:${OVERLAYS}`,
    ...macs.map((mac) => `mac:${mac}`),
  ];
  return ["[keyfile]", `unmanaged-devices+=${devices.join(";")}`];
}

function fileText(lines: readonly string[]): string {
  return `${[MARK, ...lines].join("\n")}\n`;
}
