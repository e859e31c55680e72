# Sourced: the Docker stack's own places and settings.
#
# shellcheck shell=bash disable=SC2034 # the variables are used by the files that source this one

logs=$data/log # what compose said
names+=(prometheus grafana)
settings+=(COMPOSE_PROFILES "" PROMETHEUS_PORT 9090 GRAFANA_PORT 3000)

# The environment has them for compose: they are what stands in ${…} in docker-compose.yml. (How consumers take part in
# their group is in the environment already, or must not be.)
settings_are_loaded() {
    local i
    [[ $MONITORING_HOST == 127.0.0.1 || $MONITORING_HOST == localhost ]] ||
        refuse "MONITORING_HOST=$MONITORING_HOST: the Docker stack is published on 127.0.0.1 only, the native one listens where it is told"
    for ((i = 0; i < ${#settings[@]}; i += 2)); do
        case ${settings[i]} in
        GROUP_* | STATIC_MEMBERSHIP) ;;
        *) export "${settings[i]}" ;;
        esac
    done
}

# Names that are to run: Prometheus and Grafana have to be asked for.
wanted() {
    local name
    for name in "${names[@]}"; do
        case $name,",$COMPOSE_PROFILES," in
        prometheus,*,prometheus,* | prometheus,*,grafana,* | grafana,*,grafana,*) echo "$name" ;;
        prometheus,* | grafana,*) ;;
        *) echo "$name" ;;
        esac
    done
}
