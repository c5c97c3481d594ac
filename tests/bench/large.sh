#!/bin/bash
# info and list on a WIM of more than 5 GB, made here without compression, beside wimlib: only the tables may be read.
# Usage: large.sh [FOLDER]     FOLDER is where the 5.4 GB go (default: WORK or TMPDIR; the file is sparse where the file system allows it)
# Goals: below 50 ms plus the metadata's decode; bytes read, as the system counts them, no more than tables and metadata.
set -euo pipefail
[ $# -lt 1 ] || WORK=$1
source "$(dirname "$0")/common.sh"
need wimlib-imagex wimtools
mkdir "$work/tree"
for number in 1 2 3 4 5; do
    # Zeros with a number in front: five contents that take next to no room on the disk.
    printf '%s' "$number" > "$work/tree/large$number.bin"
    truncate -s 1080000000 "$work/tree/large$number.bin"
done
"$transom" -q wim capture "$work/tree" "$work/large.wim" --name Large --compression none
size=$(size_of "$work/large.wim")
printf '%s bytes\n' "$size"
[ "$size" -gt 5000000000 ]
measure "$rounds" "wimlib info=wimlib-imagex info '$work/large.wim'" "transom info='$transom' wim info '$work/large.wim'"
measure "$rounds" "wimlib dir=wimlib-imagex dir '$work/large.wim' 1" "transom list='$transom' wim list '$work/large.wim'"
for verb in info list; do
    # rchar is what the process asked for, from the cache or from the disk.
    read_bytes=$(python3 - "$transom" "$verb" "$work/large.wim" <<'PY'
import subprocess, sys, time
child = subprocess.Popen([sys.argv[1], "wim", sys.argv[2], sys.argv[3]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
child.stdout.read()
# The process has written all it has to say and has not been waited for: its counters can still be read.
time.sleep(0.2)
print(next(line.split()[1] for line in open(f"/proc/{child.pid}/io") if line.startswith("rchar")))
child.wait()
PY
)
    verdict=met
    [ "$read_bytes" -lt 1000000 ] || verdict=MISSED
    printf '%s read %s bytes (goal: less than 1,000,000): %s\n' "$verb" "$read_bytes" "$verdict"
done
