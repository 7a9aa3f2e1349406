/**
 * Makes the captures of this folder again: `node test/captures/main.ts`, as root, with iproute2, nft, conntrack and
 * strace. It works in two network namespaces of its own.
 *
 * A capture is what a tool sent (taken from strace) or what the kernel answered (from a socket), in hex, under a header
 * that says the command, the kernel and the day. The tests assert what they mean; made anew, expect new values of ids and
 * counters.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { dumpConntrack } from "../../daemon/netlink/codec/conntrack.ts";
import {
  dumpAddresses,
  dumpForwarding,
  dumpLinks,
  dumpNeighbours,
  dumpRoutes,
  dumpRules,
} from "../../daemon/netlink/codec/dump.ts";
import { NLM_F } from "../../daemon/netlink/codec/header.ts";
import { AF } from "../../daemon/netlink/codec/ip.ts";
import { RTM_LINK, setLink } from "../../daemon/netlink/codec/link.ts";
import { dumpElements } from "../../daemon/netlink/codec/nft-element.ts";
import { dumpNsids } from "../../daemon/netlink/codec/nsid.ts";
import { type Request } from "../../daemon/netlink/codec/request.ts";
import { TC_H } from "../../daemon/netlink/codec/tc.ts";
import { dumpFilters } from "../../daemon/netlink/codec/tc-filter.ts";
import { dumpQdiscs } from "../../daemon/netlink/codec/tc-qdisc.ts";
import { NETLINK, openRawSocket } from "./raw-socket.ts";

const HERE = import.meta.dirname;
const HOST = `tw${process.pid}host`;
const POD = `tw${process.pid}pod`;

/** What is there before; nothing of it is captured. */
const SETUP = [
  "ip link set lo up",
  "nft add table ip t",
  "nft add chain ip t c",
  "nft add map ip t marks { type ipv4_addr : mark; }",
  "nft add map ip t verdicts { type ipv4_addr . mark : verdict; }",
  "nft add set ip t blocks { type ipv4_addr . inet_service; flags interval; }",
  // Connections are tracked only where a rule asks for it.
  "nft add chain ip t track { type filter hook prerouting priority 0; }",
  "nft add rule ip t track ct state new accept",
] as const;

/** Commands whose last message is kept, in this order. ipvlan may fail: not every kernel has it. */
const SENT: readonly (readonly [name: string, command: string])[] = [
  ["ip-netns-set", `ip netns set ${POD} 5`],
  [
    "ip-link-add-veth",
    `ip link add name v0 index 10 address 02:00:00:00:00:0a mtu 1400 type veth peer name eth0 index 11 address 02:00:00:00:00:0b netns ${POD}`,
  ],
  [
    "ip-link-add-vxlan",
    "ip link add name vx index 12 address 02:00:00:00:00:0c type vxlan id 1 dstport 8472 local 10.0.0.1 nolearning",
  ],
  ["ip-link-add-bridge", "ip link add name br index 13 address 02:00:00:00:00:0d type bridge"],
  [
    "ip-link-add-macvlan",
    "ip link add link v0 name mv index 14 address 02:00:00:00:00:0e type macvlan mode bridge",
  ],
  ["ip-link-add-ipvlan", "ip link add link v0 name iv index 15 type ipvlan mode l2 bridge"],
  ["ip-link-set-up", "ip link set v0 up"],
  ["ip-link-set-alias", "ip link set v0 alias pod-a"],
  ["ip-link-set-group", "ip link set v0 group 77"],
  ["ip-link-set-master", "ip link set vx master br"],
  ["ip-address-add", "ip address add 10.0.0.1/32 dev v0 noprefixroute"],
  ["ip-route-add-link", "ip route add 10.1.0.0/16 dev v0 proto 77 src 10.0.0.1"],
  [
    "ip-route-add-onlink",
    "ip route add default via 10.9.0.1 dev v0 table 1000 proto 77 onlink mtu lock 1300 metric 5",
  ],
  ["ip-route-add-via-inet6", "ip route add 10.2.0.0/16 via inet6 fe80::1 dev v0 table 1000"],
  [
    "ip-route-add-multipath",
    "ip route add 10.3.0.0/16 table 1000 nexthop via 10.9.0.1 dev v0 weight 3 onlink nexthop dev v0 weight 1",
  ],
  ["ip-route-add-blackhole", "ip route add blackhole 10.4.0.0/16 table 1000"],
  ["ip-route-add-local", "ip route add local 10.5.0.1 dev lo table 1000"],
  [
    "ip-rule-add",
    "ip rule add from 10.0.0.1 to 10.0.0.0/8 iif v0 fwmark 0x10/0xf0 lookup 1000 priority 512 protocol 77 suppress_prefixlength 0",
  ],
  ["ip-neighbour-add", "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent"],
  ["bridge-fdb-append", "bridge fdb append 02:00:00:00:00:77 dev vx dst 10.0.0.77 self"],
  ["nft-add-mark", "nft add element ip t marks { 10.0.0.1 : 0x10, 10.0.0.2 : 0x11 }"],
  ["nft-add-verdict", "nft add element ip t verdicts { 10.0.0.1 . 0x10 : goto c }"],
  ["nft-add-range", "nft add element ip t blocks { 10.0.0.0-10.0.0.255 . 80-443 }"],
  ["nft-delete-mark", "nft delete element ip t marks { 10.0.0.2 }"],
  [
    "conntrack-insert",
    "conntrack -I -s 10.0.0.1 -d 10.0.0.2 -n 10.0.0.99 -p tcp --sport 1001 --dport 80 --state ESTABLISHED -t 1000 -m 5",
  ],
];

/** Commands that take away; their last message is kept too. */
const SENT_AT_LAST: typeof SENT = [
  ["conntrack-delete", "conntrack -D -s 10.0.0.1"],
  ["ip-link-delete-group", "ip link delete group 77"],
];

/** Traffic control comes when all else is gone. What this kernel lacks (fq, skbedit, tunnel_key) fails, but is sent. */
const SENT_OF_TRAFFIC: typeof SENT = [
  ["tc-qdisc-add-tbf", "tc qdisc add dev lo root handle 1: tbf rate 10mbit burst 32kb limit 64kb"],
  ["tc-qdisc-add-tbf-fast", "tc qdisc replace dev br root handle 2: tbf rate 40gbit burst 10mb limit 20mb"],
  ["tc-qdisc-add-clsact", "tc qdisc add dev lo clsact"],
  ["tc-qdisc-add-fq", "tc qdisc add dev br root handle 3: fq limit 1000 flow_limit 100 maxrate 10mbit"],
  [
    "tc-filter-add-ip",
    "tc filter add dev lo egress pref 7 protocol ip u32 match ip dst 172.16.0.0/12 action mirred ingress redirect dev br",
  ],
  [
    "tc-filter-add-ip6",
    "tc filter add dev lo egress pref 8 protocol ipv6 u32 match ip6 dst fd00:1:2::/49 action mirred egress redirect dev br",
  ],
  [
    "tc-filter-add-all",
    "tc filter add dev lo ingress pref 9 protocol all u32 match u32 0 0 action mirred egress redirect dev br",
  ],
  [
    "tc-filter-add-three-actions",
    "tc filter add dev lo egress pref 10 protocol ip u32 match ip dst 10.0.0.1/32 action tunnel_key unset pipe action skbedit ptype host pipe action mirred ingress redirect dev br",
  ],
];

/** Commands that take it away. */
const SENT_AFTER_TRAFFIC: typeof SENT = [
  ["tc-filter-delete", "tc filter delete dev lo egress pref 7 protocol ip"],
  ["tc-qdisc-delete-clsact", "tc qdisc delete dev lo clsact"],
  ["tc-qdisc-delete-root", "tc qdisc delete dev lo root"],
];

const EGRESS = { index: 1, parent: TC_H.CLSACT_EGRESS };

/** Asked between the two. */
const ASKED_OF_TRAFFIC: readonly (readonly [name: string, protocol: number, request: Request])[] = [
  ["qdiscs", NETLINK.ROUTE, dumpQdiscs()],
  ["filters", NETLINK.ROUTE, dumpFilters(EGRESS)],
];

/** Asked between `SENT` and `SENT_AT_LAST`. */
const ASKED: typeof ASKED_OF_TRAFFIC = [
  ["links", NETLINK.ROUTE, dumpLinks()],
  ["addresses", NETLINK.ROUTE, dumpAddresses({ family: AF.UNSPEC })],
  ["routes", NETLINK.ROUTE, dumpRoutes({ table: 1000 })],
  ["routes6", NETLINK.ROUTE, dumpRoutes({ family: AF.INET6, table: 255 })],
  ["rules", NETLINK.ROUTE, dumpRules()],
  ["neighbours", NETLINK.ROUTE, dumpNeighbours({ index: 10 })],
  ["forwarding", NETLINK.ROUTE, dumpForwarding({ index: 12 })],
  ["nsids", NETLINK.ROUTE, dumpNsids()],
  ["error-ext-ack", NETLINK.ROUTE, acked(setLink({ index: 10, mtu: 1_000_000 }))],
  ["error-no-device", NETLINK.ROUTE, acked(setLink({ index: 999, mtu: 1400 }))],
  ["ack", NETLINK.ROUTE, acked(setLink({ index: 10, mtu: 1400 }))],
  ["done-no-device", NETLINK.ROUTE, dumpAddresses({ index: 999 })],
  [
    "error-strict",
    NETLINK.ROUTE,
    { type: RTM_LINK.GET, flags: NLM_F.REQUEST | NLM_F.DUMP, payload: new Uint8Array(4) },
  ],
  ["elements-mark", NETLINK.NETFILTER, dumpElements({ family: AF.INET, table: "t", set: "marks" })],
  ["elements-verdict", NETLINK.NETFILTER, dumpElements({ family: AF.INET, table: "t", set: "verdicts" })],
  ["elements-range", NETLINK.NETFILTER, dumpElements({ family: AF.INET, table: "t", set: "blocks" })],
  ["conntrack", NETLINK.NETFILTER, dumpConntrack()],
];

function acked(request: Request): Request {
  return { ...request, flags: request.flags | NLM_F.ACK };
}

function run(command: string): void {
  execFileSync("ip", ["netns", "exec", HOST, ...command.split(" ")], { stdio: "ignore" });
}

/** The bytes of the last message that `command` sends. */
function sentBy(command: string, scratch: string): Uint8Array {
  const trace = join(scratch, "trace");
  const strace = ["strace", "-f", "-e", "trace=sendmsg,sendto", "-e", "write=all", "-o", trace];
  try {
    run([...strace, ...command.split(" ")].join(" "));
  } catch {
    process.stderr.write(`failed, but was sent: ${command}\n`);
  }
  // Each call begins with the process id; the dump of its bytes follows in lines like ` | 00010  00 0a ...  text |`.
  const calls = readFileSync(trace, "utf8").split(/^\d+ +send/m);
  const dump = calls.at(-1)?.matchAll(/^ \| [0-9a-f]+ {2}([0-9a-f ]{48})/gm) ?? [];
  return Buffer.from(Array.from(dump, ([, bytes = ""]) => bytes.replaceAll(" ", "")).join(""), "hex");
}

function save(name: string, origin: string, bytes: Uint8Array): void {
  const lines =
    Buffer.from(bytes)
      .toString("hex")
      .match(/.{1,64}/g) ?? [];
  const day = new Date().toISOString().slice(0, 10);
  const header = [`# ${origin}`, `# Linux ${release().split("-")[0]}, ${day}`];
  // The name of the namespace has this process's number.
  const text = [...header, ...lines, ""].join("\n").replaceAll(POD, "pod");
  writeFileSync(join(HERE, `${name}.hex`), text);
}

function ask(questions: typeof ASKED): void {
  using route = openRawSocket(`/run/netns/${HOST}`, NETLINK.ROUTE);
  using netfilter = openRawSocket(`/run/netns/${HOST}`, NETLINK.NETFILTER);
  for (const [name, protocol, request] of questions) {
    const socket = protocol === NETLINK.ROUTE ? route : netfilter;
    save(name, `answer of the kernel to message type ${request.type}`, socket.receiveRaw(request));
  }
}

const scratch = mkdtempSync(join(tmpdir(), "captures-"));
try {
  execFileSync("ip", ["netns", "add", HOST]);
  execFileSync("ip", ["netns", "add", POD]);
  for (const command of SETUP) run(command);
  const send = (list: typeof SENT): void => {
    for (const [name, command] of list) save(name, `sent by: ${command}`, sentBy(command, scratch));
  };
  send(SENT);
  ask(ASKED);
  send(SENT_AT_LAST);
  send(SENT_OF_TRAFFIC);
  ask(ASKED_OF_TRAFFIC);
  send(SENT_AFTER_TRAFFIC);
} finally {
  execFileSync("ip", ["netns", "delete", HOST]);
  execFileSync("ip", ["netns", "delete", POD]);
  rmSync(scratch, { recursive: true });
}
