#!/bin/bash
# WIM verbs beside wimlib's in one run: verify, capture (time and size), info, list, one file out.
# Usage: wim_peers.sh TREE WIM...      TREE is captured, each WIM is verified and read. See common.sh for the environment.
# Peers: wimlib-imagex (wimtools). Names that Windows cannot hold (aux.h in the corpus) are left out by us, not by wimlib. Both use two threads; wimlib captures without security because a Unix tree has none to give.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
tree=$1
shift
source "$(dirname "$0")/common.sh"
need wimlib-imagex wimtools
printf '%s beside %s\n' "$("$transom" --version)" "$(wimlib-imagex --version | head -1)"

for wim in "$@"; do
    printf '\n%s (%s bytes)\n' "$wim" "$(size_of "$wim")"
    measure "$rounds" "wimlib verify=wimlib-imagex verify '$wim'" "transom verify='$transom' -q wim verify '$wim'"
    measure "$rounds" "wimlib info=wimlib-imagex info '$wim'" "transom info='$transom' wim info '$wim'"
    measure "$rounds" "wimlib dir=wimlib-imagex dir '$wim' 1" "transom list='$transom' wim list '$wim' --index 1"
    # The largest file shows the decoder, not the start of the process.
    path=${EXTRACT:-$(cd "$tree" && find . -type f -printf '%s %P\n' | sort -n | tail -1 | cut -d' ' -f2-)}
    printf 'one file: /%s\n' "$path"
    measure "$rounds" --before "rm -rf '$work/one' && mkdir '$work/one'" \
        "wimlib extract=wimlib-imagex extract '$wim' 1 '/$path' --no-acls --dest-dir='$work/one'" \
        "transom extract='$transom' -q wim extract '$wim' '/$path' --index 1 --to '$work/one'"
    measure "$rounds" "wimlib to stdout=wimlib-imagex extract '$wim' 1 '/$path' --to-stdout" \
        "transom cat='$transom' wim cat '$wim' '/$path' --index 1"
done

for kind in XPRESS:xpress LZX:20:lzx; do
    theirs=${kind%:*}
    ours=${kind##*:}
    printf '\ncapture of %s, %s\n' "$tree" "$theirs"
    measure "$rounds" --before "rm -f '$work/new.wim'" \
        "wimlib capture=wimlib-imagex capture '$tree' '$work/new.wim' Bench --no-acls --threads=2 --compress=$theirs && mv '$work/new.wim' '$work/theirs.wim'" \
        "transom capture='$transom' -q wim capture '$tree' '$work/new.wim' --name Bench --skip-bad-names --compression $ours && mv '$work/new.wim' '$work/ours.wim'"
    wimlib-imagex verify "$work/ours.wim" >/dev/null
    printf 'size: wimlib %s, transom %s, ratio %s\n' "$(size_of "$work/theirs.wim")" "$(size_of "$work/ours.wim")" \
        "$(ratio "$(size_of "$work/ours.wim")" "$(size_of "$work/theirs.wim")")"
done
