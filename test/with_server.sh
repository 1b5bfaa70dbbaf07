#!/bin/bash
# Runs a command with a private PostgreSQL server that has the extension
# installed and goes away with the command.
# usage: with_server.sh [-c SETTING=VALUE]... COMMAND [ARGUMENT...]
#
# The command finds the server through PGHOST, PGPORT, PGUSER (a superuser) and
# PGDATABASE, and its programs (psql, ...) first in PATH.  The server listens on
# a socket in a directory that only it can enter, and runs as another user when
# we are root.  Its log is left in build/server.log.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/service_user.sh
. "$here/service_user.sh"
PG_CONFIG=$(command -v "${PG_CONFIG:-pg_config}")
export PG_CONFIG

settings=
while [ "${1:-}" = -c ]; do
	settings+="${2%%=*} = '${2#*=}'"$'\n'
	shift 2
done

base=$(service_directory)
tree=$base/tree
log=$base/own/log
server_runs=
command_pid=

# shellcheck disable=SC2317 # called by the trap
clean_up() {
	trap '' INT TERM HUP
	cd /
	[ -z "$command_pid" ] || { kill -TERM "$command_pid" && wait "$command_pid"; } 2>/dev/null || true
	[ -z "$server_runs" ] || as_service_user "$bin/pg_ctl" stop -D "$base/own/data" -m immediate -w >/dev/null || true
	if [ -e "$log" ]; then
		mkdir -p "$here/../build"
		cp "$log" "$here/../build/server.log" || true
	fi
	rm -rf "$base"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$here/make_tree.sh" "$tree"
bin=$tree$("$PG_CONFIG" --bindir)

# No setting of the caller's may lead the command to another server.
for variable in ${!PG*}; do
	[ "$variable" = PG_CONFIG ] || unset "$variable"
done
export PATH=$bin:$PATH
export PGHOST=$base/own/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres

mkdir "$base/own"
[ "$(id -u)" -ne 0 ] || chown "$service_user" "$base/own"
cd "$base"
as_service_user mkdir -m 700 "$PGHOST"
as_service_user "$bin/initdb" -D "$base/own/data" -U "$PGUSER" -A trust -E UTF8 --no-locale --no-sync \
	>"$base/initdb.log" 2>&1 || { cat "$base/initdb.log" >&2; exit 1; }
cat <<-END | as_service_user tee -a "$base/own/data/postgresql.conf" >/dev/null
	listen_addresses = ''
	unix_socket_directories = '$PGHOST'
	fsync = off
	$settings
END
server_runs=yes
as_service_user "$bin/pg_ctl" start -D "$base/own/data" -l "$log" -w -s ||
	{ cat "$log" >&2; exit 1; }
cd - >/dev/null

# In the background, so that a signal to us is not put off until the command ends.
status=0
"$@" <&0 &
command_pid=$!
wait "$command_pid" || status=$?
command_pid=

if grep -E 'was terminated by signal|PANIC:|TRAP:' "$log" >&2; then
	echo "with_server: the server crashed, see build/server.log" >&2
	[ "$status" -ne 0 ] || status=1
fi
exit "$status"
