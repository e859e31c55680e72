# Sourced: `make full-stack`, step by step. Each step finds out what is done already, so it can be
# run again at any time: after a failure, after `make stop`, and while everything is up.
#
# shellcheck shell=bash

# Containers run as other users: what is mounted from here must be readable for them.
mounted_files_are_readable() {
    local closed
    closed=$(find "$root/deploy" \( -type d ! -perm -o=rx -o -type f ! -perm -o=r \) -print -quit)
    [[ -z $closed ]] || refuse "$closed is not readable for the users in the containers: chmod -R o+rX $root/deploy"
}

# docker-compose 1.29 builds with BuildKit only when it is told to.
build_image() {
    export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
    mkdir -p "$logs"
    if [[ -t 1 ]]; then
        run_compose build migrate || fail "the image could not be built: see above"
        return
    fi
    say build "the image of the programs; the first time takes minutes"
    run_compose build migrate >"$logs/build.log" 2>&1 || {
        tail -n 20 "$logs/build.log" >&2
        fail "the image could not be built: see above, all of it: $logs/build.log"
    }
}

start_services() {
    local up name down=()
    up=" $(states | awk '$3 != "-" { printf "%s ", $1 }')"
    for name in "${brokers[@]}"; do
        [[ $up == *" $name "* ]] || down+=("$name")
    done
    ((${#down[@]} == 0)) || say brokers "starting ${down[*]}"
    [[ $up == *" postgres "* ]] || say postgres "starting"
    compose_quietly up -d --no-build "${brokers[@]}" postgres || compose_failed "brokers and postgres do not start"
    until_healthy postgres
    say postgres "ready"
    until_true 90 "the three brokers do not see one another, see: make logs NAME=kafka1" brokers_are_whole || exit 69
    say brokers "ready: all three see one another"
}

# One program at a time, so that the others of its group carry on.
restart_outdated() {
    local name image
    image=$(docker image inspect -f '{{.Id}}' millrace)
    for name in "${programs[@]}"; do
        [[ -n $(pid_of "$name") && $(docker inspect -f '{{.Image}}' "$name") != "$image" ]] || continue
        say "$name" "restarted: it was built anew"
        compose_quietly up -d --no-deps --no-build "$name" || compose_failed "$name does not start"
        until_healthy "$name"
    done
}

start_programs() {
    local name
    restart_outdated
    compose_quietly up -d --no-build || {
        local code
        code=$(docker inspect -f '{{.State.ExitCode}}' migrate 2>/dev/null || echo 0)
        ((code == 0)) || fail "consumer migrate ended with $code: $(last_line migrate) (all of it: docker logs migrate)"
        compose_failed "not everything starts"
    }
    say migrate "schema, topics and group settings are in place"
    for name in $(wanted); do
        until_healthy "$name"
    done
    until_true 60 "not every container is healthy to Docker, see: docker ps" containers_are_healthy || exit 69
    say programs "all are ready"
}

# In Docker's own eyes; its health checks come every few seconds.
containers_are_healthy() {
    local all healthy
    mapfile -t all < <(wanted)
    healthy=$(docker inspect -f '{{.State.Health.Status}}' "${all[@]}" | grep -cx healthy)
    ((healthy == ${#all[@]}))
}

full_stack() {
    local began seconds names_wanted down
    [[ -z $no_docker ]] || fail "$no_docker"
    mounted_files_are_readable
    load_settings
    refuse_strangers
    prepare_folder
    lock
    mapfile -t names_wanted < <(wanted)
    if stack_is_up; then
        say stack "runs already: whatever is down is started"
        mapfile -t down < <(stopped)
        ((${#down[@]} == 0)) || check_ports "${down[@]}"
        build_image
    else
        check_ports "${names_wanted[@]}"
        build_image
        # The build may have taken minutes.
        check_ports "${names_wanted[@]}"
        save_settings
    fi
    began=$EPOCHREALTIME
    start_services
    start_programs
    seconds=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }')
    whats_next "$seconds" "docker kill kafka2 does the same"
}
