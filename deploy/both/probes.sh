# Sourced: asks a process whether it is there, within 2 s, with what a small container has: bash, head,
# od, timeout. The stacks ask from outside with it, the health checks of containers from inside.
#
# shellcheck shell=bash

# How many brokers the broker at HOST PORT knows: a Metadata request (v1, no topics, client id
# "stack"); after its length and correlation id the answer begins with that count.
brokers_seen_at() {
    (
        exec 3<>"/dev/tcp/$1/$2"
        printf '\x00\x00\x00\x13\x00\x03\x00\x01\x00\x00\x00\x01\x00\x05stack\x00\x00\x00\x00' >&3
        # shellcheck disable=SC2046 # four numbers, one a byte
        set -- $(timeout 2 head -c 12 <&3 | od -An -tu1 -j8 -N4)
        (($# < 4)) || echo $((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
    ) 2>/dev/null || true
}

# The status code of GET PATH at HOST PORT (/readyz unless given); empty when nobody answers.
status_code() {
    (
        exec 3<>"/dev/tcp/$1/$2"
        printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${3:-/readyz}" "$1" >&3
        read -rt 2 _ code _ <&3 && echo "$code"
    ) 2>/dev/null || true
}
