#!/bin/bash
# How long a large package takes: 2,000 components with ten files each, cold (empty cache), replayed (output gone, cache warm) and up to date.
# Usage: packages.sh [COMPONENTS] [FILES_EACH]
# Goals on two idle cores: 20 s cold, 1 s replayed. There is no peer: DISM runs on Windows alone.
set -euo pipefail
components=${1:-2000}
files=${2:-10}
. "$(dirname "$0")/common.sh"
cd "$root"
bench=$(cargo bench --locked --no-run --bench packages --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*packages[^"]*\)".*/\1/p' | tail -1)
"$bench" make "$components" "$files" "$work/large.cab" "$work/base.wim"
cat > "$work/large.toml" <<TOML
[base]
wim = "base.wim"
index = 1

[packages.large]
source = "large.cab"
unsigned = "allow"

[output]
path = "out.wim"
TOML
run() { # name goal
    local start end
    start=$(date +%s.%N)
    # Without CI, which demands a lock file.
    local TIMEFORMAT='%U user, %S system'
    { time env -u CI "$transom" -q --cache-dir "$work/cache" build "$work/large.toml" 2>"$work/told"; } 2>"$work/usage" ||
        { cat "$work/told" >&2; exit 1; }
    end=$(date +%s.%N)
    python3 -c "seconds = $end - $start; print(f'$1: {seconds:.2f} s (goal $2 s){\"\" if seconds <= $2 else \" MISSED\"}; $(cat "$work/usage")')"
}
echo "$components components, $files files each: cabinet of $(size_of "$work/large.cab") bytes"
run "cold" 20
cp "$work/out.wim" "$work/first.wim"
rm "$work/out.wim"
run "replayed" 1
cmp "$work/out.wim" "$work/first.wim"
run "up to date" 1
