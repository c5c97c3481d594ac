# What the benchmark scripts share; sourced, not run. Sets: here, root, transom, work. Removes $work at the end unless KEEP=1.
#   TRANSOM  the program to measure      (default: target/release/transom, built when missing)
#   WORK     where scratch files go      (default: a new folder below TMPDIR; same file system as the base for fair copies)
#   ROUNDS   how often each command runs (default 3)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=${ROUNDS:-3}
transom=${TRANSOM:-$root/target/release/transom}
if [ ! -x "$transom" ]; then
    (cd "$root" && cargo build --locked --release)
fi
work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/transom-bench.XXXXXX")
[ "${KEEP:-0}" = 1 ] || trap 'rm -rf "$work"' EXIT

measure() { python3 "$here/measure.py" "$@"; }
size_of() { stat -c %s "$1"; }
ratio() { python3 -c "print(f'{$1 / $2:.4f}')"; }
sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

need() {
    command -v "$1" >/dev/null || { printf 'needs %s (Debian package %s)\n' "$1" "$2" >&2; exit 2; }
}

# write_recipe FOLDER BASE OUTPUT VALUE: a recipe of every kind of step this version has, and its inputs. Image 1 of BASE is built.
# SERVICE (default RemoteRegistry, which a real SYSTEM hive has) names the service that is made manual; SERVICE= leaves the section out.
write_recipe() {
    local folder=$1 base=$2 output=$3 value=$4 service=${SERVICE-RemoteRegistry}
    mkdir -p "$folder/files/tools"
    if [ ! -e "$folder/files/tools/payload.bin" ]; then
        # 8 MiB that compress a little, the same on every machine.
        python3 -c 'import random, sys
random.seed(1)
words = [bytes(random.randrange(256) for _ in range(random.randrange(3, 12))) for _ in range(2000)]
data = b"".join(random.choice(words) for _ in range(1_300_000))[: 8 << 20]
sys.stdout.buffer.write(data)' > "$folder/files/tools/payload.bin"
        printf 'ssh-ed25519 AAAA bench\n' > "$folder/files/build-farm.pub"
        printf '@echo first boot\r\n' > "$folder/first.cmd"
        cat > "$folder/unattend.xml" <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="specialize">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <ComputerName>BENCH</ComputerName>
    </component>
  </settings>
</unattend>
XML
    fi
    cat > "$folder/recipe.toml" <<TOML
[image]
name = "bench"
version = "1"

[base]
wim = "$base"
index = 1

[registry.'HKLM\\SOFTWARE\\Policies\\Transom\\Bench']
Value = $value
Text = "bench"

[[files]]
from = "files/tools"
to = 'C:\\Tools'

[[files]]
from = "files/build-farm.pub"
to = 'C:\\ProgramData\\ssh\\administrators_authorized_keys'
sddl = "D:PAI(A;;FA;;;SY)(A;;FA;;;BA)"

[unattend]
file = "unattend.xml"

[first-boot]
run = ["first.cmd"]

[output]
path = "$output"
integrity = false
TOML
    if [ -n "$service" ]; then
        printf '\n[services]\n%s = "manual"\n' "$service" >> "$folder/recipe.toml"
    fi
}
