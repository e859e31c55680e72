# Sourced: the commands, which both stacks take alike. A stack says how:
#
#   stack_is_up   full_stack   stop_all   clean   show_logs [NAME]   kill_process NAME   start_process NAME
#   pause_process NAME   unpause_process NAME
#   consumer ARGUMENTS…        states (NAME STATE PID UPTIME a line, "-" where there is none)
#   explain NAME STATE         why a process that does not run does not, and what helps
#   usage                      says the commands, exit code 64
#
# shellcheck shell=bash

# One at a time: two that change the stack would trip over each other.
lock() {
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock -n 9 || {
        say wait "another make is at work on this stack"
        flock 9
    }
}

need_stack() {
    stack_is_up || refuse "the stack is not running: make full-stack"
    load_settings saved
}

prepare_folder() {
    mkdir -p "$home"
    [[ ! -d $data || -O $data ]] ||
        refuse "$data belongs to $(stat -c %U "$data"): run make as that user, or remove it"
    mkdir -p "$run"
}

# The process id of a name; empty when it does not run.
pid_of() { states | awk -v name="$1" '$1 == name && $3 != "-" { print $3 }'; }

must_run() { [[ -n $(pid_of "$1") ]] || refuse "$1 does not run: make start NAME=$1"; }

stopped() { states | awk '$3 == "-" { print $1 }'; }

show_status() {
    stack_is_up || { echo "The stack is not running: make full-stack"; return 0; }
    local format='%-18s %-9s %8s %10s %6s  %s\n' name state pid up health
    # shellcheck disable=SC2059 # one format for all lines
    printf "$format" NAME STATE PROCESS UP PORT HEALTH
    while read -r name state pid up; do
        if [[ $pid == - || $state == WAITING ]]; then
            health=$(explain "$name" "$state")
        else
            health=$(health_of "$name")
        fi
        # shellcheck disable=SC2059
        printf "$format" "$name" "${state,,}" "$pid" "$up" "$(port_of "$name")" "${health:--}"
    done < <(states | in_order)
}

# In the order of `names`.
in_order() {
    local lines name
    lines=$(cat)
    for name in "${names[@]}"; do grep "^$name " <<<"$lines" || true; done
}

dashboard() {
    load_settings
    local url
    url=http://$(monitoring_address):$MONITORING_PORT
    is_healthy monitoring || echo "nothing is ready there yet: make full-stack" >&2
    echo "$url"
    if [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] && command -v xdg-open >/dev/null; then
        xdg-open "$url" >/dev/null 2>&1 || true
    fi
}

# whats_next SECONDS [WAY_TO_KILL]
whats_next() {
    cat <<NEXT

Everything is up and healthy ($1 s). Readings flow: sensors -> three brokers -> Postgres. Tweets: http://127.0.0.1:$TWEET_API_PORT

  make status                       every process, its port and its health
  make kill NAME=kafka2             ${2:-SIGKILL}; or sensor-consumer-1, feed-worker-2, postgres, any other
  make start NAME=kafka2            and back again
  make verify                       was any reading or tweet lost or stored twice?
  make feed-demo                    one tweet into 1,999 feeds: how long?
  make logs NAME=sensor-consumer-1
  make dashboard                    http://$(monitoring_address):$MONITORING_PORT
  psql $DATABASE_URL
  make stop                         keeps the data; make clean removes it
NEXT
}

# Both workloads, the sensors' first; the exit code is the worst: findings, then what failed, then explanations.
verify() {
    local target code worst=0
    for target in sensor_readings tweet_records; do
        code=0
        (consumer verify --target "$target") || code=$?
        if ((worst != 1 && (code == 1 || code > worst))); then worst=$code; fi
    done
    return "$worst"
}

# run_command COMMAND [ARGUMENT…]
run_command() {
    case ${1:-} in
    full-stack) full_stack ;;
    stop)
        [[ ! -d $data ]] || lock
        stop_all
        echo "The data is kept: \`make full-stack\` goes on with it, \`make clean\` removes it."
        ;;
    status) load_settings; show_status ;;
    logs) show_logs "${2:-}" ;;
    kill) known_name "${2:-}"; need_stack; lock; kill_process "$2" ;;
    start) known_name "${2:-}"; need_stack; lock; start_process "$2" ;;
    pause | unpause) known_name "${2:-}"; need_stack; lock; must_run "$2"; "${1}_process" "$2" ;;
    start-monitoring) need_stack; lock; start_process monitoring ;;
    clean) [[ ! -d $data ]] || lock; clean ;;
    dashboard) dashboard ;;
    consumer) need_stack; consumer "${@:2}" ;;
    verify) need_stack; verify ;;
    drill) need_stack; lock; drill "${2:-}" "${3:-}" "${4:-}" ;;
    feed-demo) need_stack; feed_demo ;;
    feed-replay) need_stack; feed_replay "${@:2}" ;;
    feed-kills) need_stack; feed_kills "${@:2}" ;;
    is-up) stack_is_up ;;
    *) usage ;;
    esac
}
