# Sourced: the stack's containers, and what can be done to them.
#
# shellcheck shell=bash

# The names are this engine's, so there is one stack an engine. A container is ours when compose made it here.
folder_label=com.docker.compose.project.working_dir

run_compose() {
    local plain=()
    [[ -t 1 ]] || plain=(--ansi never)
    (cd "$root" && "${compose[@]}" "${plain[@]}" -f docker-compose.yml "$@")
}

# With the profiles' containers, whatever COMPOSE_PROFILES is now. What is said goes to a file.
compose_quietly() {
    mkdir -p "$logs"
    echo "--- compose $*" >>"$logs/compose.log"
    run_compose "$@" >>"$logs/compose.log" 2>&1
}

# NAME FOLDER of each container of this engine; no folder when compose did not make it.
containers() {
    [[ -z $no_docker ]] || return 0
    docker ps -a --format "{{.Names}} {{.Label \"$folder_label\"}}" 2>/dev/null || true
}

# Names of the stack's containers that exist. A name may hold several containers' links: the first is its own.
ours() {
    local name folder
    containers | while read -r name folder; do
        if [[ $folder && $(readlink -f "$folder") == "$(readlink -f "$root")" ]]; then echo "${name%%,*}"; fi
    done
}

stack_is_up() { [[ -n $(ours) ]]; }

# Ends when one of our names is somebody else's.
refuse_strangers() {
    local name folder
    while read -r name folder; do
        name=${name%%,*}
        [[ " ${names[*]} migrate " == *" $name "* ]] || continue
        [[ -n $folder ]] || refuse "there is a container named $name, which is not of this stack: rename or remove it"
        [[ $(readlink -f "$folder") == "$(readlink -f "$root")" ]] ||
            refuse "the stack of $folder has the container $name, and its name is fixed: \`make stop\` there first"
    done < <(containers)
}

# NAME STATE PID UPTIME for each container that exists, "-" where there is none.
states() {
    local name status pid since killed
    local existing
    mapfile -t existing < <(ours)
    ((${#existing[@]})) || return 0
    docker inspect -f '{{.Name}} {{.State.Status}} {{.State.Pid}} {{.State.StartedAt}} {{.State.ExitCode}}{{.State.OOMKilled}}' \
        "${existing[@]}" 2>/dev/null | while read -r name status pid since killed; do
        [[ $name != /migrate ]] || continue
        [[ $status,$killed != exited,137false && $status,$killed != exited,143false ]] || status=stopped
        if [[ $status == running || $status == paused ]]; then
            echo "${name#/} ${status^^} $pid $(uptime_since "$since")"
        else
            echo "${name#/} ${status^^} - -"
        fi
    done
}

# As supervisord writes it: 0:01:23, "1 day" and more as hours.
uptime_since() {
    local seconds=$(($(date +%s) - $(date -d "$1" +%s)))
    printf '%d:%02d:%02d\n' $((seconds / 3600)) $((seconds / 60 % 60)) $((seconds % 60))
}

# Why one that does not run does not.
explain() {
    local code
    code=$(docker inspect -f '{{.State.ExitCode}}{{if .State.OOMKilled}} (out of memory){{end}}' "$1" 2>/dev/null)
    case $2 in
    STOPPED) echo "stays dead: make start NAME=$1" ;;
    EXITED) echo "has ended with $code, why: make logs NAME=$1" ;;
    *) echo "never started: make start NAME=$1" ;;
    esac
}

postgres_answers() { docker exec postgres pg_isready -q -h 127.0.0.1 >/dev/null 2>&1; }

last_line() { docker logs --tail 1 "$1" 2>&1; }

kill_process() {
    local name=$1 pid
    pid=$(pid_of "$name")
    [[ -n $pid ]] || { echo "$name is not running"; return 0; }
    docker kill "$name" >/dev/null
    # It returns before the death is on record.
    docker wait "$name" >/dev/null
    echo "$name (process $pid) was killed with SIGKILL and stays dead until: make start NAME=$name"
}

start_process() {
    local name=$1
    if [[ -n $(pid_of "$name") ]]; then
        echo "$name is running already"
        return 0
    fi
    check_ports "$name"
    if [[ $'\n'$(ours)$'\n' == *$'\n'$name$'\n'* ]]; then
        docker start "$name" >/dev/null || fail "$name does not start, see above"
    else
        compose_quietly up -d --no-deps --no-build "$name" || compose_failed "$name does not start"
    fi
    until_healthy "$name"
    echo "$name is running (process $(pid_of "$name"))"
}

compose_failed() { fail "$1: $(tail -n 1 "$logs/compose.log") (all of it: $logs/compose.log)"; }

# Follows on a terminal, prints the end otherwise.
show_logs() {
    [[ -z ${1:-} ]] || known_name "$1"
    stack_is_up || refuse "no logs yet: make full-stack"
    local lines=(--tail 200)
    [[ ! -t 1 ]] || lines=(--tail 50 -f)
    if [[ -n ${1:-} ]]; then
        exec docker logs "${lines[@]}" "$1" 2>&1
    fi
    load_settings saved
    # Some versions erase the terminal's line before each one, terminal or not.
    run_compose logs --no-color "${lines[@]}" | sed -u $'s/^\e\\[2K//'
}

# First what uses the brokers and the database, then those. The containers go, what they wrote stays in volumes.
stop_all() {
    if ! stack_is_up; then
        say stop "nothing is running"
        return 0
    fi
    load_settings saved
    export COMPOSE_PROFILES=prometheus,grafana
    # Producers first: what they have sent can still be stored.
    say stop "producers"
    compose_quietly stop "${producers[@]}" || compose_failed "not everything stops"
    say stop "consumers, monitoring"
    compose_quietly stop "${programs[@]}" || compose_failed "not everything stops"
    say stop "brokers, postgres"
    compose_quietly down || compose_failed "not everything stops"
    say stop "done"
}

# What the containers wrote. The image stays, and so do the layers that it was built from.
clean() {
    [[ -z $no_docker ]] || fail "$no_docker"
    refuse_strangers
    stop_all
    load_settings
    export COMPOSE_PROFILES=prometheus,grafana
    compose_quietly down --volumes || compose_failed "not everything could be removed"
    rm -rf "$data"
    echo "Removed: the stack's volumes and $data"
}

# The consumer's commands, in a container of their own beside the stack.
consumer() {
    USER=${USER:-unknown} run_compose run --rm --no-deps -T -e USER migrate consumer "$@"
}

# The monitor's commands, beside the one that serves.
monitor() { docker exec -e "USER=${USER:-unknown}" monitoring monitor "$@"; }

# The demonstrations' client, in a container of its own beside the stack, which sees the recording that it replays.
feed_client() {
    local recording=()
    if [[ -f ${2:-} ]]; then
        recording=(-v "$2:/recordings/${2##*/}:ro")
        set -- "$1" "/recordings/${2##*/}" "${@:3}"
    fi
    run_compose run --rm --no-deps -T "${recording[@]}" migrate producer "$@" --api http://tweet-api:8005
}

sql() {
    docker exec -i postgres psql -X -qAt -v ON_ERROR_STOP=1 \
        "postgres://factory_user:$POSTGRES_PASSWORD@127.0.0.1:5432/factory_monitoring"
}

# SIGTERM, and waits until it has ended; stays so until `start_process`.
stop_process() {
    docker stop "$1" >/dev/null
    say stop "$1 was asked to end, and has"
}

pause_process() {
    docker pause "$1" >/dev/null
    say pause "$1 stands still"
}

unpause_process() {
    docker unpause "$1" >/dev/null
    say pause "$1 goes on"
}

# The broker of an advertised address, which is its container's name.
broker_at() { echo "${1%%:*}"; }
