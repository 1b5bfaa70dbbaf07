#!/bin/bash
# make check on the other major versions of PostgreSQL: of what is committed,
# in one minimal Debian after the other; as root, with debootstrap and a mirror.
# usage: check_majors.sh
# Environment: SUITES   Debian's releases, see below
#              ROOTS    a directory that keeps their systems for the next time
#              MIRROR   where they come from
#              OPTIONS  more options for debootstrap
#              RULES    by which it makes a release that is younger than itself
#
# Debian has PostgreSQL 15, 17 and 18; Ubuntu has 14 and 16:
#   SUITES="jammy noble" MIRROR=http://archive.ubuntu.com/ubuntu RULES=gutsy
#   OPTIONS="--components=main,universe --keyring=/path/to/ubuntu-archive-keyring.gpg"
#
# Each system is mounted, and its processes run, in namespaces of their own: they
# are gone with the first of these processes, and nobody outside sees the mounts.
# Full output: build/majors/<suite>.log.
set -eu
umask 022
SUITES=${SUITES:-bookworm trixie forky}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
scripts=/usr/share/debootstrap/scripts
project=$(cd "$(dirname "$0")/.." && pwd)
logs=$project/build/majors
passed=0
failed=0
own_roots=
inner_pid=

give_up() {
	echo "check_majors: $1" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || give_up 'only root can make these systems'
for program in debootstrap unshare git apt-config; do
	command -v "$program" >/dev/null || give_up "$program is not installed"
done

# shellcheck disable=SC2317 # called by the trap
clean_up() {
	trap '' HUP INT TERM
	[ -z "$inner_pid" ] || { kill -KILL "$inner_pid" && wait "$inner_pid"; } 2>/dev/null || true
	[ -z "$own_roots" ] || rm -rf --one-file-system "$own_roots"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${ROOTS:-}" ]; then
	own_roots=$(mktemp -d "${TMPDIR:-/tmp}/moemlora-majors.XXXXXX")
	ROOTS=$own_roots
fi
mkdir -p "$ROOTS" "$logs"
ROOTS=$(cd "$ROOTS" && pwd)

# In the background, so that a signal to us is not put off until the command ends.
contained() {
	local status=0

	unshare --mount --pid --fork --kill-child "$@" </dev/null &
	inner_pid=$!
	wait "$inner_pid" || status=$?
	inner_pid=
	return "$status"
}

# The system of a suite.
make_root() {
	local suite=$1 root=$2 rules=$scripts/$1

	if [ ! -e "$root/made" ]; then
		rm -rf --one-file-system "$root"
		[ -e "$rules" ] || rules=$scripts/${RULES:-sid}
		# shellcheck disable=SC2086 # a list of options
		contained debootstrap --variant=minbase --include=git,make,ca-certificates ${OPTIONS:-} \
			"$suite" "$root" "$MIRROR" "$rules" || return
		touch "$root/made"
	fi
}

# How this machine reaches the mirror, and the project.
furnish_root() {
	local root=$1

	apt-config dump Acquire | grep -v '^Acquire::IndexTargets' >"$root/etc/apt/apt.conf.d/99machine" &&
		cp -L /etc/resolv.conf /etc/hosts "$root/etc" &&
		cp -R /usr/local/share/ca-certificates "$root/usr/local/share" &&
		chroot "$root" update-ca-certificates &&
		rm -rf "$root/src" &&
		git -c safe.directory='*' clone -q --no-hardlinks "$project" "$root/src"
}

# With the extensions that tests use where they are, as far as the suite has them.
# shellcheck disable=SC2016 # expanded by the inner shell
check_root() {
	contained bash -c '
		set -e
		mount -t proc proc "$1/proc"
		mkdir -p "$1/dev/shm"
		mount -t tmpfs tmpfs "$1/dev/shm"
		chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=true bash -c "
			cd /src && test/install_packages.sh postgresql-NN-{pgvector,cron}\\? && .ci/run"
	' check_root "$1"
}

for suite in $SUITES; do
	root=$ROOTS/$suite
	log=$logs/$suite.log
	start=$SECONDS
	status=0
	{ make_root "$suite" "$root" && furnish_root "$root" && check_root "$root"; } >"$log" 2>&1 || status=$?
	server=$(sed -n 's/^#define PG_VERSION "\(.*\)"$/PostgreSQL \1/p' \
		"$root"/usr/include/postgresql/*/server/pg_config.h 2>/dev/null || true)
	line=$(tail -n 1 "$log")
	if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] && [ $((status == 0)) -eq $((BASH_REMATCH[2] == 0)) ]; then
		p=${BASH_REMATCH[1]}
		f=${BASH_REMATCH[2]}
	else
		p=0
		f=1
	fi
	[ "$f" -eq 0 ] || { tail -n 60 "$log" | sed 's/^/    /'; echo "    (all of it: $log)"; }
	printf '%-10s %-20s %4d passed, %d failed  (%d s)\n' "$suite" "${server:-no PostgreSQL}" "$p" "$f" $((SECONDS - start))
	passed=$((passed + p))
	failed=$((failed + f))
	rm -rf "$root/src"
	[ -z "$own_roots" ] || rm -rf --one-file-system "$root"
done
echo "$passed passed, $failed failed"
exit $((failed > 0))
