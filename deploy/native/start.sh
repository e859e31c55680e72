# Sourced: `make full-stack`, step by step. Each step finds out what is done already, so it can be
# run again at any time: after a failure, after `make stop`, and while everything is up.
#
# shellcheck shell=bash

prepare_folders() {
    prepare_folder
    mkdir -p "$logs"
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

# Where `cargo build --release` puts the programs.
program_folder() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    [[ $target == /* ]] || target=$root/$target
    echo "$target/release"
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
    if stack_is_up; then
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
    if ! stack_is_up; then
        # The build may have taken minutes.
        check_ports
        save_settings "BIN=$(program_folder)"
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
