# Sourced: is it there? Every probe asks the process itself and answers within 2 s.
#
# shellcheck shell=bash

# How many brokers the broker at a port knows: a Metadata request (v1, no topics, client id
# "stack"); after its length and correlation id the answer begins with that count.
brokers_seen_at() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf '\x00\x00\x00\x13\x00\x03\x00\x01\x00\x00\x00\x01\x00\x05stack\x00\x00\x00\x00' >&3
        timeout 2 head -c 12 <&3 | od -An -j8 -N4 -tu4 --endian=big | tr -d ' '
    ) 2>/dev/null || true
}

# The status code of GET /readyz at HOST PORT; empty when nobody answers.
readyz() {
    (
        exec 3<>"/dev/tcp/$1/$2"
        printf 'GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
        read -rt 2 _ code _ <&3 && echo "$code"
    ) 2>/dev/null || true
}

# Where a client on this machine reaches the monitor.
monitoring_address() {
    case $MONITORING_HOST in
    0.0.0.0 | ::) echo 127.0.0.1 ;;
    *) echo "$MONITORING_HOST" ;;
    esac
}

# One word or two on a process that runs; "ok…" when it is healthy.
health_of() {
    local port answer
    port=$(port_of "$1")
    case $1 in
    kafka*)
        answer=$(brokers_seen_at "$port")
        [[ -n $answer && $answer != 0 ]] && echo "ok, sees $answer brokers" || echo "no answer"
        ;;
    postgres)
        timeout 2 "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$port" && echo ok || echo "no answer"
        ;;
    *)
        local host=127.0.0.1
        [[ $1 != monitoring ]] || host=$(monitoring_address)
        answer=$(readyz "$host" "$port")
        case $answer in
        200) echo ok ;;
        "") echo "no answer" ;;
        *) echo "not ready" ;;
        esac
        ;;
    esac
}

is_healthy() { [[ $(health_of "$1") == ok* ]]; }

# All three brokers, in the eyes of each of them.
brokers_are_whole() {
    local name
    for name in "${brokers[@]}"; do
        [[ $(brokers_seen_at "$(port_of "$name")") == "${#brokers[@]}" ]] || return 1
    done
}

# until_true SECONDS WHAT COMMAND…: asks every 0.1 s. When the time is up: one line, and `ends`.
until_true() {
    local seconds=$1 what=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || {
            echo "after $seconds s: $what" >&2
            return 1
        }
        sleep 0.1
    done
}
