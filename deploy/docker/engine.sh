# Sourced: is there a Docker engine, and which compose?
#
# shellcheck shell=bash disable=SC2034 # the variables are used by the files that source this one

# Sets `compose`, the command, and `no_docker`: why Docker cannot be used, empty when it can.
find_docker() {
    compose=() no_docker=
    if ! command -v docker >/dev/null; then
        no_docker="docker is not installed"
    elif ! timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
        no_docker="docker is installed, but its engine does not answer"
    elif docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        no_docker="docker answers, but there is neither \`docker compose\` nor docker-compose"
    fi
}
