# Sourced: is it there? Every probe asks the process itself.
#
# A stack says: postgres_answers, pid_of NAME (empty when it does not run), last_line NAME (of its log).
#
# shellcheck shell=bash

# shellcheck source=probes.sh
source "$(dirname "${BASH_SOURCE[0]}")/probes.sh"

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
        answer=$(brokers_seen_at 127.0.0.1 "$port")
        [[ -n $answer && $answer != 0 ]] && echo "ok, sees $answer brokers" || echo "no answer"
        return
        ;;
    postgres)
        postgres_answers && echo ok || echo "no answer"
        return
        ;;
    monitoring) answer=$(status_code "$(monitoring_address)" "$port") ;;
    prometheus) answer=$(status_code 127.0.0.1 "$port" /-/ready) ;;
    grafana) answer=$(status_code 127.0.0.1 "$port" /api/health) ;;
    *) answer=$(status_code 127.0.0.1 "$port") ;;
    esac
    case $answer in
    200) echo ok ;;
    "") echo "no answer" ;;
    *) echo "not ready" ;;
    esac
}

is_healthy() { [[ $(health_of "$1") == ok* ]]; }

# All three brokers, in the eyes of each of them.
brokers_are_whole() {
    local name
    for name in "${brokers[@]}"; do
        [[ $(brokers_seen_at 127.0.0.1 "$(port_of "$name")") == "${#brokers[@]}" ]] || return 1
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

# Waits for one that was started, and no longer when it refuses to go on (exit codes 64, 79).
until_healthy() {
    local deadline=$((SECONDS + 60)) tries=0 why="is not healthy after 60 s"
    until is_healthy "$1"; do
        if ((++tries % 10 == 0)) && [[ -z $(pid_of "$1") ]]; then
            why="has ended"
        elif ((SECONDS < deadline)); then
            sleep 0.1
            continue
        fi
        fail "$1 $why, see: make logs NAME=$1 (last line: $(last_line "$1"))"
    done
}
