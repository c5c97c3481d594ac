#!/bin/bash
# What driver packages cost: a build of the base alone against builds that add every package, cold and from the cache, and what `plan` says after
# one package changed.
# Usage: drivers.sh BASE.wim FOLDER      FOLDER holds packages: every INF becomes one entry. See common.sh for the environment.
#   INDEX    which image of the base (default 1)
#   WHOLE=1  one entry with the whole FOLDER instead
# Each package gets a folder of its own (its INF, and what of the same folder is not an INF and is named in it), as packages usually come.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
base=$(realpath "$1")
given=$(realpath "$2")
source "$(dirname "$0")/common.sh"

# A copy, because one package is changed below.
packages=$work/packages
number=0
while IFS= read -r inf; do
    number=$((number + 1))
    folder=$packages/$(printf '%03d' "$number")
    mkdir -p "$folder"
    cp --no-preserve=mode "$inf" "$folder"
    text=$(tr -d '\000' < "$inf" | tr '[:upper:]' '[:lower:]')
    while IFS= read -r file; do
        name=$(basename "$file" | tr '[:upper:]' '[:lower:]')
        case $name in *.inf) continue ;; esac
        [[ $text == *"$name"* ]] || continue
        below=${file#"$(dirname "$inf")"/}
        mkdir -p "$folder/$(dirname "$below")"
        cp --no-preserve=mode "$file" "$folder/$below"
    done < <(find "$(dirname "$inf")" -type f | sort)
done < <(find "$given" -type f -iname '*.inf' | sort)
[ "$number" -gt 0 ] || { printf 'no INF below %s\n' "$given" >&2; exit 2; }
store=$work/store

# fits FOLDER: true when the package is complete and for the base's architecture and build.
fits() {
    "$transom" --cache-dir "$work/inspect" inspect driver "$1" --into "$base" --index "${INDEX:-1}" --json | python3 -c '
import json, sys
survey = json.load(sys.stdin)[0]
incomplete = any("does not have" in problem["cause"] for problem in survey["problems"])
sys.exit(0 if survey["packages"] and not incomplete else 1)'
}

# recipe NAME DRIVERS: a recipe that builds $work/NAME.wim, with drivers when DRIVERS is 1.
recipe() {
    cat > "$work/$1.toml" <<TOML
[image]
name = "bench"
version = "1"

[base]
wim = "$base"
index = ${INDEX:-1}

[output]
path = "$work/$1.wim"
integrity = false
TOML
    [ "$2" = 1 ] || return 0
    if [ "${WHOLE:-0}" = 1 ]; then
        printf '\n[drivers.all]\nsource = "packages"\nunsigned = "allow"\nwhen-not-native = "first-boot"\n' >> "$work/$1.toml"
        return 0
    fi
    local folder number=0
    for folder in "$packages"/*; do
        fits "$folder" || continue
        number=$((number + 1))
        printf '\n[drivers.p%s]\nsource = "packages/%s"\nunsigned = "allow"\nwhen-not-native = "first-boot"\n' \
            "${folder##*/}" "${folder##*/}" >> "$work/$1.toml"
    done
    printf '%d packages\n' "$number"
}

recipe plain 0
recipe drivers 1
for name in plain drivers; do "$transom" -q --cache-dir "$store" lock "$work/$name.toml" > /dev/null; done

build() { printf "'%s' -q --cache-dir '%s' build '%s/%s.toml'" "$transom" "$store" "$work" "$1"; }
printf '\ncold: empty store, no output\n'
measure "$rounds" --before "rm -rf '$store' '$work'/*.wim && sync" "plain=$(build plain)" "with drivers=$(build drivers)"
for name in plain drivers; do eval "$(build "$name")" > /dev/null; done
printf '\nwarm: everything in the store, no output\n'
measure "$rounds" --before "rm -f '$work'/*.wim && sync" "plain=$(build plain)" "with drivers=$(build drivers)"

# A binary: an INF may be UTF-16, and must stay one that can be read.
changed=$(find "$packages" -type f -iname '*.sys' | sort | head -n 1)
[ -n "$changed" ] || { printf 'no .sys below %s to change\n' "$given" >&2; exit 2; }
printf 'changed' >> "$changed"
printf '\nafter a change of %s:\n' "${changed#"$packages"/}"
"$transom" --cache-dir "$store" plan "$work/drivers.toml"
