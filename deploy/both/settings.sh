# Sourced: what runs, and the settings that a `make` command line may change. `kind` says which
# stack it is: native or docker. After where.sh.
#
# A setting comes from the environment (make passes `NAME=value` on), else from what was saved at
# the last start, else from its default. A running stack keeps what it was started with.
# A stack says what else is to be done then: settings_are_loaded.
#
# shellcheck shell=bash disable=SC2034,SC2120 # what is here is used by the files that source this one

both=$root/deploy/both
data=$home/$kind    # everything that the stack writes to files
run=$data/run       # process ids, the supervisor's socket, the lock
saved=$data/settings

brokers=(kafka1 kafka2 kafka3)
producers=(temperature-sensor pressure-sensor vibration-sensor tweet-api)
consumers=(sensor-consumer-1 sensor-consumer-2 sensor-consumer-3)
workers=(feed-worker-0 feed-worker-1 feed-worker-2 feed-worker-3)
programs=(monitoring "${consumers[@]}" "${workers[@]}" "${producers[@]}")
names=("${brokers[@]}" postgres "${programs[@]}")

# Name, default; each stack adds its own. A name that ends in _PORT is checked before the start.
settings=(
    KAFKA1_PORT 29092 KAFKA2_PORT 29192 KAFKA3_PORT 29292
    POSTGRES_PORT 25432 POSTGRES_PASSWORD factory_password
    MONITORING_HOST 127.0.0.1 MONITORING_PORT 5000
    SENSOR_CONSUMER_1_PORT 9111 SENSOR_CONSUMER_2_PORT 9112 SENSOR_CONSUMER_3_PORT 9113
    FEED_WORKER_0_PORT 9130 FEED_WORKER_1_PORT 9131 FEED_WORKER_2_PORT 9132 FEED_WORKER_3_PORT 9133
    TEMPERATURE_SENSOR_PORT 9121 PRESSURE_SENSOR_PORT 9122 VIBRATION_SENSOR_PORT 9123
    TWEET_API_PORT 8005
    SENSORS 20 SENSOR_RATE 50
    TWEET_USER_RATE 100 TWEET_USER_BURST 200 TWEET_RATE 2000 TWEET_BURST 4000
    GROUP_PROTOCOL "" GROUP_ASSIGNOR "" STATIC_MEMBERSHIP "" # empty: what the consumer takes
)

# The saved value of a setting; empty when there is none.
saved_setting() { [[ ! -r $saved ]] || sed -n "s/^$1=//p" "$saved"; }

# Fills the variables named in `settings`. With "saved" what was saved is all that counts, when there is
# something: a stack that `docker compose` started has the settings of its environment.
load_settings() {
    local i name given was
    for ((i = 0; i < ${#settings[@]}; i += 2)); do
        name=${settings[i]} given=${!name:-}
        was=$(saved_setting "$name")
        if [[ ${1:-} == saved && -r $saved ]]; then
            given=$was
        elif [[ -r $saved && -n $given && $given != "${was:-${settings[i + 1]}}" ]] && stack_is_up; then
            refuse "the stack is running with $name=${was:-${settings[i + 1]}}: \`make stop\` first, then start it with $name=$given"
        fi
        printf -v "$name" %s "${given:-${was:-${settings[i + 1]}}}"
        check_setting "$name" "${!name}"
    done
    KAFKA_BROKERS=127.0.0.1:$KAFKA1_PORT,127.0.0.1:$KAFKA2_PORT,127.0.0.1:$KAFKA3_PORT
    DATABASE_URL=$(database_url factory_user)
    export KAFKA_BROKERS DATABASE_URL MONITORING_HOST MONITORING_PORT
    export TWEET_USER_RATE TWEET_USER_BURST TWEET_RATE TWEET_BURST
    for name in GROUP_PROTOCOL GROUP_ASSIGNOR STATIC_MEMBERSHIP; do
        # An empty one would not count as "not given".
        if [[ -n ${!name} ]]; then export "${name?}"; else export -n "${name?}"; fi
    done
    settings_are_loaded
}

database_url() { echo "postgres://$1:$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT/factory_monitoring"; }

check_setting() {
    case $1 in
    *_PORT) [[ $2 =~ ^[1-9][0-9]{0,4}$ && $2 -lt 65536 ]] || refuse "$1=$2 is not a port: 1 to 65535" ;;
    # It goes into a URL and into SQL as it is.
    POSTGRES_PASSWORD) [[ $2 =~ ^[A-Za-z0-9._~-]+$ ]] || refuse "$1 may hold letters, digits and . _ ~ - only" ;;
    SENSORS) [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1=$2 is not a number of sensors" ;;
    TWEET_*) [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || refuse "$1=$2 is not a number of requests" ;;
    SENSOR_RATE) [[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "$1=$2 is not a number of readings a second" ;;
    esac
}

# save_settings [NAME=VALUE…]: with what is no setting but has to be known again.
save_settings() {
    local i
    # There is a password in it.
    install -m 600 /dev/null "$saved.new"
    {
        for ((i = 0; i < ${#settings[@]}; i += 2)); do
            echo "${settings[i]}=${!settings[i]}"
        done
        (($# == 0)) || printf '%s\n' "$@"
    } >"$saved.new"
    mv "$saved.new" "$saved"
    settings_are_loaded
}

# sensor-consumer-1 -> SENSOR_CONSUMER_1_PORT: the variable that moves a process's port.
port_variable() {
    local upper=${1^^}
    echo "${upper//-/_}_PORT"
}

port_of() {
    local variable
    variable=$(port_variable "$1")
    echo "${!variable}"
}

# The name that a target was given, when it is one of ours.
known_name() {
    local name
    for name in "${names[@]}"; do
        [[ $name != "${1:-}" ]] || return 0
    done
    refuse "${1:+$1 is unknown: }say NAME=… with one of ${names[*]}"
}
