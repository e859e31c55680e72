# Sourced: drills. A scenario breaks something of the running stack on purpose and puts it right again; the flight
# recorder marks it on its timeline, says what it saw, and judges it by its dark time and by `verify`.
#
# A stack says: monitor ARGUMENTS… (its commands, with the recorder's role), stop_process NAME (SIGTERM),
# pause_process NAME, unpause_process NAME, broker_at ADDRESS (its name).
#
# shellcheck shell=bash

scenarios=(kill-consumer stop-consumer pause-consumer kill-broker kill-coordinator kill-postgres rolling-restart storm scale)

# The longest dark time that is good enough, when none is given: a session of 6 s and what follows it; without one, the
# time that a broker or the database takes to come back.
expected_dark() {
    case $1 in
    kill-consumer | pause-consumer | storm) echo 8s ;;
    stop-consumer | rolling-restart | scale) echo 4s ;;
    kill-broker | kill-coordinator) echo 12s ;;
    kill-postgres) echo 20s ;;
    esac
}

# 8s, 500ms or 2.5s in milliseconds.
in_milliseconds() {
    case $1 in
    *ms) [[ ${1%ms} =~ ^[0-9]+$ ]] && echo "${1%ms}" ;;
    *s) [[ ${1%s} =~ ^[0-9]+(\.[0-9]+)?$ ]] && awk -v s="${1%s}" 'BEGIN { printf "%d\n", s * 1000 }' ;;
    *) false ;;
    esac || refuse "EXPECT_DARK=$1 is no time: 8s, 2.5s or 500ms"
}

# Sets `members`: whom a scenario acts on, which is the group of NAME with NAME first; the sensors' consumers without one.
choose_members() {
    local name=$1 all
    members=("${consumers[@]}")
    [[ -n $name ]] || return 0
    [[ $2 != kill-broker && $2 != kill-coordinator && $2 != kill-postgres ]] || refuse "NAME=$name: $2 is of no consumer"
    case " ${consumers[*]} , ${workers[*]} " in
    *" $name "*,*) all=("${consumers[@]}") ;;
    *,*" $name "*) all=("${workers[@]}") ;;
    *) refuse "NAME=$name is no consumer: say one of ${consumers[*]} ${workers[*]}" ;;
    esac
    members=("$name")
    for name in "${all[@]}"; do [[ $name == "${members[0]}" ]] || members+=("$name"); done
}

# What a scenario does. Everything that it stops runs again at its end.
break_it() {
    local name=${members[0]}
    case $1 in
    kill-consumer)
        kill_process "$name"
        sleep 9
        start_process "$name"
        ;;
    stop-consumer)
        stop_process "$name"
        sleep 4
        start_process "$name"
        ;;
    pause-consumer)
        pause_process "$name"
        sleep 11
        unpause_process "$name"
        ;;
    kill-broker) bounce_broker "$(other_broker "$2")" ;;
    kill-coordinator) bounce_broker "$(broker_at "$2")" ;;
    kill-postgres)
        kill_process postgres
        sleep 3
        start_process postgres
        ;;
    rolling-restart)
        for name in "${members[@]}"; do
            stop_process "$name"
            start_process "$name"
            sleep 3
        done
        ;;
    storm)
        local turn
        for turn in 1 2 3; do
            for name in "${members[@]:1}"; do
                say storm "round $turn: $name"
                stop_process "$name"
                start_process "$name"
            done
        done
        ;;
    scale)
        for name in "${members[@]:1}"; do stop_process "$name"; sleep 2; done
        for name in "${members[@]:1}"; do start_process "$name"; sleep 2; done
        ;;
    esac
}

bounce_broker() {
    kill_process "$1"
    sleep 8
    start_process "$1"
}

# A broker that does not coordinate the group.
other_broker() {
    local name coordinator
    coordinator=$(broker_at "$1")
    for name in "${brokers[@]}"; do [[ $name == "$coordinator" ]] || { echo "$name"; return; }; done
}

# drill SCENARIO [EXPECT_DARK [NAME]]: exit code 1 when it took longer, or something is lost or doubled.
drill() {
    local scenario=$1 expected=${2:-} id coordinator proven=true members
    [[ " ${scenarios[*]} " == *" $scenario "* ]] || refuse "SCENARIO=$scenario: say one of ${scenarios[*]}"
    expected=${expected:-$(expected_dark "$scenario")}
    choose_members "${3:-}" "$scenario"
    local expected_ms
    expected_ms=$(in_milliseconds "$expected")
    stopped=$(stopped)
    [[ -z $stopped ]] || refuse "not everything runs, so nothing could be told apart: make start NAME=$(head -n 1 <<<"$stopped")"
    read -r id coordinator < <(monitor drill-begin --scenario "$scenario${3:+ of $3}" --expect-dark-ms "$expected_ms") || true
    [[ ${id:-} =~ ^[0-9]+$ ]] || fail "the drill could not be marked, see above"
    say drill "$scenario${3:+ of $3}, dark for $expected at the most (drill $id)"
    break_it "$scenario" "$coordinator"
    say drill "waiting until everything is read again"
    monitor drill-await --drill "$id" || proven=false
    verify || proven=false
    monitor drill-end --drill "$id" --proven "$proven" || exit 1
}
