#!/bin/bash
# Measures training against PyTorch and scoring against a plain scan: medians,
# the whole path included, one process, one thread.
# usage: test/with_server.sh test/bench/run.sh     (or: make bench)
#
# Training: rows/s from the SQL call to the stored version and its commit, that
# is reading and encoding the table, EPOCHS passes over ROWS rows, storing.
# PyTorch (torch_train.py) trains the same network on the same rows, with the same
# batch and optimiser; its clock starts when the rows are tensors.
# Scoring: one statement over a table of SCORED rows in a new session, loading
# the model included.
#
# Settings: RUNS (5), ROWS (300000), EPOCHS (3), SCORED (1000000), PYTHON (a
# python3 that has torch), BENCH_JSON (where the figures go as JSON,
# build/bench.json).  Works in the database that PGHOST, PGPORT, PGUSER and
# PGDATABASE name, where it drops and makes schema bench and model "bench".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
RUNS=${RUNS:-5} ROWS=${ROWS:-300000} EPOCHS=${EPOCHS:-3} SCORED=${SCORED:-1000000}
BENCH_JSON=${BENCH_JSON:-$(cd "$here/../.." && pwd)/build/bench.json}
rows_file=$(mktemp)
trap 'rm -f "$rows_file"' EXIT

# Adds a figure: what it is, how many rows in how many seconds.
note() {
	run_sql -v what="$1" -v rows="$2" -v seconds="$3" <<<"INSERT INTO bench.run VALUES (:'what', :rows, :seconds)"
}

# Runs a statement in a session of its own and prints the seconds it took, commit included.
seconds_of() {
	run_sql -At <<-END
		SELECT clock_timestamp() AS start
		\gset
		$1
		\g /dev/null
		SELECT extract(epoch FROM clock_timestamp() - :'start')
	END
}

torch_run() {
	local seconds
	seconds=$("$python" "$here/torch_train.py" "$rows_file" "$EPOCHS" "$1")
	note "training, PyTorch, $1 Adam" $((ROWS * EPOCHS)) "$seconds"
}

load_at_start=$(load_average)
run_sql -v rows="$ROWS" -v scored="$SCORED" -f "$here/prepare.sql"
run_sql -c "COPY (SELECT user_id, item_id, place, clicked::int FROM bench.rows) TO STDOUT (FORMAT csv)" >"$rows_file"
python=$(find_python)

# With no row to validate on, all epochs are run.
train="SELECT * FROM moemlora_train('bench', 'bench.rows', 'clicked', 'domain', '{user_id, item_id}',
	'{\"method\": \"backbone\", \"backbone\": \"wdl\", \"epochs\": $EPOCHS, \"validation\": 0, \"l2\": 0, \"embedding_dim\": 8,
	  \"hidden\": [256, 128, 64], \"dropout\": 0.5, \"batch_size\": 1024, \"learning_rate\": 0.001, \"workers\": 0}')"

# In rounds, so that a slow minute of the machine meets all.
for ((round = 1; round <= RUNS; round++)); do
	echo "round $round of $RUNS" >&2
	note "training, moemlora" $((ROWS * EPOCHS)) "$(seconds_of "$train")"
	if [ -n "$python" ]; then
		torch_run dense
		torch_run sparse
	fi
	note "plain scan" "$SCORED" "$(seconds_of "SELECT sum(user_id) FROM bench.scored")"
	note "scoring, moemlora_predict" "$SCORED" "$(seconds_of "SELECT sum(moemlora_predict('bench', domain, s)) FROM bench.scored AS s")"
	note "scoring, moemlora_score" "$SCORED" "$(seconds_of "SELECT sum(score) FROM (SELECT moemlora_score('bench', domain, s) OVER () AS score FROM bench.scored AS s) AS scored")"
done

mkdir -p "$(dirname "$BENCH_JSON")"
run_sql -v runs="$RUNS" -v cpu="$(cpu_name)" -v cores="$(nproc)" -v torch="$(torch_version "$python")" \
	-v load="$load_at_start before, $(load_average) after" -f "$here/report.sql"
run_sql -At -c "TABLE bench.json" >"$BENCH_JSON"
echo "The same as JSON: $BENCH_JSON"
