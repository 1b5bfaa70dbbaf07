#!/bin/bash
# Measures every backbone at two sizes beside PyTorch, in training and in scoring:
# medians of alternating rounds, one process and one thread each.
# usage: test/with_server.sh test/bench/backbones.sh
#        make bench BACKBONES="wdl dcn"|all [SIZES="3x8 20x16"] [RUNS=3] [...]
#
# A size is the number of categorical features, x, embedding_dim; the domain is
# one more field.  Network, batch and optimiser as in run.sh.
# Training, ours: rows/s of the phase, and of the whole call: from the statement to
# the stored version, EPOCHS passes.  PyTorch (torch_peer.py): one pass over the
# same rows; the clock starts when they are tensors.
# Scoring, ours: one statement of moemlora_score, in blocks over the table, in a
# new session, loading the model included.  PyTorch: batches of the same rows from
# memory.
# How many rows: what ours does in EACH seconds, found by a short trial.
#
# PEER=best (default): PyTorch in the fastest form that torch_peer.py knows; usual:
# as most would write it.  CLOCK=wall (default), or cpu: rows per second of CPU time,
# for a machine that is busy with other things (both are in the JSON).
# Also: RUNS (3), EACH (3), EPOCHS (3), ROWS (400000, the most rows in a table),
# PYTHON, BENCH_JSON (build/bench-backbones.json).  Works in the database that the
# PG* variables name, where it drops and makes schema bench and model "bench".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
BACKBONES=${BACKBONES:-all} SIZES=${SIZES:-3x8 20x16} PEER=${PEER:-best} CLOCK=${CLOCK:-wall}
RUNS=${RUNS:-3} EACH=${EACH:-3} EPOCHS=${EPOCHS:-3} ROWS=${ROWS:-400000}
BENCH_JSON=${BENCH_JSON:-$(cd "$here/../.." && pwd)/build/bench-backbones.json}
all='mlp wdl deepfm nfm pnn dcn autoint xdeepfm fibinet'
[ "$BACKBONES" != all ] || BACKBONES=$all

# Why this script ends without having done its work.
give_up() {
	echo "bench: $1" >&2
	exit 2
}

read -ra names <<<"$BACKBONES"
for name in "${names[@]}"; do
	[[ " $all " == *" $name "* ]] || give_up "no backbone \"$name\"; BACKBONES is all, or some of: $all"
done
for size in $SIZES; do
	[[ $size =~ ^[1-9][0-9]*x[1-9][0-9]*$ ]] || give_up "\"$size\" in SIZES is not FEATURESxEMBEDDING_DIM, as 3x8"
done
[[ $PEER =~ ^(best|usual)$ ]] || give_up 'PEER is best or usual'
[[ $CLOCK =~ ^(wall|cpu)$ ]] || give_up 'CLOCK is wall or cpu'

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# Trains in round $1 on the first $2 rows in $3 epochs.
train() {
	run_sql -v backbone="$backbone" -v size="$size" -v features="$features" -v width="$width" \
		-v round="$1" -v rows="$2" -v epochs="$3" -f "$here/backbones_train.sql"
}

# Scores in round $1 the first $2 rows.
score() {
	run_sql -v backbone="$backbone" -v size="$size" -v round="$1" -v rows="$2" -f "$here/backbones_score.sql"
}

# Asks torch_peer.py.
ask() {
	echo "$*" >&"${to_peer}"
	read -r answer <&"${from_peer}" || give_up 'torch_peer.py has ended'
}

# PyTorch in round $1: what to note, what to do and with how many rows.
peer() {
	local rates
	[ -n "$python" ] || return 0
	ask "$3" "$4"
	rates=${answer/ /, }
	run_sql -c "INSERT INTO bench.run VALUES ('$backbone', '$size', $1, '$2', $4, $rates)"
}

# One size's rows; PyTorch gets them as a file and keeps memory that it has freed,
# else it would be given zeroed pages again for every batch.
open_size() {
	features=${size%x*} width=${size#*x}
	table_rows=$((features > 8 ? ROWS / 4 : ROWS))
	run_sql -v size="$size" -v features="$features" -v rows="$table_rows" -f "$here/backbones_rows.sql"
	[ -n "$python" ] || return 0
	run_sql -c "COPY (SELECT $(seq -s ', ' -f 'f%g' "$features"), place, clicked::int FROM bench.\"$size\" ORDER BY n)
		TO STDOUT (DELIMITER ' ')" >"$files/rows"
	coproc env MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 \
		"$python" "$here/torch_peer.py" "$files/rows" "$width" "$PEER"
	# shellcheck disable=SC2153 # set by coproc
	to_peer=${COPROC[1]} from_peer=${COPROC[0]} peer_pid=$COPROC_PID
}

close_size() {
	run_sql -c "DROP TABLE bench.\"$size\""
	[ -n "$python" ] || return 0
	exec {to_peer}>&-
	wait "$peer_pid"
}

rate_column() {
	if [ "$CLOCK" = cpu ]; then echo cpu_rate; else echo rate; fi
}

# How many rows to train on: whole batches that take EACH seconds in EPOCHS passes by
# the trial, as far as there are so many.
rows_to_train() {
	train 0 8192 1
	run_sql -At <<-END
		SELECT least($table_rows, 1024 * greatest(4, round($(rate_column) * $EACH / $EPOCHS / 1024)))::int
		FROM bench.run WHERE (backbone, size, round, what) = ('$backbone', '$size', 0, 'train, phase')
	END
}

# PyTorch must calculate the same as the golden files say, for every backbone at hand.
check_peer() {
	local backbone
	[ -n "$python" ] || return 0
	for backbone in "${names[@]}"; do
		"$python" "$here/torch_check.py" "$here"/../golden/*_"$backbone".txt >"$files/check" ||
			{ cat "$files/check" >&2; give_up "PyTorch's $backbone is another network than ours"; }
	done
}

measure() {
	local trained scored round
	trained=$(rows_to_train)
	scored=$((trained * 2 < table_rows ? trained * 2 : table_rows))
	if [ -n "$python" ]; then
		ask open "$backbone"
		run_sql -c "INSERT INTO bench.form VALUES ('$backbone', '$size', '$answer')"
	fi
	for ((round = 1; round <= RUNS; round++)); do
		echo "$size $backbone: round $round of $RUNS, $trained rows to train on, $scored to score" >&2
		train "$round" "$trained" "$EPOCHS"
		peer "$round" 'train, PyTorch' train "$trained"
		score "$round" "$scored"
		peer "$round" 'score, PyTorch' score "$scored"
	done
}

load_at_start=$(load_average)
run_sql -f "$here/backbones_prepare.sql"
python=$(find_python)
check_peer
for size in $SIZES; do
	open_size
	for backbone in "${names[@]}"; do
		measure
	done
	close_size
done

mkdir -p "$(dirname "$BENCH_JSON")"
run_sql -v runs="$RUNS" -v rate="$(rate_column)" -v peer="$PEER" -v backbones="{$(IFS=,; echo "${names[*]}")}" \
	-v cpu="$(cpu_name)" -v cores="$(nproc)" -v torch="$(torch_version "$python")" \
	-v load="$load_at_start before, $(load_average) after" -f "$here/backbones_report.sql"
run_sql -At -c "TABLE bench.json" >"$BENCH_JSON"
echo "The same as JSON: $BENCH_JSON"
