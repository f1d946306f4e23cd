# For scripts that check the program from outside; to be sourced by bash, with `set -euo pipefail`, at the root of
# the repository. Starts agents on loopback addresses of their own, waits until they answer, and stops them at the end.
#
#   agent_build                    sets HASHWRIGHT to the debug binary with all features, unless it is set already
#   agent_address                  prints 127.x.y.z that no other script uses now
#   agent_start URL ARGUMENTS...   runs `hashwright ARGUMENTS...` in the background until its API answers at URL;
#                                  sets AGENT_PID and AGENT_LOG (a file with what it prints)
#   agent_stop [PID]               stops that agent, or all that this script started
#   need COMMAND [PACKAGE]         installs a Debian package if the command, or the file, is not there

AGENT_PIDS=()
AGENT_DIR=$(mktemp -d "${TMPDIR:-/tmp}/hashwright-check.XXXXXX")

need() {
    if command -v "$1" >/dev/null || [ -e "$1" ]; then return; fi
    echo "installing ${2:-$1}, which this check needs" >&2
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${2:-$1}" >/dev/null
}

agent_build() {
    [ -n "${HASHWRIGHT:-}" ] && return
    local features=()
    grep -q '^full = ' host-agent/hashwright/Cargo.toml && features=(--features full)
    cargo build --quiet --locked --package hashwright "${features[@]}"
    HASHWRIGHT=${CARGO_TARGET_DIR:-target}/debug/hashwright
    export HASHWRIGHT
}

agent_address() {
    local id=$((($$ * 64 + ${#AGENT_PIDS[@]} + RANDOM % 8 * 8) % 16000000 + 65536))
    echo "127.$((id >> 16 & 255)).$((id >> 8 & 255)).$((id % 254 + 1))"
}

agent_start() {
    local url=$1 authority
    shift
    authority=${url#*://}
    authority=${authority%%/*}
    AGENT_LOG=$AGENT_DIR/agent-${#AGENT_PIDS[@]}.log
    "$HASHWRIGHT" "$@" >"$AGENT_LOG" 2>&1 </dev/null &
    AGENT_PID=$!
    AGENT_PIDS+=("$AGENT_PID")
    for _ in $(seq 300); do
        if (: <"/dev/tcp/${authority%:*}/${authority##*:}") 2>/dev/null; then
            return
        fi
        if ! kill -0 "$AGENT_PID" 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    echo "the agent does not answer at $url; it said:" >&2
    cat "$AGENT_LOG" >&2
    return 1
}

agent_stop() {
    local pid
    for pid in "${@:-${AGENT_PIDS[@]}}"; do
        [ -n "$pid" ] && kill "$pid" 2>/dev/null || true
    done
    for pid in "${@:-${AGENT_PIDS[@]}}"; do
        [ -n "$pid" ] && wait "$pid" 2>/dev/null || true
    done
}

agent_cleanup() {
    agent_stop
    rm -rf "$AGENT_DIR"
}
trap agent_cleanup EXIT
