#!/bin/bash
# A build beside a plain copy of its base: cold (empty store), warm (one registry value changed), nothing changed.
# Usage: build_ratio.sh BASE.wim      See common.sh for the environment; put WORK on the base's file system.
# Goals on a base of 1 GB: cold <= 2.5, warm <= 1.5, nothing <= 0.1 times `cp base out && sync out`; peak memory < 200 MiB.
# The lock file is there before each timed build, input and base are in the page cache, no integrity table is written.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
base=$(realpath "$1")
source "$(dirname "$0")/common.sh"
recipe=$work/recipe/recipe.toml
output=$work/out.wim
store=$work/store
before=$(sha256_of "$base")
write_recipe "$work/recipe" "$base" "$output" 1
printf '%s on %s (%s bytes)\n' "$("$transom" --version)" "$base" "$(size_of "$base")"

build() { printf "'%s' -q --cache-dir '%s' build '%s'" "$transom" "$store" "$recipe"; }
copy="cp '$base' '$work/copy.wim' && sync '$work/copy.wim'"

"$transom" -q --cache-dir "$store" lock "$recipe" >/dev/null
printf '\ncold: empty store, no output\n'
measure "$rounds" --before "rm -rf '$store' '$output' '$work/copy.wim' && sync" "cp + sync=$copy" "cold build=$(build)"

printf '\nwarm: one registry value changed since the last build\n'
# Both replace the file of the round before: freeing its blocks is part of writing an output again.
change="n=\$(cat '$work/n' 2>/dev/null || echo 1); echo \$((n + 1)) > '$work/n'; sed -i \"s/^Value = .*/Value = \$((n + 1))/\" '$recipe'; sync"
measure "$rounds" --before "$change" "cp + sync=$copy" "warm build=$(build)"

printf '\nnothing changed\n'
measure "$rounds" --before sync "cp + sync=$copy" "same build=$(build)"

printf '\noutput %s bytes, store %s\n' "$(size_of "$output")" "$(du -sh "$store" | cut -f1)"
[ "$(sha256_of "$base")" = "$before" ] || { echo "the base was changed" >&2; exit 1; }
if command -v wimlib-imagex >/dev/null; then
    wimlib-imagex verify "$output" >/dev/null
    echo "wimlib-imagex verify accepts the output; the base is unchanged"
fi
