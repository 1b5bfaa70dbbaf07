#!/bin/bash
# Measures how time and memory grow with rows, features, categories and domains.
# usage: test/with_server.sh -c shared_buffers=16MB test/bench/growth.sh
#        make growth [LARGEST=1000000] [AXES="rows features"] [...]
#
# One quantity grows, the others stay.  Each point: one epoch of the network of
# run.sh on rows that the database draws evenly, in a session of its own, then
# scoring of at most a million of the rows in another.
#   rows        with 10 features of 10,000 categories, 3 domains
#   features    100,000 rows, 1,000 categories each, 3 domains
#   categories  of one feature, all of them met; a million rows, or as many as categories
#               if these are more; 3 domains
#   domains     300,000 rows, 3 features of 1,000 categories; method mlora, each domain with
#               an expert of rank 1, however few its rows
# Time: of the processor, so that other work on the machine counts for little.
# Memory: what the training says it took (and moemlora.training_memory would have had
# to allow), and the peak of the process, of which 16 MB are shared buffers.
#
# Settings: LARGEST (10000000, of rows and of categories: takes 3 GB of memory and 2 GB
# of disk, and most of the time; 1000000 is quick), AXES, MEMORY (4GB, the setting
# moemlora.training_memory), BENCH_JSON (build/growth.json).  Works in the database
# that the PG* variables name, where it drops and makes schema bench and model "bench".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
LARGEST=${LARGEST:-10000000} AXES=${AXES:-rows features categories domains} MEMORY=${MEMORY:-4GB}
BENCH_JSON=${BENCH_JSON:-$(cd "$here/../.." && pwd)/build/growth.json}
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# The columns of so many features with so many categories each, drawn by chance.
drawn() {
	local f
	for ((f = 1; f <= $1; f++)); do
		printf '%s(bench.draw(%d, n) %% %d)::int AS f%d' "$([ "$f" = 1 ] || echo ', ')" $((f + 2)) "$2" "$f"
	done
}

# Trains with these options; sets train_seconds, train_peak (as in bench.point) and took.
train() {
	local answer options=$1
	answer=$(run_sql -At 2>"$errors" <<-END
		SET client_min_messages = debug1;
		SET moemlora.training_memory = '$MEMORY';
		SELECT bench.clock() AS start
		\gset
		SELECT moemlora_train('bench', 'bench.grown', 'clicked', 'domain', NULL, '{$options, "backbone": "wdl",
			"epochs": 1, "validation": 0, "workers": 0}')
		\g /dev/null
		SELECT bench.clock() - :start;
		SELECT coalesce(bench.peak()::text, 'NULL');
	END
	) || { cat "$errors" >&2; exit 1; }
	{ read -r train_seconds; read -r train_peak; } <<<"$answer"
	took=$(sed -n 's/.*training took \([0-9]*\) kB.*/\1/p' "$errors")
}

# Scores so many rows, blocks and one by one, when the model has been loaded by the first.
score() {
	local few="(SELECT * FROM bench.grown LIMIT $1) AS g"
	run_sql -At <<-END
		SELECT bench.clock() AS start
		\gset
		SELECT moemlora_predict('bench', domain, g) FROM bench.grown AS g LIMIT 1
		\g /dev/null
		SELECT bench.clock() AS loaded
		\gset
		SELECT sum(score) FROM (SELECT moemlora_score('bench', domain, g) OVER () AS score FROM $few) AS scored
		\g /dev/null
		SELECT bench.clock() AS scored
		\gset
		SELECT sum(moemlora_predict('bench', domain, g)) FROM $few
		\g /dev/null
		SELECT format('%s, %s, %s, %s, %s', :loaded - :start, $1, :scored - :loaded, bench.clock() - :scored,
			coalesce(bench.peak()::text, 'NULL'))
	END
}

# One column in which each of so many categories stands as often as the others.
# (The factor has no divisor in common with a power of ten.)
met() {
	echo "(n::bigint * 7368787 % $1)::int AS f1"
}

# One point: axis, its value, rows, features, categories, domains, options, columns.
point() {
	local axis=$1 value=$2 rows=$3 features=$4 categories=$5 domains=$6 options=$7 columns=$8
	local train_seconds train_peak took
	[[ " $AXES " == *" $axis "* ]] || return 0
	echo "$axis: $value" >&2
	run_sql -v rows="$rows" -v domains="$domains" -v columns="$columns" -f "$here/growth_rows.sql"
	train "$options"
	run_sql -c "INSERT INTO bench.point (axis, value, rows, features, categories, domains, train_seconds, took, train_peak,
			load_seconds, score_rows, score_seconds, predict_seconds, score_peak)
		VALUES ('$axis', $value, $rows, $features, $categories, $domains, $train_seconds, round($took / 1024.0), $train_peak,
			$(score $((rows < 1000000 ? rows : 1000000))))" \
		-c "SELECT moemlora_drop('bench')" -o /dev/null
}

backbone='"method": "backbone"'
experts='"method": "mlora", "min_domain_rows": 1, "lora_rank": 1, "serve": "own"'

load_at_start=$(load_average)
run_sql -f "$here/growth_prepare.sql"
for ((n = 100000; n <= LARGEST; n *= 10)); do
	point rows "$n" "$n" 10 10000 3 "$backbone" "$(drawn 10 10000)"
done
for n in 3 10 30 100; do
	point features "$n" 100000 "$n" 1000 3 "$backbone" "$(drawn "$n" 1000)"
done
for ((n = 1000; n <= LARGEST; n *= 10)); do
	point categories "$n" $((n < 1000000 ? 1000000 : n)) 1 "$n" 3 "$backbone" "$(met "$n")"
done
for n in 2 10 100 1000 10000; do
	point domains "$n" 300000 3 1000 "$n" "$experts" "$(drawn 3 1000)"
done

mkdir -p "$(dirname "$BENCH_JSON")"
run_sql -v cpu="$(cpu_name)" -v cores="$(nproc)" -v load="$load_at_start before, $(load_average) after" -f "$here/growth_report.sql"
run_sql -At -c "TABLE bench.json" >"$BENCH_JSON"
echo "The same as JSON: $BENCH_JSON"
