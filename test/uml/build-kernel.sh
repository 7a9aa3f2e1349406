#!/bin/sh
# Builds the kernel of User Mode Linux from Debian's source into .cache/uml/linux, once: that of the package has no nftables of
# the families ip, ip6, inet, arp and netdev, which the agent and the simulated VPC are made with. Everything is built in, so it
# boots faster, too. Five minutes of two processors and 2 GB of disk, which are given back; `pkg-config/setup.sh uml-kernel`
# installs what it needs. Says on standard error every quarter of a minute how far it is.
set -eu
cache=$(cd "$(dirname "$0")/../.." && pwd)/.cache/uml
mkdir -p "$cache"
# Another one builds it already, for another command of this checkout: waited for.
exec 9>"$cache/.building"
flock 9
[ ! -x "$cache/linux" ] || exit 0
source=/usr/src/linux-source-6.1.tar.xz
[ -f "$source" ] || { echo "$source is missing: it comes with the package linux-source-6.1" >&2; exit 1; }

# IPV6_SIT: built in, each new namespace would have a device sit0 beside lo.
disabled="
  IPV6_SIT MODULES DEBUG_KERNEL DEBUG_INFO DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT FTRACE SOUND BLK_DEV EXT4_FS REISERFS_FS QUOTA
  AUTOFS_FS AUTOFS4_FS ISO9660_FS BLOCK UML_NET WLAN SECURITY BTRFS_FS"
enabled="
  HOSTFS OVERLAY_FS TMPFS TMPFS_XATTR TMPFS_POSIX_ACL DEVTMPFS PROC_FS SYSFS CGROUPS FHANDLE MEMCG CGROUP_PIDS
  CGROUP_FREEZER NAMESPACES UTS_NS IPC_NS USER_NS PID_NS NET_NS UNIX INET PACKET PACKET_DIAG INET_DIAG NETLINK_DIAG
  INET_UDP_DIAG IP_MULTICAST IP_ADVANCED_ROUTER IP_MULTIPLE_TABLES IP_ROUTE_MULTIPATH IPV6 IPV6_MULTIPLE_TABLES
  IPV6_SUBTREES IPV6_ROUTER_PREF NETFILTER NETFILTER_ADVANCED NETFILTER_INGRESS NETFILTER_EGRESS NETFILTER_NETLINK
  NF_CONNTRACK NF_CONNTRACK_MARK NF_CONNTRACK_EVENTS NF_CONNTRACK_PROCFS NF_CONNTRACK_ZONES NF_CT_NETLINK NF_NAT
  NF_TABLES NF_TABLES_INET NF_TABLES_NETDEV NF_TABLES_IPV4 NF_TABLES_IPV6 NF_TABLES_ARP NFT_NUMGEN NFT_CT NFT_CONNLIMIT
  NFT_LOG NFT_LIMIT NFT_MASQ NFT_REDIR NFT_NAT NFT_TUNNEL NFT_QUOTA NFT_REJECT NFT_COMPAT NFT_OBJREF NFT_HASH NFT_FIB_INET
  NFT_FIB_IPV4 NFT_FIB_IPV6 NFT_FIB_NETDEV NFT_SOCKET NFT_TPROXY NETFILTER_XTABLES NETFILTER_XT_MARK
  NETFILTER_XT_CONNMARK NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_COMMENT NETFILTER_XT_MATCH_CONNTRACK
  NETFILTER_XT_MATCH_MAC NETFILTER_XT_MATCH_STATISTIC NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_NAT
  NETFILTER_XT_TARGET_MASQUERADE NETFILTER_XT_TARGET_CT NETFILTER_XT_TARGET_REDIRECT IP_NF_IPTABLES IP_NF_FILTER
  IP_NF_TARGET_REJECT IP_NF_NAT IP_NF_TARGET_MASQUERADE IP_NF_MANGLE IP_NF_RAW IP6_NF_IPTABLES IP6_NF_FILTER
  IP6_NF_TARGET_REJECT IP6_NF_NAT IP6_NF_TARGET_MASQUERADE IP6_NF_MANGLE IP6_NF_RAW BRIDGE VLAN_8021Q NETDEVICES
  NET_CORE DUMMY VETH IPVLAN MACVLAN VXLAN TUN NET_VRF NET_L3_MASTER_DEV NET_SCHED NET_SCH_HTB NET_SCH_TBF NET_SCH_FQ
  NET_SCH_FQ_CODEL NET_SCH_INGRESS NET_SCH_NETEM NET_SCH_PRIO NET_CLS NET_CLS_ACT NET_CLS_U32 NET_CLS_FW NET_CLS_FLOWER
  NET_CLS_MATCHALL NET_CLS_BPF NET_CLS_BASIC NET_ACT_MIRRED NET_ACT_SKBEDIT NET_ACT_POLICE NET_ACT_GACT
  NET_ACT_TUNNEL_KEY NET_ACT_PEDIT NET_ACT_VLAN NET_ACT_CSUM IFB BPF_SYSCALL CGROUP_BPF TCP_MD5SIG EPOLL SIGNALFD
  TIMERFD EVENTFD AIO SHMEM MEMFD_CREATE INOTIFY_USER POSIX_TIMERS POSIX_MQUEUE SYSVIPC FUTEX ADVISE_SYSCALLS
  MEMBARRIER IO_URING MULTIUSER BINFMT_ELF BINFMT_SCRIPT UNIX98_PTYS MAGIC_SYSRQ PRINTK SECCOMP SECCOMP_FILTER
  NO_HZ_IDLE HIGH_RES_TIMERS"
# Without one of these the kernel is of no use here.
needed="
  DUMMY HOSTFS IPV6 IPVLAN IP_MULTIPLE_TABLES NET_ACT_SKBEDIT NET_CLS_MATCHALL NET_SCH_TBF NFT_MASQ NFT_NAT NFT_OBJREF NF_CT_NETLINK
  NF_TABLES_ARP NF_TABLES_INET NF_TABLES_IPV4 NF_TABLES_IPV6 NF_TABLES_NETDEV OVERLAY_FS VETH VXLAN"

work=$(mktemp -d "$cache/build.XXXXXX")
compiler=""
trap 'rm -rf "$work"' EXIT
trap '[ -z "$compiler" ] || kill "$compiler" && wait; exit 1' INT TERM HUP
tar -xf "$source" -C "$work" --strip-components=1
cd "$work"
export ARCH=um
make -s defconfig
for option in $disabled; do scripts/config --disable "$option"; done
for option in $enabled; do scripts/config --enable "$option"; done
make -s olddefconfig
for option in $needed; do
  grep -q "^CONFIG_$option=y$" .config || { echo "the source has no option $option" >&2; exit 1; }
done
make -j"$(nproc)" linux >"$cache/build.log" 2>&1 &
compiler=$!
seconds=0
while kill -0 "$compiler" 2>/dev/null; do
  sleep 1
  seconds=$((seconds + 1))
  [ $((seconds % 15)) != 0 ] || echo "kernel for IPVLAN: $(grep -c '^  CC' "$cache/build.log") files compiled after $seconds s" >&2
done
wait "$compiler" || { tail -20 "$cache/build.log" >&2; exit 1; }
compiler=""
strip -o "$cache/.linux" linux
mv "$cache/.linux" "$cache/linux"
