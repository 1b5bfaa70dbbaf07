#!/bin/bash
# Measures scoring beside what the core reaches without a server, rows that share
# features, and the two gates over seven experts beside PyTorch: medians of
# alternating rounds, rows per second of CPU time, one process and one thread each.
# usage: test/with_server.sh test/bench/scoring.sh
#
# A size is the number of categorical features, x, embedding_dim; the domain is one
# more field; backbone mlp.  Random rows share nothing; of shared rows the first
# three quarters of the features and the domain stay the same for 1000 rows each time.
# predict: moemlora_predict over the table; score: moemlora_score(...) OVER ().  The
# core's limit (core.c) is a C loop over values in memory that encodes and scores the
# same rows, one by one beside predict, in blocks of 512 beside score.
# PyTorch (torch_score.py): the rows are tensors in memory; the fastest size of batch.
#
# Settings: SIZES ("3x8 20x16"), RUNS (5), ROWS (200000), PYTHON.  Works in the
# database that the PG* variables name, where it drops and makes schema bench and
# models "bench", "bench domain" and "bench input".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
SIZES=${SIZES:-3x8 20x16} RUNS=${RUNS:-5} ROWS=${ROWS:-200000}
for size in $SIZES; do
	[[ $size =~ ^[1-9][0-9]*x[1-9][0-9]*$ ]] ||
		{ echo "bench: \"$size\" in SIZES is not FEATURESxEMBEDDING_DIM, as 3x8" >&2; exit 2; }
done
rows_file=$(mktemp)
trap 'rm -f "$rows_file"' EXIT

note() {
	run_sql -c "INSERT INTO bench.run VALUES ('$size', '$1', $2)"
}

# What the core reaches over rows $1 of which $2 features are shared.
core() {
	local line
	line=$("$here/../../build/core" mlp "$features" "$width" "$ROWS" 1 "$2")
	[[ $line =~ in\ blocks\ ([0-9]+),\ row\ by\ row\ ([0-9]+) ]]
	note "core score $1" "${BASH_REMATCH[1]}"
	note "core predict $1" "${BASH_REMATCH[2]}"
}

# Scores table $2 by function $1 with model $3 and notes it as $4.
score() {
	run_sql -v size="$size" -v what="$4" -v model="$3" -v function="moemlora_$1" \
		-v window="$([ "$1" = predict ] || echo 'OVER ()')" -v name="$2" -v rows="$ROWS" -f "$here/scoring_score.sql"
}

peer() {
	local what rate
	[ -n "$python" ] || return 0
	while read -r what rate; do
		note "PyTorch $what" "$rate"
	done < <("$python" "$here/torch_score.py" "$rows_file" "$width")
}

measure() {
	local name
	core random 0
	core shared "$shared"
	for name in random shared; do
		score predict "$name" bench "predict $name"
		score score "$name" bench "score $name"
	done
	score score random 'bench domain' 'gate domain'
	score score random 'bench input' 'gate input'
	peer
}

load_at_start=$(load_average)
make -s -C "$here/../.." build/core
run_sql -f "$here/scoring_prepare.sql"
python=$(find_python)
for size in $SIZES; do
	features=${size%x*} width=${size#*x} shared=$((${size%x*} * 3 / 4))
	run_sql -v name=random -v features="$features" -v shared=0 -v rows="$ROWS" -f "$here/scoring_rows.sql"
	run_sql -v name=shared -v features="$features" -v shared="$shared" -v rows="$ROWS" -f "$here/scoring_rows.sql"
	run_sql -v features="$features" -v width="$width" -f "$here/scoring_train.sql"
	run_sql -c "COPY (SELECT $(seq -s ', ' -f 'f%g' "$features"), domain, clicked::int FROM bench.random ORDER BY n)
		TO STDOUT (DELIMITER ' ')" >"$rows_file"
	for ((round = 1; round <= RUNS; round++)); do
		echo "$size: round $round of $RUNS" >&2
		measure
	done
done
run_sql -v runs="$RUNS" -v rows="$ROWS" -v cpu="$(cpu_name)" -v cores="$(nproc)" -v torch="$(torch_version "$python")" \
	-v load="$load_at_start before, $(load_average) after" -f "$here/scoring_report.sql"
