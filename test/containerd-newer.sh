#!/bin/sh
# Fetches a containerd of version 2 into .cache/containerd-newer, without installing it, and prints the directory of its
# programs. Unlike the one of Debian 12 it asks the plugin for its STATUS. The package comes from Debian unstable, by way
# of the mirror of this machine; /etc/apt stays as it is. Usage: test/containerd-newer.sh   (30 MB)
set -eu
cd "$(dirname "$0")/.."
target=$PWD/.cache/containerd-newer
work=$target.work

say() { printf 'containerd-newer.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

if ! [ -x "$target/usr/bin/containerd" ]; then
  command -v apt-get >/dev/null 2>&1 || die "no apt-get here"
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  trap 'rm -rf "$work"' EXIT
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$keyring" ] || die "$keyring is missing: this works on Debian only"
  mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -n 1)
  [ -n "$mirror" ] || die "apt knows no package source"
  printf 'deb [signed-by=%s] %s sid main\n' "$keyring" "$mirror" >"$work/sources.list"
  say "fetching containerd of Debian unstable into .cache/containerd-newer"
  (
    cd "$work"
    set -- -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
      -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
    apt-get "$@" update && apt-get "$@" download containerd && dpkg -x containerd_*.deb root
  ) >"$work/log" 2>&1 || die "apt-get failed: $(tail -n 1 "$work/log")"
  "$work/root/usr/bin/containerd" --version >&2 || die "this containerd does not run here"
  mv "$work/root" "$target"
fi
echo "$target/usr/bin"
