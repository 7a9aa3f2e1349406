#!/bin/sh
# Builds cnitool, the CNI project's own client, below .cache and prints its path. Says on standard error what it does;
# where the program is there already it does nothing. Usage: test/cnitool.sh
#
#   with go in PATH or /usr/local/go: its Go module, by way of the module proxy: .cache/cnitool-vVERSION, which has all verbs
#   else (or if that fails), .cache/cnitool-debian, which has add, check and del: Debian's or Ubuntu's source package,
#   with their Go. /etc/apt stays as it is: the sources are asked through a list of our own.
set -eu
cd "$(dirname "$0")/.."
VERSION=v1.3.1
cache=$PWD/.cache
from_go=$cache/cnitool-$VERSION
from_debian=$cache/cnitool-debian
work=$cache/cnitool-build

say() { printf 'cnitool.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

from_module() {
  # Where go.dev's own archive is unpacked to.
  PATH="$PATH:/usr/local/go/bin"
  command -v go >/dev/null 2>&1 || return 1
  say "building github.com/containernetworking/cni/cnitool $VERSION with $(go env GOVERSION), everything below .cache"
  env CGO_ENABLED=0 GOBIN="$work/bin" GOPATH="$work/gopath" GOCACHE="$work/gocache" GOFLAGS=-modcacherw \
    go install "github.com/containernetworking/cni/cnitool@$VERSION" >"$work/log" 2>&1 || {
    say "that did not work: $(tail -n 1 "$work/log")"
    return 1
  }
  mv "$work/bin/cnitool" "$from_go"
}

# The machine's own package sources of its release, as deb-src lines.
source_lines() {
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    case $file in
      *.sources) awk -v codename="$codename" -v RS= '
        { delete field; key = ""
          count = split($0, lines, "\n")
          for (i = 1; i <= count; i++) {
            line = lines[i]
            if (line ~ /^#/) continue
            if (match(line, /^[A-Za-z-]+:/)) { key = tolower(substr(line, 1, RLENGTH - 1)); line = substr(line, RLENGTH + 1) }
            field[key] = field[key] " " line
          }
          if (tolower(field["enabled"]) ~ /no/) next
          gsub(/ /, "", field["signed-by"])
          signed = field["signed-by"] ~ /^\// ? "[signed-by=" field["signed-by"] "] " : ""
          uris = split(field["uris"], uri, " "); suites = split(field["suites"], suite, " ")
          for (u = 1; u <= uris; u++) for (s = 1; s <= suites; s++)
            if (suite[s] == codename || index(suite[s], codename "-") == 1)
              print "deb-src " signed uri[u] " " suite[s] field["components"]
        }' "$file" ;;
      *.list) [ -f "$file" ] && sed -n "s/^deb \(.* $codename\(-[a-z]*\)\{0,1\} .*\)$/deb-src \1/p" "$file" ;;
    esac
  done
}

from_source_package() {
  command -v apt-get >/dev/null 2>&1 || die "no go and no apt-get here; install Go, then try again"
  export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/lib/go/bin"
  if ! [ -x /usr/bin/go ] || ! [ -d /usr/share/gocode/src/github.com/containernetworking/cni ] || ! command -v xz >/dev/null; then
    [ "$(id -u)" = 0 ] || die "run as root, or: apt-get install golang-go golang-github-appc-cni-dev xz-utils"
    say "installing with apt-get: golang-go golang-github-appc-cni-dev xz-utils"
    { apt-get update -q && apt-get install -y -q --no-install-recommends golang-go golang-github-appc-cni-dev xz-utils; } \
      >"$work/log" 2>&1 || die "apt-get failed: $(tail -n 1 "$work/log")"
  fi
  say "fetching the source package golang-github-appc-cni through a package list of our own below .cache"
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/source"
  source_lines >"$work/apt/sources.list"
  [ -s "$work/apt/sources.list" ] || die "no package source of this release in /etc/apt"
  (
    cd "$work/source"
    set -- -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=- \
      -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache"
    apt-get "$@" update && apt-get "$@" source --download-only golang-github-appc-cni && tar xf ./*.orig.tar.*
  ) >"$work/log" 2>&1 || die "apt-get failed: $(tail -n 1 "$work/log")"
  say "building it with $(/usr/bin/go version)"
  (
    cd "$work/source"/*/cnitool
    env CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$work/gocache" \
      /usr/bin/go build -o "$from_debian" cnitool.go
  ) >"$work/log" 2>&1 || die "go build failed: $(tail -n 1 "$work/log")"
}

if ! [ -x "$from_go" ]; then
  rm -rf "$work"
  mkdir -p "$work"
  trap 'rm -rf "$work"' EXIT
  from_module || [ -x "$from_debian" ] || from_source_package
fi
if [ -x "$from_go" ]; then echo "$from_go"; else echo "$from_debian"; fi
