# Sourced: the stack's own supervisord, with its configuration, socket and logs in our folder.
# The host's instance (and its socket) is never talked to.
#
# shellcheck shell=bash

supervisor_conf=$data/supervisord.conf
supervisor_pid_file=$run/supervisord.pid

# A socket's path may be 108 bytes long, of which supervisord uses some for a temporary name.
supervisor_socket=$run/supervisor.sock
if ((${#supervisor_socket} > 90)); then
    supervisor_socket=/tmp/millrace-$EUID-$(cksum <<<"$data" | cut -d' ' -f1)/supervisor.sock
fi

stack_is_up() {
    local pid
    pid=$(cat "$supervisor_pid_file" 2>/dev/null) || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$supervisor_conf"
}

ctl() { supervisorctl -c "$supervisor_conf" "$@"; }

# sensor-consumer-1 -> consumers:sensor-consumer-1, what supervisord calls it.
member() {
    case $1 in
    kafka*) echo "brokers:$1" ;;
    postgres | monitoring) echo "$1" ;;
    sensor-consumer-* | feed-worker-*) echo "consumers:$1" ;;
    *) echo "producers:$1" ;;
    esac
}

members() {
    local name
    for name in "$@"; do member "$name"; done
}

# NAME STATE PID UPTIME for each process, "-" where there is none.
states() {
    { ctl status 2>/dev/null || true; } | awk -v run="$run" '{
        sub(/^[^ ]*:/, "", $1); pid = "-"; up = "-"
        if ($3 == "pid") {
            sub(",", "", $4); pid = $4; up = $6
            # deploy/native/run makes a pause before the next try.
            waits = run "/" $1 ".waits"
            if ((getline until < waits) > 0) $2 = "WAITING"
            close(waits)
        }
        print $1, $2, pid, up
    }'
}

write_supervisor_config() {
    local name
    {
        supervisor_sections
        for name in "${names[@]}"; do program_section "$name"; done
        group_section brokers "${brokers[@]}"
        group_section consumers "${consumers[@]}" "${workers[@]}"
        group_section producers "${producers[@]}"
    } | sed 's/%/%%/g' >"$supervisor_conf"
}

supervisor_sections() {
    cat <<CONF
[supervisord]
logfile=$logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=$supervisor_pid_file
childlogdir=$logs
directory=$root
identifier=millrace
environment=MILLRACE_HOME="$home"
umask=022
$( ((EUID != 0)) || echo user=root)

[unix_http_server]
file=$supervisor_socket
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://$supervisor_socket
CONF
}

# 0 done, 64 wrong configuration, 79 fenced by another process with the same id: no restart then.
# startsecs=0 makes that hold from the first moment on; deploy/native/run spaces the restarts.
program_section() {
    local signal=TERM seconds=15
    # Fast shutdown: sessions are cut, nothing is lost.
    [[ $1 != postgres ]] || signal=INT seconds=30
    cat <<CONF

[program:$1]
command="$native/run" $1
autostart=false
autorestart=unexpected
exitcodes=0,64,79
startsecs=0
startretries=1000000
stopsignal=$signal
stopwaitsecs=$seconds
redirect_stderr=true
stdout_logfile=$logs/$1.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
CONF
}

group_section() {
    local group=$1
    shift
    printf '\n[group:%s]\nprograms=%s\n' "$group" "$(IFS=,; echo "$*")"
}

# The stack's processes must not see what make and the shell happen to have set.
start_supervisor() {
    mkdir -p "${supervisor_socket%/*}"
    chmod 700 "${supervisor_socket%/*}"
    write_supervisor_config
    local variable unset=()
    for variable in MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES HTTP_ADDR "${!PG@}"; do
        unset+=(-u "$variable")
    done
    env "${unset[@]}" supervisord -c "$supervisor_conf" </dev/null >"$logs/supervisord.start.log" 2>&1 8>&- 9>&- ||
        fail "supervisord did not start: see $logs/supervisord.start.log"
    until_true 10 "supervisord does not answer: see $logs/supervisord.log" ctl avail >/dev/null 2>&1 ||
        fail "supervisord does not answer: see $logs/supervisord.log"
}
