#!/bin/bash
# Two builds at once on one store: with two outputs both must succeed with the same bytes; with one output the second waits or ends with exit code 9.
# Usage: two_builds.sh BASE.wim      See common.sh for the environment. ROUNDS pairs of each kind are run.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
base=$(realpath "$1")
source "$(dirname "$0")/common.sh"
store=$work/store
for name in one two; do
    write_recipe "$work/$name" "$base" "$work/$name.wim" 1
done
write_recipe "$work/again" "$base" "$work/one.wim" 1
for name in one two again; do "$transom" -q --cache-dir "$store" lock "$work/$name/recipe.toml" >/dev/null; done

# pair A B: builds both at once; sets code_a and code_b.
pair() {
    code_a=0 code_b=0
    "$transom" -q --cache-dir "$store" build "$work/$1/recipe.toml" >/dev/null & first=$!
    "$transom" -q --cache-dir "$store" build "$work/$2/recipe.toml" >/dev/null & second=$!
    wait "$first" || code_a=$?
    wait "$second" || code_b=$?
}

for ((round = 1; round <= rounds; round++)); do
    rm -rf "$store" "$work"/*.wim
    pair one two
    printf 'two outputs: exit codes %s and %s\n' "$code_a" "$code_b"
    [ "$code_a" -eq 0 ] && [ "$code_b" -eq 0 ]
    cmp "$work/one.wim" "$work/two.wim"
    expected=$(sha256_of "$work/one.wim")

    rm -rf "$store" "$work"/*.wim
    pair one again
    printf 'one output: exit codes %s and %s\n' "$code_a" "$code_b"
    for code in "$code_a" "$code_b"; do [ "$code" -eq 0 ] || [ "$code" -eq 9 ]; done
    [ "$code_a" -eq 0 ] || [ "$code_b" -eq 0 ]
    [ "$(sha256_of "$work/one.wim")" = "$expected" ]
done
echo "all pairs as promised"
