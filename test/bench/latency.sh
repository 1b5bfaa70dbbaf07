#!/bin/bash
# Measures what a single prediction costs a program that asks for one row at a
# time: the first call of a session, and a prepared statement by pgbench; and
# what a session's copy of the model takes.
# usage: test/with_server.sh test/bench/latency.sh
#        make latency [CLIENTS="1 16"] [SECONDS_EACH=5] [SESSIONS=20]
#
# The model has two features of CATEGORIES (260,000 and half of it) values with
# embeddings of 32 numbers: about 50 MB.  Median and 99th percentile are those of
# pgbench's log, on one machine with the server; beside them the same statement
# without the prediction.  Memory: what the server's processes have for
# themselves (RssAnon) after one prediction each.
#
# Works in the database that the PG* variables name, where it drops and makes
# schema bench and model "latency".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
CLIENTS=${CLIENTS:-1 16} SECONDS_EACH=${SECONDS_EACH:-5} SESSIONS=${SESSIONS:-20} CATEGORIES=${CATEGORIES:-260000}
pgbench=$("${PG_CONFIG:-pg_config}" --bindir)/pgbench
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

echo "$(cpu_name), $(nproc) cores; load average $(load_average)"
run_sql -v categories="$CATEGORIES" -f "$here/latency_prepare.sql"

# ------------------------------------------------------------- first calls

call="SELECT moemlora_predict('latency', '1', '{\"a\": 5, \"b\": 7}'::jsonb)"
first_call() {
	psql -X -q -A -t -c '\timing on' -c "LOAD 'moemlora'" -c "$call" -c "$call" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tr '\n' ' '
}
for _ in 1 2 3 4 5; do
	first_call
	echo
done >"$files/first"
sort -n -k 2 "$files/first" | sed -n 3p |
	while read -r load first second; do
		echo "new session, medians of 5 in ms: loading the library $load, first prediction $first, second $second"
	done

# ---------------------------------------------------------------- sessions

# Memory of a session's process, in kB, after the statements.
session_memory() {
	psql -X -q -A -t "$@" -c "SELECT regexp_replace(pg_read_file('/proc/self/status'), '.*RssAnon:\\s*(\\d+).*', '\\1')"
}
without=$(session_memory -c "LOAD 'moemlora'")
for session in $(seq "$SESSIONS"); do
	session_memory -c "$call" -c 'SELECT pg_sleep(2)' | tail -n 1 >"$files/memory.$session" &
done
wait
cat "$files"/memory.* >"$files/memory"
echo "memory of $SESSIONS sessions' processes: $(awk '{ sum += $1 } END { printf "%.1f MB each", sum / NR / 1024 }' "$files/memory"), $((without / 1024)) MB without the model"

# ----------------------------------------------------------------- pgbench

cat >"$files/predict.sql" <<-SQL
	\set a random(1, $CATEGORIES)
	SELECT moemlora_predict('latency', '1', jsonb_build_object('a', :a::int, 'b', :a::int / 2));
SQL
cat >"$files/nothing.sql" <<-SQL
	\set a random(1, $CATEGORIES)
	SELECT jsonb_build_object('a', :a::int, 'b', :a::int / 2);
SQL

# Median and 99th percentile in microseconds of script $1 with $2 clients.
latency() {
	(cd "$files" && "$pgbench" -n -M prepared -c "$2" -j 1 -T "$SECONDS_EACH" -f "$1.sql" -l --log-prefix=log >/dev/null)
	cat "$files"/log.* | cut -d ' ' -f 3 | sort -n | awk '{ us[NR] = $1 } END { printf "%d %d %d", NR, us[int((NR + 1) / 2)], us[int(NR * .99)] }'
	rm -f "$files"/log.*
}

printf '\n%-10s %8s %12s %10s %10s\n' statement clients 'calls/s' 'median us' 'p99 us'
for clients in $CLIENTS; do
	for script in nothing predict; do
		read -r calls median worst <<<"$(latency $script "$clients")"
		printf '%-10s %8d %12d %10d %10d\n' "$script" "$clients" $((calls / SECONDS_EACH)) "$median" "$worst"
	done
done
echo "load average $(load_average)"
