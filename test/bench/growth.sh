#!/bin/bash
# Measures how time and memory grow with rows, features, categories and domains.
# usage: test/with_server.sh -c shared_buffers=16MB test/bench/growth.sh
#        make growth [LARGEST=10000000] [AXES="rows features"] [...]
#
# One quantity grows, the others stay.  Each point: one epoch of the network of
# run.sh on rows that the database draws evenly, in a session of its own, then
# scoring of at most a million of the rows in another.
#   rows        with 10 features of 10,000 categories, 3 domains
#   features    100,000 rows, 1,000 categories each, 3 domains
#   categories  of one feature; a million rows, or as many as categories if these are more
#   domains     300,000 rows, 3 features of 1,000 categories; method mlora, each domain with an
#               expert of rank 1, however few its rows
# Memory: what the training says it took (and moemlora.training_memory would have had
# to allow), and the peak of the process, of which 16 MB are shared buffers.
#
# Settings: LARGEST (1000000): of rows and categories; 10000000 takes some minutes more
# and 4 GB of memory.  AXES, MEMORY (moemlora.training_memory, 4GB), BENCH_JSON
# (build/growth.json).  Works in the database that the PG* variables name, where it
# drops and makes schema bench and model "bench".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
LARGEST=${LARGEST:-1000000} AXES=${AXES:-rows features categories domains} MEMORY=${MEMORY:-4GB}
BENCH_JSON=${BENCH_JSON:-$(cd "$here/../.." && pwd)/build/growth.json}
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# The columns of so many features with so many categories each.
columns() {
	local f
	for ((f = 1; f <= $1; f++)); do
		printf '%s(bench.draw(%d, n) %% %d)::int AS f%d' "$([ "$f" = 1 ] || echo ', ')" $((f + 2)) "$2" "$f"
	done
}

# Trains; sets train_seconds, epoch_seconds, train_peak (as in bench.point) and took.
train() {
	local answer options=$1
	answer=$(run_sql -At 2>"$errors" <<-END
		SET client_min_messages = debug1;
		SET moemlora.training_memory = '$MEMORY';
		SELECT clock_timestamp() AS start
		\gset
		SELECT seconds FROM moemlora_train('bench', 'bench.grown', 'clicked', 'domain', NULL, '{$options, "backbone": "wdl",
			"epochs": 1, "validation": 0, "workers": 0}');
		SELECT extract(epoch FROM clock_timestamp() - :'start');
		SELECT coalesce(bench.peak()::text, 'NULL');
	END
	) || { cat "$errors" >&2; exit 1; }
	{ read -r epoch_seconds; read -r train_seconds; read -r train_peak; } <<<"$answer"
	took=$(sed -n 's/.*training took \([0-9]*\) kB.*/\1/p' "$errors")
}

# Scores so many rows, blocks and one by one, when the model has been loaded by the first.
score() {
	local few="(SELECT * FROM bench.grown LIMIT $1) AS g"
	run_sql -At <<-END
		SET moemlora.cache_size = '4GB';
		SELECT clock_timestamp() AS start
		\gset
		SELECT moemlora_predict('bench', domain, g) FROM bench.grown AS g LIMIT 1
		\g /dev/null
		SELECT clock_timestamp() AS loaded
		\gset
		SELECT sum(score) FROM (SELECT moemlora_score('bench', domain, g) OVER () AS score FROM $few) AS scored
		\g /dev/null
		SELECT clock_timestamp() AS scored
		\gset
		SELECT sum(moemlora_predict('bench', domain, g)) FROM $few
		\g /dev/null
		SELECT format('%s, %s, %s, %s, %s', extract(epoch FROM :'loaded'::timestamptz - :'start'), $1,
			extract(epoch FROM :'scored'::timestamptz - :'loaded'), extract(epoch FROM clock_timestamp() - :'scored'),
			coalesce(bench.peak()::text, 'NULL'))
	END
}

# One point: axis, its value, rows, features, categories, domains, options.
point() {
	local axis=$1 value=$2 rows=$3 features=$4 categories=$5 domains=$6 options=$7
	local train_seconds epoch_seconds train_peak took
	[[ " $AXES " == *" $axis "* ]] || return 0
	echo "$axis: $value" >&2
	run_sql -v rows="$rows" -v domains="$domains" -v columns="$(columns "$features" "$categories")" -f "$here/growth_rows.sql"
	train "$options"
	run_sql -c "INSERT INTO bench.point (axis, value, rows, features, categories, domains, train_seconds, epoch_seconds, took, train_peak,
			load_seconds, score_rows, score_seconds, predict_seconds, score_peak)
		VALUES ('$axis', $value, $rows, $features, $categories, $domains, $train_seconds, $epoch_seconds, round($took / 1024.0), $train_peak,
			$(score $((rows < 1000000 ? rows : 1000000))))" \
		-c "SELECT moemlora_drop('bench')" -o /dev/null
}

backbone='"method": "backbone"'
experts='"method": "mlora", "min_domain_rows": 1, "lora_rank": 1, "serve": "own"'

load_at_start=$(load_average)
run_sql -f "$here/growth_prepare.sql"
for ((n = 100000; n <= LARGEST; n *= 10)); do
	point rows "$n" "$n" 10 10000 3 "$backbone"
done
for n in 3 10 30 100; do
	point features "$n" 100000 "$n" 1000 3 "$backbone"
done
for ((n = 1000; n <= LARGEST; n *= 10)); do
	point categories "$n" $((n < 1000000 ? 1000000 : n)) 1 "$n" 3 "$backbone"
done
for n in 2 10 100 1000 10000; do
	point domains "$n" 300000 3 1000 "$n" "$experts"
done

mkdir -p "$(dirname "$BENCH_JSON")"
run_sql -v cpu="$(cpu_name)" -v cores="$(nproc)" -v load="$load_at_start before, $(load_average) after" -f "$here/growth_report.sql"
run_sql -At -c "TABLE bench.json" >"$BENCH_JSON"
echo "The same as JSON: $BENCH_JSON"
