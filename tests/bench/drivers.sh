#!/bin/bash
# What driver packages cost: a build of the base alone against builds that add every package, cold and from the cache, and what `plan` says after
# one package changed.
# Usage: drivers.sh BASE.wim FOLDER      FOLDER holds packages: every folder with an INF becomes one entry. See common.sh for the environment.
#   INDEX    which image of the base (default 1)
#   WHOLE=1  one entry with the whole FOLDER instead
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
base=$(realpath "$1")
given=$(realpath "$2")
source "$(dirname "$0")/common.sh"

# A copy, because one package is changed below.
packages=$work/packages
cp -r --no-preserve=mode "$given" "$packages"
store=$work/store

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
        printf '\n[drivers.all]\nsource = "packages"\nunsigned = "allow"\n' >> "$work/$1.toml"
        return 0
    fi
    local number=0 folder
    while IFS= read -r folder; do
        number=$((number + 1))
        printf '\n[drivers.package%d]\nsource = "packages/%s"\nunsigned = "allow"\n' \
            "$number" "${folder#"$packages"/}" >> "$work/$1.toml"
    done < <(find "$packages" -type f -iname '*.inf' -printf '%h\n' | sort -u)
    [ "$number" -gt 0 ] || { printf 'no INF below %s\n' "$given" >&2; exit 2; }
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
