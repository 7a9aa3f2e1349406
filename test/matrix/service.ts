/**
 * Service addresses on a node, made as kube-proxy makes them: DNAT for what is forwarded and for what the node sends, and
 * masquerading of a pod that reaches itself. With `nft`, or with `iptables-legacy` on a kernel that has no nftables of the
 * families ip and ip6.
 *
 * @module
 */
import { must, run } from "../harness/process.ts";

const TABLE = "service";

/** Both protocols of `address`:`port` go to `endpoint`:`port`. */
export type Service = {
  readonly address: string;
  readonly endpoint: string;
  readonly port: number;
};

/** The namespace goes away with all of it. */
export async function addService(namespace: string, service: Service): Promise<void> {
  const { address, endpoint, port } = service;
  const enter = `--net=/run/netns/${namespace}`;
  const isV6 = address.includes(":");
  const family = isV6 ? "ip6" : "ip";
  const to = isV6 ? `[${endpoint}]:${port}` : `${endpoint}:${port}`;
  const created = await run("nsenter", [enter, "nft", "add", "table", family, TABLE]);
  if (created.status === 0) {
    await must("nsenter", [enter, "nft", "-f", "-"], {
      stdin: nftRules(family, service, to),
    });
    return;
  }
  const iptables = isV6 ? "ip6tables-legacy" : "iptables-legacy";
  for (const line of iptablesRules(service, to))
    await must("nsenter", [enter, iptables, "-t", "nat", ...line.split(" ")]);
}

function nftRules(family: "ip" | "ip6", { address, endpoint, port }: Service, to: string): string {
  const dnat = `${family} daddr ${address} meta l4proto { tcp, udp } th dport ${port} dnat to ${to}`;
  const itself = `${family} saddr ${endpoint} ${family} daddr ${endpoint} ct status dnat masquerade`;
  return `
    add chain ${family} ${TABLE} prerouting { type nat hook prerouting priority dstnat; }
    add chain ${family} ${TABLE} output { type nat hook output priority -100; }
    add chain ${family} ${TABLE} postrouting { type nat hook postrouting priority srcnat; }
    add rule ${family} ${TABLE} prerouting ${dnat}
    add rule ${family} ${TABLE} output ${dnat}
    add rule ${family} ${TABLE} postrouting ${itself}
  `;
}

function iptablesRules({ address, endpoint, port }: Service, to: string): string[] {
  const dnat = ["tcp", "udp"].flatMap((protocol) =>
    ["PREROUTING", "OUTPUT"].map(
      (chain) => `-A ${chain} -d ${address} -p ${protocol} --dport ${port} -j DNAT --to-destination ${to}`,
    ),
  );
  return [...dnat, `-A POSTROUTING -s ${endpoint} -d ${endpoint} -m conntrack --ctstate DNAT -j MASQUERADE`];
}
