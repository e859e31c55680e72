# Sourced: can the ports be had that a stack listens on?
#
# shellcheck shell=bash

# check_ports [NAME…]: a line for each port that cannot be had, before anything is started.
check_ports() {
    local i setting name host address reason wanted=() trouble=()
    local -A setting_of=()
    for ((i = 0; i < ${#settings[@]}; i += 2)); do
        setting=${settings[i]} name=$(process_of_port "${settings[i]}")
        [[ $setting == *_PORT && " ${names[*]} " == *" $name "* ]] || continue
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
    done < <(taken_ports "${wanted[@]}")
    ((${#trouble[@]} == 0)) || {
        printf '%s\n' "${trouble[@]}" >&2
        exit 69
    }
}

# Where there is no Python, a port is taken when somebody answers there.
taken_ports() {
    if command -v python3 >/dev/null; then
        "$both/taken-ports" "$@"
        return
    fi
    local address
    for address in "$@"; do
        ! (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null || printf '%s\tAddress already in use\n' "$address"
    done
}

# KAFKA1_CONTROLLER_PORT -> kafka1, SENSOR_CONSUMER_1_PORT -> sensor-consumer-1
process_of_port() {
    local lower=${1,,}
    lower=${lower%_port}
    lower=${lower%_controller}
    echo "${lower//_/-}"
}
