# Sourced: `make full-stack`, step by step. Each step finds out what is done already, so it can be
# run again at any time: after a failure, after `make stop`, and while everything is up.
#
# shellcheck shell=bash

# check_ports [NAME…]: a line for each port that cannot be had, before anything is started.
check_ports() {
    local i setting name host address reason wanted=() trouble=()
    local -A setting_of=()
    for ((i = 0; i < ${#settings[@]}; i += 2)); do
        setting=${settings[i]} name=$(process_of_port "${settings[i]}")
        [[ $setting == *_PORT ]] || continue
        (($# == 0)) || [[ " $* " == *" $name "* ]] || continue
        host=127.0.0.1
        [[ $name != monitoring ]] || host=$MONITORING_HOST
        address=$host:${!setting}
        if [[ -n ${setting_of[$address]:-} ]]; then
            trouble+=("port ${!setting} is given twice: ${setting_of[$address]} and $setting")
            continue
        fi
        setting_of[$address]=$setting
        wanted+=("$address")
    done
    while IFS=$'\t' read -r address reason; do
        setting=${setting_of[$address]}
        trouble+=("port ${address##*:} for $(process_of_port "$setting") cannot be had (${reason,,}): make full-stack $setting=… moves it")
    done < <("$native/taken-ports" "${wanted[@]}")
    ((${#trouble[@]} == 0)) || {
        printf '%s\n' "${trouble[@]}" >&2
        exit 69
    }
}

# KAFKA1_CONTROLLER_PORT -> kafka1, SENSOR_CONSUMER_1_PORT -> sensor-consumer-1
process_of_port() {
    local lower=${1,,}
    lower=${lower%_port}
    lower=${lower%_controller}
    echo "${lower//_/-}"
}

prepare_folders() {
    mkdir -p "$home"
    [[ ! -d $data || -O $data ]] ||
        refuse "$data belongs to $(stat -c %U "$data"): run make as that user, or remove it"
    mkdir -p "$run" "$logs"
    # Postgres, as another user, has to pass through.
    chmod a+x "$home" "$data"
    [[ -s $data/cluster-id ]] || new_cluster_id >"$data/cluster-id"
}

# 16 random bytes in URL-safe base64; Kafka's tools take a leading dash for an option.
new_cluster_id() {
    local id=-
    while [[ $id == -* ]]; do
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    done
    echo "$id"
}

build_programs() {
    command -v cargo >/dev/null || refuse "cargo is missing: install Rust, see https://rustup.rs"
    "$root/monitor/page/bundle" || fail "the page could not be bundled: see above"
    (cd "$root" && cargo build --release) || fail "the programs could not be built: see above"
}

# The brokers take longest, so they begin while the Postgres cluster is made.
start_services() {
    local down
    mapfile -t down < <(stopped | grep '^kafka' || true)
    ((${#down[@]} == 0)) || say brokers "starting ${down[*]}"
    start_members "${down[@]}"
    create_cluster
    if [[ -z $(pid_of postgres) ]]; then
        say postgres "starting"
        start_members postgres
    fi
    until_healthy postgres
    say postgres "ready"
    until_true 90 "the three brokers do not see one another, see: make logs NAME=kafka1" brokers_are_whole || exit 69
    say brokers "ready: all three see one another"
}

# Schema, topics and settings of the group.
migrate() {
    local log=$logs/migrate.log code=0
    "$bin/consumer" migrate --wait 60 --reader-role factory_reader --recorder-role factory_recorder >"$log" 2>&1 || code=$?
    ((code == 0)) || fail "consumer migrate ended with $code: $(tail -1 "$log") (all of it: $log)"
    say migrate "schema, topics and group settings are in place"
}

# A process at a time, so that the others of its group carry on.
restart_outdated() {
    local name
    while read -r name; do
        say "$name" "restarted: it was built anew"
        ctl restart "$(member "$name")" >/dev/null
        until_healthy "$name"
    done < <(outdated)
}

start_programs() {
    local down name
    restart_outdated
    mapfile -t down < <(stopped)
    ((${#down[@]} == 0)) || say programs "starting ${down[*]}"
    start_members "${down[@]}"
    for name in "${programs[@]}"; do
        until_healthy "$name"
    done
    say programs "all are ready"
}

full_stack() {
    local began
    "$root/deploy/prerequisites"
    load_settings
    prepare_folders
    lock
    if supervisor_is_up; then
        say stack "runs already: whatever is down is started"
        local down
        mapfile -t down < <(stopped)
        ((${#down[@]} == 0)) || check_ports "${down[@]}"
    else
        kill_orphans
        check_ports
    fi
    "$root/deploy/kafka/fetch"
    build_programs
    began=$EPOCHREALTIME
    if ! supervisor_is_up; then
        # The build may have taken minutes.
        check_ports
        save_settings
        start_supervisor
        say supervisor "started; data and logs are in $data"
    fi
    start_services
    migrate
    start_programs
    local seconds
    seconds=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }')
    whats_next "$seconds"
}

whats_next() {
    cat <<NEXT

Everything is up and healthy ($1 s). Readings flow: sensors -> three brokers -> Postgres.

  make status                       every process, its port and its health
  make kill NAME=kafka2             SIGKILL; or sensor-consumer-1, postgres, any other
  make start NAME=kafka2            and back again
  make verify                       was any reading lost or stored twice?
  make logs NAME=sensor-consumer-1
  make dashboard                    http://$(monitoring_address):$MONITORING_PORT
  psql $DATABASE_URL
  make stop                         keeps the data; make clean removes it
NEXT
}
