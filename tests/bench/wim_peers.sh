#!/bin/bash
# WIM verbs beside wimlib's in one run, on one tree: capture and export at each compression and level (time, size, peak memory), apply, verify, info,
# list, one file out, an update of one file. Prints ratios to wimlib, and MISSED where a goal is missed.
# Usage: wim_peers.sh TREE [WHAT...]
#   TREE    what is captured: any folder; the project's goals are for one of at least 1 GB
#   WHAT    verify apply read update capture export codec (default: all but codec's slowest levels; see KINDS)
#   KINDS   compressions and levels to capture and export, as ours:level=theirs (default below; slow ones take many minutes on a large tree)
#   BASES   WIM files to verify, apply, read and update (default: captures of TREE by wimlib as XPRESS, LZX:20 and, with SOLID=1, solid LZMS)
#   NEWER   another wimlib-imagex to run beside, by its path
# Peer: wimlib-imagex (wimtools). Names that Windows cannot hold (aux.h in the corpus) are left out by us, not by wimlib. wimlib captures and applies
# without security because a Unix tree has none to give; ours keeps it in a file beside. See common.sh for the rest of the environment.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,11s/^# //p' "$0" >&2; exit 2; }
tree=$1
shift
what=" ${*:-verify apply read update capture export} "
source "$(dirname "$0")/common.sh"
need wimlib-imagex wimtools
threads=$(nproc)
kinds=${KINDS:-none:default=none xpress:fast=XPRESS:20 xpress:default=XPRESS:50 xpress:high=XPRESS:80 lzx:fast=LZX:10 lzx:default=LZX:20 lzx:high=LZX:50}
printf '%s beside %s%s, %s threads each\n' "$("$transom" --version)" "$(wimlib-imagex --version | head -1)" \
    "${NEWER:+ and $("$NEWER" --version | head -1)}" "$threads"

does() { case "$what" in *" $1 "*) ;; *) return 1 ;; esac; }
# peers TITLE COMMAND: the command for Debian's wimlib and, as another line, for the newer one; @ stands for the program.
peers() {
    local commands=("wimlib $1=${2//@/wimlib-imagex}")
    [ -z "${NEWER:-}" ] || commands+=("newer wimlib $1=${2//@/$NEWER}")
    printf '%s\n' "${commands[@]}"
}
# beside TITLE GOAL BEFORE THEIRS OURS: measures; GOAL is "wall 0.63" or empty.
beside() {
    local lines
    mapfile -t lines < <(peers "$1" "$4")
    # shellcheck disable=SC2086 # a goal is two words
    measure "$rounds" ${3:+--before "$3"} ${2:+--goal $2} "${lines[@]}" "transom $1=$5"
}

bases=${BASES:-}
if [ -z "$bases" ] && { does verify || does apply || does read || does update || does export; }; then
    for kind in XPRESS LZX:20; do
        wimlib-imagex capture "$tree" "$work/base-$kind.wim" Bench --no-acls --compress="$kind" >/dev/null
        bases+=" $work/base-$kind.wim"
    done
    if [ "${SOLID:-0}" = 1 ]; then
        wimlib-imagex capture "$tree" "$work/base-solid.esd" Bench --no-acls --solid >/dev/null
        bases+=" $work/base-solid.esd"
    fi
fi

for wim in $bases; do
    does verify || does apply || does read || does update || break
    printf '\n%s (%s bytes)\n' "$wim" "$(size_of "$wim")"
    if does verify; then
        beside verify "wall 0.63" "" "@ verify '$wim'" "'$transom' -q wim verify '$wim'"
        RAYON_NUM_THREADS=1 beside "verify on one thread" "cpu 1.0" "" "@ verify '$wim'" "'$transom' -q wim verify '$wim'"
    fi
    if does apply; then
        beside apply "wall 0.63" "rm -rf '$work/out' && mkdir '$work/out'" \
            "@ apply '$wim' 1 '$work/out' --no-acls" "'$transom' -q wim apply '$wim' --index 1 '$work/out'"
        rm -rf "$work/out"
    fi
    if does read; then
        beside info "" "" "@ info '$wim'" "'$transom' wim info '$wim'"
        beside list "" "" "@ dir '$wim' 1" "'$transom' wim list '$wim' --index 1"
        # The largest file shows the decoder, not the start of the process.
        path=${EXTRACT:-$(cd "$tree" && find . -type f -printf '%s %P\n' | sort -n | tail -1 | cut -d' ' -f2-)}
        printf 'one file: /%s\n' "$path"
        beside "extract" "" "rm -rf '$work/one' && mkdir '$work/one'" "@ extract '$wim' 1 '/$path' --no-acls --dest-dir='$work/one'" \
            "'$transom' -q wim extract '$wim' '/$path' --index 1 --to '$work/one'"
        beside "to stdout" "" "" "@ extract '$wim' 1 '/$path' --to-stdout" "'$transom' wim cat '$wim' '/$path' --index 1"
    fi
    if does update; then
        head -c 1048576 /dev/urandom > "$work/one.bin"
        for mode in "" --rebuild; do
            beside "update ${mode:-in place}" "" "cp --reflink=auto '$wim' '$work/update.wim'" \
                "@ update '$work/update.wim' 1 --command=\"add '$work/one.bin' /one.bin\" $mode" \
                "'$transom' -q wim update '$work/update.wim' --index 1 $mode --command \"add '$work/one.bin' /one.bin\""
        done
        rm -f "$work/update.wim"
    fi
done

# compress TITLE THEIRS OURS: both write new.wim; sizes are compared too. Solid LZMS may take 1.3 times the peer's time.
compress() {
    local theirs=$2 ours=$3 goal=1.0
    case $theirs in *--solid*) goal=1.3 ;; esac
    beside "$1" "cpu $goal" "rm -f '$work/new.wim'" "$theirs && mv '$work/new.wim' '$work/theirs.wim'" "$ours && mv '$work/new.wim' '$work/ours.wim'"
    wimlib-imagex verify "$work/ours.wim" >/dev/null
    printf 'size: wimlib %s, transom %s, ratio %s\n' "$(size_of "$work/theirs.wim")" "$(size_of "$work/ours.wim")" \
        "$(ratio "$(size_of "$work/ours.wim")" "$(size_of "$work/theirs.wim")")"
}
for kind in $kinds; do
    ours=${kind%%=*} theirs=${kind#*=}
    solid=
    case $theirs in solid*) solid="--solid --solid-compress=LZMS:${theirs#solid:}" ;; *) solid="--compress=$theirs" ;; esac
    ours="--compression ${ours%:*} --level ${ours#*:}"
    if does capture; then
        printf '\ncapture of %s: %s beside %s\n' "$tree" "$ours" "$theirs"
        compress capture "@ capture '$tree' '$work/new.wim' Bench --no-acls --threads=$threads $solid" \
            "'$transom' -q wim capture '$tree' '$work/new.wim' --name Bench --skip-bad-names $ours 2>/dev/null"
    fi
    if does export; then
        for wim in $bases; do
            printf '\nexport of %s: %s beside %s\n' "$wim" "$ours" "$theirs"
            compress export "@ export '$wim' all '$work/new.wim' --threads=$threads $solid" \
                "'$transom' -q wim export '$wim' '$work/new.wim' --all $ours"
        done
    fi
done
if does export; then
    for wim in $bases; do
        printf '\nexport of %s as it is\n' "$wim"
        beside export "" "rm -f '$work/new.wim'" "@ export '$wim' all '$work/new.wim'" "'$transom' -q wim export '$wim' '$work/new.wim' --all"
    done
fi
