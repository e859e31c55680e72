# Sourced: where things are, and how a script says something.
#
# shellcheck shell=bash disable=SC2034 # the variables are used by the files that source this one

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
home=${MILLRACE_HOME:-$root/.millrace}
[[ $home == /* ]] || home=$PWD/$home
export MILLRACE_HOME=$home
chosen=$home/stack # which stack it is, native or docker, from its start to `make stop`

say() { printf '%-12s %s\n' "$1" "${*:2}"; }
fail() { echo "$*" >&2; exit 69; }
refuse() { echo "$*" >&2; exit 64; }
