#!/bin/sh
# All tests, as CI runs them. Ends with what failed by name, and one line: "N passed, N failed".
set -u
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "make test needs root (network namespaces). Without root: make test-unit" >&2; exit 1; }
passed=0
failed=0
# What a test could not do on this machine, and why: said in the end.
TEST_NOTES=$(mktemp)
# Tests that failed, a line each (test/report.ts).
TEST_FAILURES=$(mktemp)
# Which packets pass on which datapath (test/matrix).
TEST_MATRIX=$(mktemp)
export TEST_NOTES TEST_FAILURES TEST_MATRIX
# What the build of a kernel says, which runs beside the first steps.
kernel_log=$(mktemp)
kernel=""
# What the simulation says, which runs beside the tests that mostly wait.
simulation_log=$(mktemp)
simulation=""
trap 'for child in $kernel $simulation; do kill "$child"; done
  rm -f "$TEST_NOTES" "$TEST_FAILURES" "$TEST_MATRIX" "$kernel_log" "$simulation_log"' EXIT
trap 'exit 1' INT TERM HUP

# step TITLE COMMAND...: one line of progress, the output, the verdict.
step() {
  title=$1
  shift
  printf '== %s\n' "$title"
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '== %s FAILED\n' "$title"
    printf '%s\n' "$title" >>"$TEST_FAILURES"
  fi
}

# IPVLAN is tested on User Mode Linux. Its kernel takes five minutes, once, on both processors; what must not be disturbed
# waits for it.
start_kernel() {
  [ -f /usr/src/linux-source-6.1.tar.xz ] && [ ! -x .cache/uml/linux ] || return 0
  echo "== kernel for IPVLAN: built meanwhile from Debian's linux-source-6.1, once"
  test/uml/build-kernel.sh 2>"$kernel_log" &
  kernel=$!
}

await_kernel() {
  [ -n "$kernel" ] || return 0
  echo "== kernel for IPVLAN"
  tail -n 1 -f --pid="$kernel" "$kernel_log"
  wait "$kernel" || echo "the kernel for IPVLAN could not be built: $(tail -n 1 "$kernel_log")" >>"$TEST_NOTES"
  kernel=""
}

# Has the processors only while nobody else wants them (SCHED_IDLE of sched(7)): no test waits for it.
start_simulation() {
  chrt --idle 0 node test/simulate/main.ts --seed 1 --operations 1000000 >"$simulation_log" 2>&1 &
  simulation=$!
}

await_simulation() {
  tail -n +1 -f --pid="$simulation" "$simulation_log"
  wait "$simulation"
  status=$?
  simulation=""
  return $status
}

# demo DATAPATH: status 3 means that this machine cannot show it, and is no failure unless TEST_REQUIRE names it.
demo() {
  DATAPATH=$1 node test/demo/main.ts
  status=$?
  [ $status = 3 ] || return $status
  case ",${TEST_REQUIRE:-}," in *,demo-"$1",*) return 1 ;; esac
  echo "demo of $1: not shown on this machine" >>"$TEST_NOTES"
}

start_kernel
for check in types lint format layers unused docs; do step "$check" npm run -s "$check"; done
step "build" npm run -s bundle
step "unit tests (no root)" npm run -s test
await_kernel
start_simulation
step "kernel and end-to-end tests (root)" npm run -s test:root
step "simulation: 1,000,000 operations" await_simulation
for datapath in veth ipvlan overlay underlay; do step "demo: $datapath" demo $datapath; done
cat "$TEST_MATRIX"
sed 's/^/note: /' "$TEST_NOTES"
sed 's/^/failed: /' "$TEST_FAILURES"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
