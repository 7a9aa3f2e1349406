#!/bin/sh
# Installs what is missing, and says what it does. Usage: pkg-config/setup.sh [node] [run] [plugin] [arm64] [test] [runtime] [podman] [uml] [uml-source] [uml-kernel] [bench]
#   node   the packages of package-lock.json (Node 26 itself comes from there)
#   run    commands that the simulated VPC and the kernel tests call: ip, nft, ping
#   plugin what the static executable of the plugin is built with: musl-gcc, pip; the build does without where it cannot be had
#   arm64  what it is built and tried with for arm64: a cross compiler, qemu
#   test   what the kernel tests look at the kernel with, and the firewalls that they try: conntrack, iptables; strace, which kills programs at a system call
#   runtime  containerd, runc and the CNI project's loopback, which the plugin is tested with as kubelet would drive it
#   podman   another runtime that the plugin is tested with where it is there
#   uml    a Linux kernel that is a process, for what this machine's kernel lacks (ipvlan): x86-64 only; tests do without
#   uml-source  what such a kernel with nftables is built from, Debian's linux-source-6.1, and with; for whole clusters on ipvlan
#   uml-kernel  that kernel, built once (five minutes); test/run.sh builds it beside the first tests
#   bench  the peers that the benchmark runs beside us: the reference CNI plugins
# A second run installs nothing.
set -eu
cd "$(dirname "$0")/.."
# npm replaces node_modules: it must not run on a Node from there.
PATH=$(printf %s "$PATH" | tr : "\n" | grep -v node_modules | tr "\n" :)
export PATH="${PATH%:}"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

node_packages() {
  command -v npm >/dev/null 2>&1 || die "npm is missing. Install Node.js with npm (Debian: apt-get install npm), then try again"
  stamp=node_modules/.installed-from
  want=$(cat package.json package-lock.json | cksum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
  say "installing the packages of package-lock.json into node_modules (npm ci)"
  npm ci --ignore-scripts --loglevel=error >&2 || die "npm ci failed; is the package registry reachable?"
  printf '%s\n' "$want" >"$stamp"
}

# Node 26 is linked against libatomic, which a minimal system lacks.
node_library() {
  node_modules/.bin/node --version >/dev/null 2>&1 || missing="$missing libatomic1"
}

missing=""
# system PACKAGE COMMAND...: installs PACKAGE where one of the commands is missing.
system() {
  package=$1
  shift
  for command in "$@"; do
    if ! command -v "$command" >/dev/null 2>&1 && ! [ -x "/usr/sbin/$command" ] && ! [ -x "$command" ]; then
      missing="$missing $package"
      return
    fi
  done
}

install_missing() {
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null 2>&1 || die "missing:$missing. This script knows apt-get only; install them with your package manager"
  [ "$(id -u)" = 0 ] || die "missing:$missing. Run as root, or: apt-get install$missing"
  say "installing with apt-get:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of package names
  apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -q >/dev/null || die "apt-get update failed; are the package sources reachable?"
    apt-get install -y -q --no-install-recommends $missing >/dev/null || die "apt-get install$missing failed"
  }
}

# With the engine's source in the cache, pip is not asked any more.
plugin_tools() {
  required=$missing
  missing=""
  system gcc gcc
  system musl-tools musl-gcc
  ls .cache/quickjs/quickjs-ng-*.tar.gz >/dev/null 2>&1 || python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
  (install_missing) || say "without these the plugin runs under Node, which takes 30 ms for each call and not 1"
  missing=$required
}

# What gcc needs for programs of the C library and the kernel's headers; musl-gcc brings its own and lacks the kernel's.
c_headers() {
  [ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
}

# iptables: that kernel has no nftables of the family ip.
uml_tools() {
  [ "$(uname -m)" = x86_64 ] || {
    say "User Mode Linux is for x86-64: what needs ipvlan is not tested on this machine"
    return
  }
  required=$missing
  missing=""
  system user-mode-linux linux.uml
  system busybox-static busybox
  system kmod insmod
  system gcc gcc
  c_headers
  system iptables iptables-legacy
  system procps ps
  (install_missing) || say "without these, what needs ipvlan is not tested on this machine"
  missing=$required
}

# Where the kernel is in the cache nothing is needed any more.
uml_source() {
  uml_tools
  [ "$(uname -m)" = x86_64 ] && ! [ -x .cache/uml/linux ] || return 0
  required=$missing
  missing=""
  ls /usr/src/linux-source-6.1.tar.xz >/dev/null 2>&1 || missing="linux-source-6.1"
  for tool in flex bison bc make; do system "$tool" "$tool"; done
  system xz-utils xz
  system binutils strip
  (install_missing) || say "without these, what needs ipvlan and nftables is not tested on this machine"
  missing=$required
}

uml_kernel() {
  uml_source
  [ -f /usr/src/linux-source-6.1.tar.xz ] && ! [ -x .cache/uml/linux ] || return 0
  say "building a kernel of User Mode Linux with nftables from Debian's source, once; this takes five minutes"
  test/uml/build-kernel.sh || say "it cannot be built: what needs ipvlan and nftables is not tested on this machine"
}

for part in "$@"; do
  case $part in
    plugin) plugin_tools ;;
    arm64)
      system gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
      system qemu-user-static qemu-aarch64-static
      ;;
    node)
      node_packages
      node_library
      ;;
    run)
      system iproute2 ip
      system nftables nft
      system iputils-ping ping
      ;;
    test)
      system conntrack conntrack
      system strace strace
      system iptables iptables-nft iptables-legacy
      system gcc gcc
      c_headers
      ;;
    runtime)
      system containerd containerd containerd-shim-runc-v2 ctr
      system runc runc
      system containernetworking-plugins /usr/lib/cni/loopback
      ;;
    podman) system podman podman ;;
    uml) uml_tools ;;
    uml-source) uml_source ;;
    uml-kernel) uml_kernel ;;
    bench)
      system containernetworking-plugins /usr/lib/cni/ptp
      system gcc gcc
      c_headers
      ;;
    *) die "unknown part $part" ;;
  esac
done
install_missing
