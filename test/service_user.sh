# Sourced: as_service_user COMMAND... runs a command as somebody who may run a
# PostgreSQL server: root itself may not, everybody else may.
# shellcheck shell=bash

service_user=$(id -un)
as_user=()
if [ "$(id -u)" -eq 0 ]; then
	service_user=nobody
	! id postgres >/dev/null 2>&1 || service_user=postgres
	as_user=(runuser -u "$service_user" --)
fi

as_service_user() {
	"${as_user[@]}" "$@"
}

# A new directory that the service user can reach, with a path short enough for a socket in it.
service_directory() {
	local directory parent
	for parent in "${TMPDIR:-/tmp}" /tmp; do
		directory=$(mktemp -d "$parent/moemlora.XXXXXX") || continue
		chmod 755 "$directory"
		if [ ${#directory} -le 60 ] && as_service_user test -x "$directory"; then
			echo "$directory"
			return
		fi
		rmdir "$directory"
	done
	echo "no temporary directory that user $service_user can reach" >&2
	return 1
}
