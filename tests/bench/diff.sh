#!/bin/bash
# Two images of 100,000 files and a SOFTWARE hive of 100 MiB each, and how long it takes to say how they differ; the answer is checked.
# Usage: diff.sh [FILES [MEBIBYTES]]     default 100000 100
#   ROUNDS (default 3)    how often each command runs, interleaved; the best counts
#   MAKER                 the built bench program hive_walk (default: built)
#   SLOW=1                hivexregedit's exports compared by diff(1) too: minutes for a hive of 100 MiB
# Peers: what wimlib says of all files (`dir --detailed`) compared by diff(1), which does not look into hives; hivexregedit.
set -euo pipefail
[ $# -le 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
source "$(dirname "$0")/common.sh"
need wimlib-imagex wimtools
files=${1:-100000}
mebibytes=${2:-100}
# The hives are made by a small program of ours: no tool at hand makes one of 100 MiB in less than minutes.
maker=${MAKER:-}
if [ -z "$maker" ]; then
    (cd "$root" && cargo bench --locked --bench hive_walk --no-run)
    maker=$(cd "$root" && cargo bench --locked --bench hive_walk --no-run --message-format=json 2>/dev/null |
        python3 -c 'import json, sys
found = [json.loads(line).get("executable") for line in sys.stdin if "hive_walk" in line]
print([path for path in found if path][-1])')
fi

# make_tree FILES WHICH: of every thousand files one is changed, one gone, one new and one renamed in the second tree.
make_tree() {
    python3 - "$work/tree" "$1" "$2" <<'PY'
import os, shutil, sys
root, files, which = sys.argv[1], int(sys.argv[2]), sys.argv[3]
shutil.rmtree(root, ignore_errors=True)
os.makedirs(f"{root}/Windows/System32/config")
for number in range(files):
    folder = f"{root}/Windows/WinSxS/folder{number // 100:05}"
    if number % 100 == 0:
        os.makedirs(folder)
    name, text = f"file{number:06}.dll", f"content of {number}"
    case = number % 1000 if which == "new" else None
    if case == 10:
        text += ", changed"
    if case == 20:
        continue
    if case == 30:
        name = f"renamed{number:06}.dll"
    with open(f"{folder}/{name}", "w") as file:
        file.write(text)
    if case == 40:
        with open(f"{folder}/new{number:06}.dll", "w") as file:
            file.write(f"new beside {number}")
PY
}

for which in old new; do
    make_tree "$files" "$which"
    told=$("$maker" make "$mebibytes" "$which" "$work/tree/Windows/System32/config/SOFTWARE")
    printf '%s: %s files, hive of %s\n' "$which" "$files" "$told"
    cp "$work/tree/Windows/System32/config/SOFTWARE" "$work/SOFTWARE.$which"
    "$transom" -q wim capture "$work/tree" "$work/$which.wim" --name Bench --compression lzx
done
rm -rf "$work/tree"

"$transom" diff "$work/old.wim" "$work/new.wim" --json > "$work/diff.json" && exit 1 || [ $? = 10 ]
python3 - "$work/diff.json" "$files" "$told" <<'PY'
import collections, json, sys
image = json.load(open(sys.argv[1]))["images"][0]
kinds = collections.Counter(change["kind"] for change in image["files"])
each = lambda case: len(range(case, int(sys.argv[2]), 1000))
expected = {"changed": each(10), "removed": each(20), "renamed": each(30), "added": each(40)}
assert kinds == collections.Counter({kind: count for kind, count in expected.items() if count}), (kinds, expected)
assert len(image["registry"]) == int(sys.argv[3].split()[2]), (len(image["registry"]), sys.argv[3])
assert not image["notes"], image["notes"]
print("differences found:", dict(kinds), "and", len(image["registry"]), "of the registry, as they were made")
PY

ours="'$transom' diff '$work/old.wim' '$work/new.wim'; [ \$? = 10 ]"
theirs="diff <(wimlib-imagex dir '$work/old.wim' 1 --detailed) <(wimlib-imagex dir '$work/new.wim' 1 --detailed) >/dev/null; [ \$? = 1 ]"
files_only="'$transom' diff '$work/old.wim' '$work/new.wim' --path 'C:\\Windows\\WinSxS'; [ \$? = 10 ]"
measure "$rounds" "wimlib dir + diff=$theirs" "transom diff=$ours" "transom diff --files --path=$files_only"
if [ -n "${SLOW:-}" ]; then
    need hivexregedit libwin-hivex-perl
    export_one() { printf "hivexregedit --export --prefix HKLM '%s' '\\\\'" "$work/SOFTWARE.$1"; }
    hivex="diff <($(export_one old)) <($(export_one new)) >/dev/null; [ \$? = 1 ]"
    measure 1 "hivexregedit + diff=$hivex" "transom diff=$ours"
fi
