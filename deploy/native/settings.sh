# Sourced: the native stack's own places and settings.
#
# shellcheck shell=bash disable=SC2034 # the variables are used by the files that source this one

native=$root/deploy/native
logs=$data/log # NAME.log
settings+=(KAFKA1_CONTROLLER_PORT 29093 KAFKA2_CONTROLLER_PORT 29193 KAFKA3_CONTROLLER_PORT 29293)

settings_are_loaded() { bin=$(saved_setting BIN); }
