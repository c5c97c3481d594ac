#!/bin/bash
# Codecs beside libwim's on one thread: the same chunks of one file, ratios of time and size for each codec, chunk size and level.
# Usage: codec_peers.sh FILE     tens of megabytes of mixed system files show the most
#   ROUNDS (default 3)           how often each side runs, interleaved; the best counts
# Peer: libwim (libwim-dev, gcc). Ratios are libwim's time by ours (more is better for us) and our size by libwim's. MISSED marks less
# than the targets: speed 1.0 or better at a size no more than 0.1 % larger; for LZMS a speed of 0.77 (1.3 times libwim's time).
# The fast level has no target: its peer is libwim's fastest.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
file=$(realpath "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=${ROUNDS:-3}
work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/transom-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

cat > "$work/peer.c" <<'C'
/* The peer of tests/bench/codec_peers.rs: peer CODEC CHUNK_KIB LEVEL ROUNDS FILE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wimlib.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    enum wimlib_compression_type type = !strcmp(argv[1], "xpress") ? WIMLIB_COMPRESSION_TYPE_XPRESS
                                        : !strcmp(argv[1], "lzx") ? WIMLIB_COMPRESSION_TYPE_LZX
                                                                  : WIMLIB_COMPRESSION_TYPE_LZMS;
    size_t chunk = (size_t)atoi(argv[2]) << 10;
    FILE *input = fopen(argv[5], "rb");
    if (!input || fseek(input, 0, SEEK_END))
        return 1;
    size_t size = ftell(input);
    rewind(input);
    unsigned char *data = malloc(size + 1), *encoded = malloc(size + 1), *output = malloc(chunk);
    size_t *sizes = malloc((size / chunk + 1) * sizeof *sizes);
    struct wimlib_compressor *compressor;
    struct wimlib_decompressor *decompressor;
    if (!data || !encoded || !output || !sizes || fread(data, 1, size, input) != size ||
        wimlib_create_compressor(type, chunk, atoi(argv[3]), &compressor) ||
        wimlib_create_decompressor(type, chunk, &decompressor))
        return 1;
    double encode = 1e9, decode = 1e9;
    size_t total = 0;
    for (int round = atoi(argv[4]); round > 0; round--) {
        size_t to = 0;
        double start = now();
        for (size_t at = 0; at < size; at += chunk) {
            size_t length = size - at < chunk ? size - at : chunk;
            sizes[at / chunk] = wimlib_compress(data + at, length, encoded + to, length - 1, compressor);
            to += sizes[at / chunk];
        }
        double time = now() - start;
        encode = time < encode ? time : encode;
        total = to;
        to = 0;
        start = now();
        for (size_t at = 0; at < size; at += chunk) {
            size_t length = size - at < chunk ? size - at : chunk, n = sizes[at / chunk];
            if (!n)
                total += length;
            else if (wimlib_decompress(encoded + to, n, output, length, decompressor))
                return 1;
            to += n;
        }
        time = now() - start;
        decode = time < decode ? time : decode;
    }
    printf("%zu %.6f %.6f\n", total, encode, decode);
    return 0;
}
C
if ! gcc -O2 -Wall -o "$work/peer" "$work/peer.c" -lwim; then
    echo "cannot compile against libwim: needs gcc and the header (Debian packages gcc and libwim-dev); nothing was measured" >&2
    exit 2
fi
(cd "$root" && cargo bench --locked --bench codec_peers --no-run)
ours=$(cd "$root" && cargo bench --locked --bench codec_peers --no-run --message-format=json 2>/dev/null |
    python3 -c 'import json, sys
found = [json.loads(line).get("executable") for line in sys.stdin if "codec_peers" in line]
print([path for path in found if path][-1])')

python3 - "$work/peer" "$ours" "$rounds" "$file" <<'PYTHON'
import subprocess
import sys

peer, ours, rounds, path = sys.argv[1:]
# The levels of libwim that mean what ours mean. Default of LZX and LZMS is the cheap one: see `codec::Level`.
LEVELS = {
    "xpress": {"fast": 20, "default": 50, "high": 80, "max": 100},
    "lzx": {"fast": 10, "default": 20, "high": 50, "max": 100},
    "lzms": {"fast": 10, "default": 20, "high": 50, "max": 100},
}
CHUNKS = {"xpress": [4, 8, 16, 32, 64], "lzx": [32, 256, 2048], "lzms": [128, 2048, 65536]}


def run(program, codec, kib, level):
    command = [program, codec, str(kib), str(level), "1", path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


missed = 0
print(f"{'codec':7} {'chunk':>6} {'level':8} {'libwim':>6}  {'encode':>6} {'size':>7} {'decode':>6}")
for codec, levels in LEVELS.items():
    for kib in CHUNKS[codec]:
        for level, number in levels.items():
            pairs = []
            for _ in range(int(rounds)):
                mine = run(ours, codec, kib, level)
                if mine == ["unsupported"]:
                    break
                pairs.append((mine, run(peer, codec, kib, number)))
            if not pairs:
                print(f"{codec:7} {kib:5}K {level:8} {number:6}  unsupported MISSED")
                missed += 1
                continue
            best = [[min(float(pair[side][field]) for pair in pairs) for field in (1, 2)] for side in (0, 1)]
            encode, decode = best[1][0] / best[0][0], best[1][1] / best[0][1]
            size = int(pairs[0][0][0]) / int(pairs[0][1][0])
            words = []
            if level != "fast" and encode < (1 / 1.3 if codec == "lzms" else 1):
                words.append("encode MISSED")
            if level != "fast" and size > 1.001:
                words.append("size MISSED")
            if decode < 1:
                words.append("decode MISSED")
            missed += len(words)
            print(f"{codec:7} {kib:5}K {level:8} {number:6}  {encode:6.3f} {size:7.4f} {decode:6.3f} {', '.join(words)}", flush=True)
print(f"{missed} targets missed")
PYTHON
