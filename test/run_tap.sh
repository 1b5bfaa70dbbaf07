#!/bin/bash
# Runs the TAP tests of test/t, which start servers of their own, and counts
# their cases.
# usage: run_tap.sh LOG_DIRECTORY [test/t/TEST.pl...]
#
# They use the PostgreSQL::Test modules that come with the server's development
# files, see the private installation of make_tree.sh, and run as the service
# user in a copy of test/, because the checkout may be closed to that user.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/service_user.sh
. "$here/service_user.sh"
mkdir -p "$1"
logs=$(cd "$1" && pwd)
shift
PG_CONFIG=${PG_CONFIG:-pg_config}

pgxs_source=$(dirname "$("$PG_CONFIG" --pgxs)")/..
modules=(-I "$pgxs_source/test/perl")
if [ -e "$pgxs_source/test/perl/PostgresNode.pm" ]; then
	modules+=(-I postgres14)
elif [ ! -e "$pgxs_source/test/perl/PostgreSQL/Test/Cluster.pm" ]; then
	echo "this PostgreSQL comes without its test modules"
	exit 77
fi
[ $# -gt 0 ] || set -- "$here"/t/*.pl
if [ ! -e "$1" ]; then
	echo "no TAP tests in test/t"
	exit 1
fi

base=$(service_directory)
tests_pid=

# Tests that are interrupted leave their servers behind.
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	trap '' HUP INT TERM
	cd /
	[ -z "$tests_pid" ] || kill -TERM -- "-$tests_pid" 2>/dev/null || true
	find "$base" -name postmaster.pid -printf '%h\n' | while read -r data; do
		as_service_user "$bin/pg_ctl" stop -D "$data" -m immediate -w >/dev/null || true
	done
	rm -rf "$base"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
"$here/make_tree.sh" "$base/tree" >"$logs/make_tree.log" 2>&1 || { cat "$logs/make_tree.log"; exit 1; }
bin=$base/tree$("$PG_CONFIG" --bindir)
mkdir "$base/own"
cp -R "$here" "$here/../README.md" "$base/own"
chmod -R a+rX "$base/own"
mkdir "$base/own/tap" "$base/own/tmp_check"
# A test adds install scripts of versions that never were.
[ "$(id -u)" -ne 0 ] || chown "$service_user" "$base/own" "$base/own"/t* "$base/tree$("$PG_CONFIG" --sharedir)/extension"

tests=()
for test in "$@"; do
	tests+=("t/$(basename "$test")")
done
status=0
cd "$base/own/test"
setsid "${as_user[@]}" env PATH="$bin:$PATH" \
	PG_REGRESS="$pgxs_source/test/regress/pg_regress" PGPORT=65432 HOME="$base/own" \
	TESTDIR="$base/own" TESTDATADIR="$base/own/tmp_check" TESTLOGDIR="$base/own/tmp_check/log" \
	PERL_TEST_HARNESS_DUMP_TAP="$base/own/tap" \
	prove "${modules[@]}" --timer "${tests[@]}" </dev/null &
tests_pid=$!
wait "$tests_pid" || status=$?
tests_pid=

cp -R "$base/own/tmp_check/log" "$logs" 2>/dev/null || true
cp -R "$base/own/tap/." "$logs"
passed=$(find "$base/own/tap" -name '*.pl' -exec cat {} + | grep -c '^ok' || true)
failed=$(find "$base/own/tap" -name '*.pl' -exec cat {} + | grep -c '^not ok' || true)
# A test file that died, or ran other than the planned number of cases.
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
exit "$status"
