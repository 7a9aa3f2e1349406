#!/bin/sh
# Builds the server of test/interop/grpc-go into .cache/grpc-go and prints that path; where nothing has changed it does
# nothing. Needs go in PATH, and its module proxy the first time. Usage: test/interop/grpc-go.sh
set -eu
cd "$(dirname "$0")/grpc-go"
cache=$PWD/../../../.cache
target=$cache/grpc-go
command -v go >/dev/null 2>&1 || { echo "grpc-go.sh: there is no go in PATH; install golang-go, then try again" >&2; exit 1; }
mkdir -p "$cache"
if ! [ -x "$target" ] || [ main.go -nt "$target" ] || [ go.sum -nt "$target" ]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # Another process may be doing the same: each writes its own file, and the last rename wins.
  env CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -o "$target.$$" . >"$log" 2>&1 || {
    echo "grpc-go.sh: go build failed: $(tail -n 1 "$log")" >&2
    exit 1
  }
  mv "$target.$$" "$target"
fi
(cd "$cache" && echo "$PWD/grpc-go")
