/**
 * One object that the kernel should have, as data, with everything that makes it what it is. A plan is an ordered list of
 * them: what a thing needs comes before it. `daemon/netlink/` makes what a plan says (ADD), names what differs from it
 * (CHECK), makes only that (repair) and takes it all away, last thing first (DEL).
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr } from "../../../proto/cidr6.ts";

/** In the node's namespace or in the pod's. */
export type Place = "node" | "pod";

/** A network device: the index is what messages bear, the name is for people. */
export type Device = { readonly name: string; readonly ifIndex: number };

/** One end of a veth: its index is chosen by us, so that what follows can name it without asking. */
export type LinkEnd = Device & { readonly mac: Mac };

/** IPv4 settings of one device, `/proc/sys/net/ipv4/conf/DEV/…`. */
export type Ipv4Settings = {
  readonly forwarding?: boolean;
  /** 1 strict, 2 loose. */
  readonly rpFilter?: 0 | 1 | 2;
  /** The check of the source takes the packet's mark for the way back's. */
  readonly srcValidMark?: boolean;
  /** What has the node's own address for its source comes in; with `rpFilter` 0 sources are then not looked at. */
  readonly acceptLocal?: boolean;
  /** ARP_IGNORE: 8 answers nobody. */
  readonly arpIgnore?: number;
};

/** IPv6 settings of one device, `/proc/sys/net/ipv6/conf/DEV/…`. */
export type Ipv6Settings = {
  /** `disable_ipv6` is 0, whatever new devices get by default. */
  readonly enabled?: true;
  /** Whether router advertisements are believed. */
  readonly acceptRa?: false;
  /** `force_forwarding`: what comes in here is forwarded, though the node forwards nothing else. */
  readonly forwarding?: true;
};

/** What a device is to be; what is not given stays as it is, and is not looked at. */
export type DeviceSettings = {
  readonly up?: boolean;
  /** Bytes, at least. */
  readonly mtu?: number;
  /** IFLA_GROUP. */
  readonly group?: number;
  /** IFLA_IFALIAS. */
  readonly alias?: string;
  /** Asks and answers nobody: every neighbour has the device's own MAC (IFF_NOARP). */
  readonly arp?: false;
  /** `addrgenmode none`: no fe80:: address, and no router solicitations from it. Nothing to do on a kernel without IPv6. */
  readonly linkLocal?: false;
  readonly ipv4?: Ipv4Settings;
  readonly ipv6?: Ipv6Settings;
};

/** A veth whose pod end is born in the pod. Both names and both indexes have to be free. */
export type VethThing = {
  readonly kind: "veth";
  readonly host: LinkEnd;
  readonly pod: LinkEnd;
  /** Bytes, of both ends. */
  readonly mtu: number;
  /** IFLA_GROUP of the host's end. */
  readonly group: number;
};

/** An L2 slave of `parent`, which is in the node's namespace, in bridge mode; its MAC is the parent's. */
export type IpvlanThing = {
  readonly kind: "ipvlan";
  readonly place: Place;
  readonly device: Device;
  readonly parent: Device;
  /** Bytes; not above the parent's. */
  readonly mtu: number;
  /** IFLA_GROUP. */
  readonly group: number;
};

/** A VXLAN device of the node that learns nothing: where frames go is said by FDB entries alone. */
export type VxlanThing = {
  readonly kind: "vxlan";
  readonly device: LinkEnd;
  /** 24 bits. */
  readonly vni: number;
  /** UDP. */
  readonly port: number;
  /** Source of the outer packets. */
  readonly local: IpAddress;
  /** The uplink that outer packets leave by. */
  readonly underlay: Device;
  /** Bytes, exactly. */
  readonly mtu: number;
};

export type SettingsThing = {
  readonly kind: "settings";
  readonly place: Place;
  readonly device: Device;
  readonly settings: DeviceSettings;
};

/** IPv6 addresses are used at once: `nodad`, nobody else can have them. */
export type AddressThing = {
  readonly kind: "address";
  readonly place: Place;
  readonly device: Device;
  readonly address: IpAddress;
  /** Bits. */
  readonly prefixLength: number;
};

/** A route of ours (protocol 84). */
export type RouteThing = {
  readonly kind: "route";
  readonly place: Place;
  readonly table: number;
  /** `0.0.0.0/0` and `::/0` are the default routes. */
  readonly to: IpCidr;
  /** Absent: unicast. The others have no device. */
  readonly type?: "unreachable" | "blackhole";
  readonly device?: Device;
  readonly via?: IpAddress;
  /** The gateway is on the link though no route says so. */
  readonly onlink?: true;
  /** The source address that the namespace's own sockets take. */
  readonly src?: IpAddress;
  /** The lowest is taken; absent: the kernel's own choice (0, and 1024 for IPv6). */
  readonly metric?: number;
};

/** A routing rule of ours (protocol 84). The same family, priority, mark, device and table twice is one. */
export type RuleThing = {
  readonly kind: "rule";
  readonly family: 4 | 6;
  readonly priority: number;
  /** Absent: a blackhole. */
  readonly table?: number;
  /** Within `mask`. Absent: from all. */
  readonly mark?: { readonly value: number; readonly mask: number };
  /** Only for what comes in by the device of this name. */
  readonly iif?: string;
};

/** A permanent neighbour: nobody is ever asked for it. */
export type NeighbourThing = {
  readonly kind: "neighbour";
  readonly place: Place;
  readonly device: Device;
  readonly address: IpAddress;
  readonly mac: Mac;
};

/** A permanent forwarding entry of a VXLAN device: frames to `mac` go to `remote`. */
export type FdbThing = {
  readonly kind: "fdb";
  readonly device: Device;
  readonly mac: Mac;
  readonly remote: IpAddress;
};

/** An element of a verdict map of nftables: what comes in by `device` from `key`. Table, map and chain have to be there. */
export type ElementThing = {
  readonly kind: "element";
  readonly family: "ip" | "ip6";
  readonly table: string;
  readonly map: string;
  readonly device: Device;
  readonly key: IpAddress;
  /** The chain that packets go to. Absent: they are accepted as they are. */
  readonly chain?: string;
};

export type Thing =
  | VethThing
  | IpvlanThing
  | VxlanThing
  | SettingsThing
  | AddressThing
  | RouteThing
  | RuleThing
  | NeighbourThing
  | FdbThing
  | ElementThing;

/** In the order in which it is made. */
export type Plan = readonly Thing[];

/** Where it is; what joins both namespaces is made from the node's. */
export function placeOf(thing: Thing): Place {
  return "place" in thing ? thing.place : "node";
}

/**
 * The thing with all that makes it what it is, as ip(8), bridge(8) and nft(8) would say it. In which pod, whoever shows it
 * has to say: `"route default via 169.254.1.1 dev eth0 onlink"`.
 */
export function describeThing(thing: Thing): string {
  switch (thing.kind) {
    case "veth": {
      const { host, pod, mtu, group } = thing;
      return `link ${endText(host)} type veth mtu ${mtu} group ${group} peer ${endText(pod)} in the pod`;
    }
    case "ipvlan": {
      const { device, parent, mtu, group } = thing;
      return `link ${device.name}@${parent.name} index ${device.ifIndex} type ipvlan mode l2 bridge mtu ${mtu} group ${group}`;
    }
    case "vxlan": {
      const { device, vni, port, local, underlay, mtu } = thing;
      return `link ${endText(device)} type vxlan id ${vni} dstport ${port} local ${local} dev ${underlay.name} nolearning mtu ${mtu}`;
    }
    case "settings":
      return `link ${thing.device.name}${settingsText(thing.settings)}`;
    case "address":
      return nameThing(thing) + (isIpv6(thing.address) ? " nodad" : "");
    case "route": {
      const { onlink, src, metric } = thing;
      return `${nameThing(thing)}${onlink === true ? " onlink" : ""}${option("src", src)}${option("metric", metric)}`;
    }
    case "rule":
      return nameThing(thing);
    case "neighbour":
      return `${nameThing(thing)} lladdr ${thing.mac} nud permanent`;
    case "fdb":
      return `${nameThing(thing)} dst ${thing.remote} self permanent`;
    case "element": {
      const { family, table, map, chain } = thing;
      const verdict = chain === undefined ? "accept" : `goto ${chain}`;
      return `nft element ${family} ${table} ${map} { ${keyText(thing)} : ${verdict} }`;
    }
    default:
      return thing satisfies never;
  }
}

/** What tells the thing from others, without what may be wrong with it: the subject of a sentence. */
export function nameThing(thing: Thing): string {
  switch (thing.kind) {
    case "veth":
      return `device ${thing.host.name}`;
    case "ipvlan":
    case "vxlan":
    case "settings":
      return `device ${thing.device.name}`;
    case "address":
      return `address ${thing.address}/${thing.prefixLength} dev ${thing.device.name}`;
    case "route": {
      const { type, to, via, device, table } = thing;
      const where = `${option("via", via)}${option("dev", device?.name)}`;
      return `route ${type === undefined ? "" : `${type} `}${targetText(to)}${where}${table === MAIN ? "" : ` table ${table}`}`;
    }
    case "rule": {
      const { family, priority, table, mark, iif } = thing;
      const who = mark === undefined ? "from all" : `fwmark ${hex(mark.value)}/${hex(mark.mask)}`;
      const does = table === undefined ? "blackhole" : `lookup ${table}`;
      return `${family === 6 ? "ipv6 " : ""}rule ${priority} ${who}${option("iif", iif)} ${does}`;
    }
    case "neighbour":
      return `neighbour ${thing.address} dev ${thing.device.name}`;
    case "fdb":
      return `fdb ${thing.mac} dev ${thing.device.name}`;
    case "element":
      return `nft element ${thing.family} ${thing.table} ${thing.map} { ${keyText(thing)} }`;
    default:
      return thing satisfies never;
  }
}

/** RT_TABLE_MAIN of <linux/rtnetlink.h>, which ip(8) does not mention. */
const MAIN = 254;

function keyText({ device, key }: ElementThing): string {
  return `${device.name} . ${key}`;
}

function endText({ name, ifIndex, mac }: LinkEnd): string {
  return `${name} index ${ifIndex} address ${mac}`;
}

function targetText(to: IpCidr): string {
  return to.endsWith("/0") ? "default" : to;
}

function settingsText({ up, mtu, group, alias, arp, linkLocal, ipv4, ipv6 }: DeviceSettings): string {
  return [
    up === undefined ? "" : up ? " up" : " down",
    option("mtu", mtu),
    option("group", group),
    option("alias", alias),
    arp === false ? " arp off" : "",
    linkLocal === false ? " addrgenmode none" : "",
    option("ipv4.forwarding", number(ipv4?.forwarding)),
    option("ipv4.rp_filter", ipv4?.rpFilter),
    option("ipv4.src_valid_mark", number(ipv4?.srcValidMark)),
    option("ipv4.accept_local", number(ipv4?.acceptLocal)),
    option("ipv4.arp_ignore", ipv4?.arpIgnore),
    option("ipv6.disable_ipv6", ipv6?.enabled && 0),
    option("ipv6.accept_ra", number(ipv6?.acceptRa)),
    option("ipv6.force_forwarding", number(ipv6?.forwarding)),
  ].join("");
}

function option(name: string, value: string | number | undefined): string {
  return value === undefined ? "" : ` ${name} ${value}`;
}

function number(setting: boolean | undefined): number | undefined {
  return setting === undefined ? undefined : Number(setting);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
