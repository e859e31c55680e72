# Sourced: what can be done to the processes of a running stack.
#
# shellcheck shell=bash

# Process $1 still is what wrote down the start time $2.
is_same_process() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z && ${fields[19]} == "$2" ]]
}

# SIGKILL to a process and its children (of Postgres: the postmaster and its backends, all at
# once), and waits until they are gone.
kill_tree() {
    local pids
    mapfile -t pids < <(echo "$1"; pgrep -P "$1")
    kill -KILL "${pids[@]}" 2>/dev/null || true
    until_true 10 "process $1 does not die" are_gone "${pids[@]}"
}

are_gone() {
    local pid stat
    for pid in "$@"; do
        stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
        [[ ${stat##*) } == Z* ]] || return 1
    done
}

# A signal that supervisord sends to stop something (INT or TERM) waits at process $1.
stop_is_pending() {
    local mask
    mask=$(awk '$1 == "ShdPnd:" { print $2 }' "/proc/$1/status" 2>/dev/null)
    ((0x${mask:-0} & 0x4002))
}

# Kills as `docker kill` does: the process dies of SIGKILL without a word, and stays dead.
# supervisord would start it again, unless it believes to have stopped it: so the process is
# frozen, supervisord told to stop it (that signal is never delivered), and then it is killed.
kill_process() {
    local name=$1 pid stopping
    pid=$(pid_of "$name")
    [[ -n $pid ]] || { echo "$name is not running"; return 0; }
    kill -STOP "$pid"
    ctl stop "$(member "$name")" >/dev/null 2>&1 9>&- &
    stopping=$!
    until_true 5 "supervisord did not take note" stop_is_pending "$pid" || true
    kill_tree "$pid"
    wait "$stopping" || true
    rm -f "$run/$name.waits"
    echo "$name (process $pid) was killed with SIGKILL and stays dead until: make start NAME=$name"
}

# Starts names that do not run, without the pause after short lives.
start_members() {
    (($#)) || return 0
    local name in_groups
    for name in "$@"; do rm -f "$run/$name.lives" "$run/$name.waits"; done
    mapfile -t in_groups < <(members "$@")
    ctl start "${in_groups[@]}" | grep -v -e ': started$' -e 'already started' || true
}

start_process() {
    local name=$1
    if [[ -n $(pid_of "$name") ]]; then
        echo "$name is running already"
        return 0
    fi
    check_ports "$name"
    start_members "$name"
    until_healthy "$name"
    echo "$name is running (process $(pid_of "$name"))"
}

# SIGTERM, and waits until it has ended; stays so until `start_process`.
stop_process() {
    ctl stop "$(member "$1")" >/dev/null
    say stop "$1 was asked to end, and has"
}

pause_process() {
    kill -STOP "$(pid_of "$1")"
    say pause "$1 stands still (SIGSTOP)"
}

unpause_process() {
    kill -CONT "$(pid_of "$1")"
    say pause "$1 goes on (SIGCONT)"
}

# The broker of an advertised address.
broker_at() {
    local name
    for name in "${brokers[@]}"; do [[ $(port_of "$name") != "${1##*:}" ]] || echo "$name"; done
}

# Names of running programs whose file was replaced by a newer build.
outdated() {
    local name state pid up
    while read -r name state pid up; do
        [[ $pid == - || $(readlink "/proc/$pid/exe") != "$bin/"*" (deleted)" ]] || echo "$name"
    done < <(states)
}

# What a supervisord that was killed itself has left running.
kill_orphans() {
    local name pid started
    for name in "${names[@]}"; do
        [[ -r $run/$name.pid ]] || continue
        read -r pid started <"$run/$name.pid"
        if is_same_process "$pid" "$started"; then
            say orphans "$name (process $pid) was left over: killed"
            kill_tree "$pid"
        fi
    done
}

# First what uses the brokers and the database, then those; at last the supervisor.
stop_all() {
    if ! stack_is_up; then
        kill_orphans
        say stop "nothing is running"
        return 0
    fi
    say stop "producers, consumers, monitoring"
    ctl stop "producers:*" "consumers:*" monitoring >/dev/null || true
    say stop "brokers, postgres"
    ctl stop postgres "brokers:*" >/dev/null || true
    local pid
    pid=$(<"$supervisor_pid_file")
    ctl shutdown >/dev/null
    until_true 60 "supervisord does not end" are_gone "$pid" || exit 69
    rm -f "$run"/*.lives "$run"/*.waits
    say stop "done"
}

# Why one that does not run does not, or one that waits waits.
explain() {
    case $2 in
    WAITING) echo "ended by itself, next try in $(($(<"$run/$1.waits") - $(date +%s))) s" ;;
    STOPPED) echo "stays dead: make start NAME=$1" ;;
    EXITED) echo "has ended for good, why: make logs NAME=$1" ;;
    esac
}

last_line() { tail -n 1 "$logs/$1.log"; }

# Follows on a terminal, prints the end otherwise.
show_logs() {
    local files=("$logs"/*.log)
    if [[ -n ${1:-} ]]; then
        known_name "$1"
        files=("$logs/$1.log")
    fi
    [[ -e ${files[0]} ]] || refuse "no logs yet: make full-stack"
    if [[ -t 1 ]]; then
        exec tail -n 50 -F "${files[@]}"
    else
        exec tail -n 200 "${files[@]}"
    fi
}
