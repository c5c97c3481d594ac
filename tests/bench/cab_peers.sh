#!/bin/sh
# How fast cabinets are unpacked, beside cabextract (Debian package cabextract): one thread and two, MSZIP and LZX, one folder and sixteen.
#
#   tests/bench/cab_peers.sh DIRECTORY [MEGABYTES]
#
# packs files of DIRECTORY, MEGABYTES together (500), into cabinets and unpacks them; CORPUS and WORK as in common.sh are not used.
# Prints the ratio to cabextract's time (below 1 is faster). Goals: 1.0 on one thread, 0.63 on two where there are several folders.
set -eu
export CARGO_TERM_QUIET=true
directory=${1:?"which directory?"}
megabytes=${2:-500}
cd "$(dirname "$0")/../.."
command -v cabextract >/dev/null || { echo "oracle missing: cabextract (Debian package cabextract)"; exit 1; }
command -v hyperfine >/dev/null || { echo "missing: hyperfine (Debian package hyperfine)"; exit 1; }
bench=$(cargo bench --locked --no-run --bench cab_peers --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*cab_peers[^"]*\)".*/\1/p' | tail -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$directory" -type f -size +4k -printf '%s %p\n' | sort -k2 |
    awk -v most="$megabytes" '{ size = $1; sub(/^[0-9]+ /, ""); if (sum + size <= most * 1000000) { sum += size; print } }' > "$work/files"
pack() { tr '\n' '\0' < "$work/files" | xargs -0 "$bench" make "$1" "$2" "$work/$1-$2.cab"; }
ratio() { # name cabinet threads goal
    rm -rf "$work/out"; mkdir "$work/out"
    hyperfine --style none --warmup 1 --runs "${RUNS:-3}" --export-json "$work/times" \
        --prepare "rm -rf $work/out; mkdir $work/out" \
        "$bench extract $3 $2 $work/out" "cabextract -q -d $work/out $2" >/dev/null 2>&1
    python3 - "$1" "$work/times" "$4" <<'PYTHON'
import json, sys
name, path, goal = sys.argv[1:]
ours, theirs = (result["min"] for result in json.load(open(path))["results"])
print(f"{name:30} {ours:7.2f} s  cabextract {theirs:7.2f} s  ratio {ours / theirs:.2f} {'' if ours / theirs <= float(goal) else 'MISSED'}")
PYTHON
}
for method in mszip lzx; do
    for folders in 1 16; do
        pack $method $folders
        cabinet=$work/$method-$folders.cab
        echo "$method, $folders folders: $(stat -c %s "$cabinet") bytes"
        ratio "$method, $folders folders, 1 thread" "$cabinet" 1 1.0
        [ $folders -gt 1 ] && ratio "$method, $folders folders, 2 threads" "$cabinet" 2 0.63
        rm "$cabinet"
    done
done
