#!/bin/bash
# Hives beside libhivex in C, in one run: load and walk, ten thousand new keys below 100 parents and below one.
# Usage: run.sh HIVE      a clean hive; a real SYSTEM hive of about 11 MB shows the most
#   ROUNDS (default 3)    how often each command runs, interleaved; the best counts
#   SLOW=1                runs libhivex below one parent too: a minute and 430 MB
# Peer: libhivex (libhivex-dev, gcc). The sums that both print must agree.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
hive=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/transom-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
measure() { python3 "$here/../measure.py" "$@"; }

theirs=$work/libhivex_driver
gcc -O2 -Wall -o "$theirs" "$here/libhivex_driver.c" -lhivex
(cd "$root" && cargo bench --locked --bench hive_walk --no-run)
ours=$(cd "$root" && cargo bench --locked --bench hive_walk --no-run --message-format=json 2>/dev/null |
    python3 -c 'import json, sys
found = [json.loads(line).get("executable") for line in sys.stdin if "hive_walk" in line]
print([path for path in found if path][-1])')

[ "$("$theirs" walk 1 "$hive")" = "$("$ours" walk 1 "$hive")" ] || { echo "the two do not see the same hive" >&2; exit 1; }
rounds=${ROUNDS:-3}
printf 'load and walk, 20 times\n'
measure "$rounds" "libhivex=$theirs walk 20 '$hive'" "transom=$ours walk 20 '$hive'"
printf '\n100 parents of 100 keys with two values, 5 times\n'
measure "$rounds" "libhivex=$theirs parents 5 '$hive' $work/theirs" "transom=$ours parents 5 '$hive' $work/ours"
printf 'grown by: libhivex %s, transom %s bytes\n' $(($(stat -c %s "$work/theirs") - $(stat -c %s "$hive"))) \
    $(($(stat -c %s "$work/ours") - $(stat -c %s "$hive")))
printf '\n10,000 keys below one parent%s\n' "${SLOW:+, transom 10 times}"
if [ -n "${SLOW:-}" ]; then
    measure 1 "libhivex=$theirs one 1 '$hive' $work/theirs" "transom x 10=$ours one 10 '$hive' $work/ours"
    printf 'grown by: libhivex %s, ' $(($(stat -c %s "$work/theirs") - $(stat -c %s "$hive")))
else
    measure "$rounds" "transom=$ours one 1 '$hive' $work/ours"
fi
printf 'transom %s bytes\n' $(($(stat -c %s "$work/ours") - $(stat -c %s "$hive")))
