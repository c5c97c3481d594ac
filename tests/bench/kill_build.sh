#!/bin/bash
# Kills a build at random moments: no output may be there, the base must be untouched, and the next build on the same store must give the
# bytes of a build never killed.
# Usage: kill_build.sh BASE.wim [KILLS]      KILLS defaults to 50; SEED (default 1) chooses the moments. See common.sh for the rest.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
base=$(realpath "$1")
kills=${2:-50}
source "$(dirname "$0")/common.sh"
RANDOM=${SEED:-1}
output=$work/out/image.wim
store=$work/store
mkdir -p "$work/out"
write_recipe "$work/recipe" "$base" "$output" 1
# Run it in a subshell or in the background only: exec makes $! the program itself, not a shell that would outlive the kill.
build() { exec "$transom" -q --cache-dir "$store" build "$work/recipe/recipe.toml"; }

base_before=$(sha256_of "$base")
"$transom" -q --cache-dir "$store" lock "$work/recipe/recipe.toml"
rm -rf "$store"
start=$(date +%s%N)
(build)
took=$(( ($(date +%s%N) - start) / 1000000 ))
expected=$(sha256_of "$output")
printf 'a build never killed takes %s ms and gives %s\n' "$took" "$expected"

killed=0 finished=0 bad=0 most=0
complain() { bad=$((bad + 1)); printf 'kill %s after %s ms: %s\n' "$round" "$moment" "$1"; }
for ((round = 1; round <= kills; round++)); do
    # Every fourth kill meets an empty store, the others one that earlier kills left.
    [ $((round % 4)) -ne 1 ] || rm -rf "$store"
    rm -f "$output"
    moment=$((RANDOM * (took + took / 10 + 1) / 32768))
    build &
    child=$!
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    kill -9 "$child" 2>/dev/null || true
    if wait "$child" 2>/dev/null; then
        finished=$((finished + 1))
        [ -e "$output" ] || complain "the build said it succeeded, but there is no output"
    else
        killed=$((killed + 1))
        if [ -e "$output" ] && [ "$(sha256_of "$output")" != "$expected" ]; then
            complain "an incomplete output is there"
        fi
    fi
    left=$(find "$work/out" -mindepth 1 ! -path "$output" | wc -l)
    [ "$left" -le "$most" ] || most=$left
    if ! (build); then
        complain "the next build fails"
    elif [ "$(sha256_of "$output")" != "$expected" ]; then
        complain "the next build gives other bytes"
    fi
done
left=$(find "$work/out" -mindepth 1 ! -path "$output" | wc -l)
if [ "$(sha256_of "$base")" != "$base_before" ]; then round=any moment=some; complain "the base was changed"; fi
printf '%s killed, %s had finished before; %s wrong. Files beside the output: at most %s after a kill, %s at the end\n' \
    "$killed" "$finished" "$bad" "$most" "$left"
[ "$bad" -eq 0 ]
