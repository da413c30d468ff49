# What both measurements share; sourced, not run. Needs: haproxy, nginx, wrk, python3, taskset.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
# nginx drops its rights and reads here.
chmod 711 "$work"
pids=()

# Ends what was started, by its process id, and nothing else.
finish() {
    local pid
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Ends one of them now.
stop() {
    local pid kept=()
    kill -TERM "$1"
    wait "$1" 2>/dev/null || true
    for pid in "${pids[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    pids=("${kept[@]}")
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$(basename "$0"): $tool is needed" >&2; exit 1; }
    done
}

# The program under test: $HARING, or the release build.
haring=${HARING:-}
if [[ -z $haring ]]; then
    target=$(cd "$here/.." && cargo metadata --format-version 1 --no-deps |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    haring=$target/release/haring
fi
[[ -x $haring ]] || { echo "$haring is missing: cargo build --release" >&2; exit 1; }
haproxy=${HAPROXY:-$(command -v haproxy || true)}
[[ -n $haproxy ]] || { echo "haproxy is needed to compare with: apt-get install haproxy" >&2; exit 1; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until somebody listens on a port of the loopback interface.
await_port() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
            return 0
        fi
        sleep 0.05
    done
    echo "nobody listens on port $1: $2" >&2
    tail -n 5 "$work"/*.log >&2 || true
    exit 1
}

# Starts a command in the background with its output in a log; the process id is in $started.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    started=$!
    pids+=("$started")
}

# The driver a Haring process runs on, as it says itself in `show info` on the given socket.
driver_of() {
    python3 - "$1" <<'PYTHON'
import socket, sys
try:
    admin = socket.socket(socket.AF_UNIX)
    admin.settimeout(5)
    admin.connect(sys.argv[1])
    admin.sendall(b"show info\n")
    text = b""
    while piece := admin.recv(65536):
        text += piece
    lines = [line for line in text.decode().splitlines() if "river" in line]
    print("; ".join(lines) or "not told")
except OSError as error:
    print(f"not told ({error})")
PYTHON
}

describe() {
    echo "haring:  $haring, $("$haring" -v | head -n 1)"
    echo "haproxy: $haproxy, $("$haproxy" -v | head -n 1)"
    echo "kernel:  $(uname -sr), $(nproc --all) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
}
