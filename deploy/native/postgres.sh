# Sourced: the stack's own Postgres cluster. Nothing here touches the host's clusters.
#
# Postgres refuses to run as root, so under root it is the user `postgres` from Debian's package,
# otherwise the user who started the stack.
#
# shellcheck shell=bash

# Newest installed version; empty when there is none.
postgres_bin=$(find /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1)
postgres_bin=${postgres_bin%/postgres}

# Runs a command as the owner of the cluster; becomes it when used with exec.
owner=()
((EUID != 0)) || owner=(setpriv --reuid=postgres --regid=postgres --init-groups --)

# The cluster's folder. A link when the owner cannot enter ours, as in a clone below /root: then
# the files are in a folder of their own below /var/lib/millrace.
postgres_home=$data/postgres

make_postgres_home() {
    [[ ! -d $postgres_home ]] || return 0
    if "${owner[@]}" test -x "$data"; then
        mkdir -p "$postgres_home"
    else
        local elsewhere
        elsewhere=/var/lib/millrace/$(cksum <<<"$data" | cut -d' ' -f1)
        mkdir -p "$elsewhere"
        chmod 755 /var/lib/millrace "$elsewhere"
        ln -sfn "$elsewhere" "$postgres_home"
    fi
    ((EUID != 0)) || chown postgres: "$postgres_home/"
}

# Makes the cluster with the role and the database, once. It gets its name only when it is whole.
create_cluster() {
    make_postgres_home
    local cluster
    cluster=$(readlink -f "$postgres_home")/data
    if [[ -d $cluster ]]; then
        # Made by an older version: while it is down, its roles can be completed.
        [[ -e $cluster/millrace.roles || -n $(pid_of postgres) ]] || create_monitor_roles "$cluster"
        return 0
    fi
    local new=$cluster.new log=$logs/initdb.log
    rm -rf "$new"
    (
        cd / # the owner may not enter the folder that we are in
        "${owner[@]}" "$postgres_bin/initdb" -D "$new" -U postgres -E UTF8 --locale=C --auth=reject &&
            cluster_files "$new" && create_database "$new" && create_monitor_roles "$new"
    ) >"$log" 2>&1 || fail "could not create the Postgres cluster: see $log"
    mv "$new" "$cluster"
}

cluster_files() {
    echo "include 'millrace.conf'" >>"$1/postgresql.conf"
    # The superuser has no password, so it cannot log in by TCP.
    echo "host all all 127.0.0.1/32 scram-sha-256" >"$1/pg_hba.conf"
    copy_postgres_settings "$1"
}

copy_postgres_settings() {
    install -m 644 "$root/deploy/postgres/millrace.conf" "$1/millrace.conf"
    ((EUID != 0)) || chown postgres: "$1/millrace.conf"
}

create_database() { statements database | single_user "$1"; }

# One for what the monitor reads, one for numbering events; `consumer migrate` gives them their rights.
create_monitor_roles() { statements monitor-roles | single_user "$1" && touch "$1/millrace.roles"; }

statements() { sed "s/@PASSWORD@/$POSTGRES_PASSWORD/" "$root/deploy/postgres/$1.sql"; }

# A statement a line from standard input, in single-user mode: no server, no port, no password of a
# superuser. It exits with 0 whatever happens, so its words are read.
single_user() {
    local said
    said=$(cd / && "${owner[@]}" "$postgres_bin/postgres" --single -D "$1" postgres 2>&1) || return 1
    echo "$said"
    [[ $said != *ERROR:* && $said != *FATAL:* ]]
}

postgres_answers() { timeout 2 "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES_PORT"; }

# A postmaster.pid that a kill or a power cut left behind stops the start when its process id now
# belongs to somebody else. Called only while our postmaster is not running.
drop_stale_pid_file() {
    local file=$1/postmaster.pid pid
    [[ -e $file ]] || return 0
    pid=$(head -1 "$file")
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-D $1" || rm -f "$file"
}
