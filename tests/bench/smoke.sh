#!/bin/bash
# Each benchmark script once on the demo's small base, so that none of them rots. The figures of this run mean nothing.
# Usage: smoke.sh FOLDER      FOLDER holds the transom-demo/ that `transom demo` made.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
transom=${TRANSOM:-$here/../../target/release/transom}
base=$(find "$(realpath "$1")/transom-demo" -name '*.wim' -not -path '*/out/*' | sort | head -1)
[ -n "$base" ] || { echo "no base WIM below $1/transom-demo: run the demo first" >&2; exit 2; }
export ROUNDS=1
mkdir -p "$1/tree"
cp -r "$here/../../src" "$1/tree/"
"$here/build_ratio.sh" "$base"
"$here/kill_build.sh" "$base" 4
"$here/two_builds.sh" "$base"
wim=$1/smoke.wim
wimlib-imagex capture "$1/tree" "$wim" Smoke --no-acls >/dev/null
BASES=$wim KINDS="xpress:default=XPRESS:50 lzx:fast=LZX:10 lzms:fast=LZMS:20 solid:fast=solid:20" "$here/wim_peers.sh" "$1/tree"

hive=$1/SYSTEM
"$transom" wim cat "$base" --index 1 Windows/System32/config/SYSTEM > "$hive"
# As the release profile, so that what the demo compiled is used again.
export CARGO_PROFILE_BENCH_DEBUG=false CARGO_PROFILE_BENCH_STRIP=symbols
"$here/hive/run.sh" "$hive"
head -c 300000 "$transom" > "$1/sample"
"$here/codec_peers.sh" "$1/sample"
RUNS=1 "$here/cab_peers.sh" "$here/../../src" 2
"$here/packages.sh" 40 5
"$here/diff.sh" 2000 2
