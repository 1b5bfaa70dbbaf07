#!/bin/bash
# Measures training and scoring beside what else one would do in PostgreSQL's
# neighbourhood, all in the same run: medians of alternating rounds, one process
# and one thread each.  Writes one table, and all rounds as JSON.
# usage: test/with_server.sh test/bench/run.sh     (or: make bench)
#
# Training, ours: rows/s from the SQL call to the stored version and its commit,
# that is reading and encoding the table, EPOCHS passes over ROWS rows, storing.
# Scoring, ours: one statement over a table of SCORED rows in a new session, loading
# the model included.
# The peers, each if it is there; who is missing is named, with the command that
# installs it.  They get the domain as a number, ids that count from 0 and so need
# no vocabulary, and time to start and to warm up before the clock runs:
#   PyTorch (torch_run.py): rows in memory as tensors; or the table by binary COPY
#     out, the scores by binary COPY in.
#   PL/Python + PyTorch (plpython.sql): the same network inside the server; arrays in,
#     arrays out, and for comparison a call per row; trained from the table.
#   ONNX Runtime (onnx_run.js) in node: likewise in memory and by COPY.
#   Apache MADlib (madlib.sql): its multilayer perceptron, which has no embeddings.
# Whoever scores with our stored network must come to our scores within 1e-5.
#
# Settings: RUNS (5), ROWS (300000), EPOCHS (3), SCORED (1000000), PYTHON (a
# python3 that has torch), NODE (node), MADPACK (MADlib's installer), BENCH_JSON
# (build/bench.json).  Works in the database that PGHOST, PGPORT, PGUSER and
# PGDATABASE name, where it drops and makes schema bench and models "bench...".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
# shellcheck source=test/bench/common.sh
. "$here/common.sh"
RUNS=${RUNS:-5} ROWS=${ROWS:-300000} EPOCHS=${EPOCHS:-3} SCORED=${SCORED:-1000000}
BENCH_JSON=${BENCH_JSON:-$project/build/bench.json}
export NODE_PATH=$project/build/peers/node_modules${NODE_PATH:+:$NODE_PATH}
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
trap '' PIPE # a peer that has ended is told of by ask
round=0
declare -A takes_part=() to_peer=() from_peer=()

give_up() {
	echo "bench: $1" >&2
	exit 2
}

query() {
	run_sql -At -c "$1"
}

# ------------------------------------------------------------------- figures

# Adds a figure of this round: what it is, how many rows in how many seconds.
note() {
	run_sql -v item="$1" -v round="$round" -v rows="$2" -v seconds="$3" \
		<<<"INSERT INTO bench.run VALUES (:'item', :round, :rows, :seconds)"
}

# Runs a statement in a session of its own, after another one that is not measured,
# and prints the seconds it took, commit included.
seconds_of() {
	run_sql -At <<-END
		${2:-SELECT}
		\g /dev/null
		SELECT clock_timestamp() AS start
		\gset
		$1
		\g /dev/null
		SELECT extract(epoch FROM clock_timestamp() - :'start')
	END
}

# ------------------------------------------------------------------- peers

# Writes down who takes part: peer, name, version.
present() {
	takes_part[$1]=yes
	run_sql -v peer="$1" -v name="$2" -v version="$3" <<<"INSERT INTO bench.peer VALUES (:'peer', :'name', :'version')"
}

# Or who does not: peer, name, why, what to do.
missing() {
	run_sql -v peer="$1" -v name="$2" -v missing="$3" -v install="$4" \
		<<<"INSERT INTO bench.peer VALUES (:'peer', :'name', NULL, :'missing', :'install')"
}

# Starts a peer that answers commands: peer, command.
start_peer() {
	local peer=$1 to from
	shift
	mkfifo "$files/$peer.to" "$files/$peer.from"
	"$@" <"$files/$peer.to" >"$files/$peer.from" 2>"$files/$peer.log" &
	exec {to}>"$files/$peer.to" {from}<"$files/$peer.from"
	to_peer[$peer]=$to from_peer[$peer]=$from
}

# Puts a command to a peer; its answer is in $answer.
ask() {
	local peer=$1
	shift
	{ echo "$*" >&"${to_peer[$peer]}"; } 2>/dev/null && read -r answer <&"${from_peer[$peer]}"
}

# A peer's scores, in bench.returned, must be of all rows, and ours within 1e-5.
check_scores() {
	local answer
	answer=$(query "SELECT count(*) = $SCORED AND max(abs(theirs.score - ours.score)) < 1e-5, count(*), max(abs(theirs.score - ours.score))
		FROM (SELECT id, moemlora_score('bench', domain, s) OVER () AS score FROM bench.scored AS s) AS ours
		JOIN bench.returned AS theirs USING (id)")
	[ "${answer%%|*}" = t ] || give_up "the scores of $1 are not ours (rows, largest difference: ${answer#*|})"
	run_sql -c "TRUNCATE bench.returned"
}

# A peer that answers is there if it comes to our scores by COPY: peer, name, version, command for that, what to do if not.
try_peer() {
	if ask "$1" "$4"; then
		check_scores "$2"
		present "$1" "$2" "$3"
	else
		missing "$1" "$2" "$(grep -v '^ *$' "$files/$1.log" | tail -n 1)" "$5"
	fi
}

open_torch() {
	local python install='apt-get install -y python3-torch'
	python=$(find_python)
	if [ -z "$python" ]; then
		missing torch PyTorch 'no python3 that can import torch' "$install"
		return
	fi
	# Memory that was freed is kept, else it would be zeroed pages again for every batch.
	start_peer torch env MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 \
		"$python" "$here/torch_run.py"
	try_peer torch PyTorch "$(torch_version "$python")" 'score copy' "$install"
}

open_onnx() {
	local node=${NODE:-node} version install='npm install --prefix build/peers --ignore-scripts onnxruntime-node'
	if ! command -v "$node" >/dev/null; then
		missing onnx 'ONNX Runtime' 'no node' "apt-get install -y nodejs npm && $install"
		return
	fi
	if ! version=$("$node" -p "require('onnxruntime-node').env.versions.node + ', node ' + process.version" 2>/dev/null); then
		missing onnx 'ONNX Runtime' 'node has no module onnxruntime-node' "$install"
		return
	fi
	start_peer onnx "$node" "$here/onnx_run.js"
	try_peer onnx 'ONNX Runtime' "$version" copy "$install"
}

torch_scores='unnest(bench.torch_scores(array_agg(user_id), array_agg(item_id), array_agg(place))) AS score'

open_plpython() {
	local version name='PL/Python + PyTorch' server
	server=$(query "SELECT current_setting('server_version_num')::int / 10000")
	if [ "$(query "SELECT count(*) FROM pg_available_extensions WHERE name = 'plpython3u'")" -eq 0 ] ||
		! run_sql -v source="$(cat "$here/torch_wdl.py")" -f "$here/plpython.sql" 2>"$files/plpython.log"; then
		missing plpython "$name" 'the server has no language plpython3u' \
			"apt-get install -y --no-install-recommends postgresql-plpython3-$server python3-torch"
		return
	fi
	if ! version=$(query "SELECT bench.torch_open()" 2>/dev/null); then
		missing plpython "$name" "the server's Python cannot import torch" 'apt-get install -y python3-torch'
		return
	fi
	run_sql >/dev/null <<-END
		SELECT bench.torch_open();
		INSERT INTO bench.returned SELECT unnest(array_agg(id)), $torch_scores FROM bench.scored GROUP BY id / 8192;
	END
	check_scores "$name"
	present plpython "$name" "$version"
}

open_madlib() {
	local madpack version name='Apache MADlib'
	local install='build it as madlib.apache.org says, then make bench MADPACK=/usr/local/madlib/bin/madpack'
	madpack=$(command -v "${MADPACK:-madpack}" || command -v /usr/local/madlib/bin/madpack || true)
	if [ -z "$madpack" ]; then
		missing madlib "$name" 'no program madpack' "$install"
		return
	fi
	if ! { "$madpack" -p postgres -s madlib install && version=$(query 'SELECT madlib.version()') &&
			run_sql -v trained="$((ROWS / 10))" -v scored="$((SCORED / 20))" -f "$here/madlib.sql"; } >"$files/madlib.log" 2>&1; then
		missing madlib "$name" "$(grep -v '^ *$' "$files/madlib.log" | tail -n 1)" "$install"
		return
	fi
	version=${version#*version: }
	present madlib "$name" "${version%%,*}"
}

# ------------------------------------------------------------------- measuring

network='"backbone": "wdl", "validation": 0, "l2": 0, "embedding_dim": 8, "hidden": [256, 128, 64], "dropout": 0.5,
	"batch_size": 1024, "learning_rate": 0.001, "workers": 0'

# A training: model, domain column, options of its own.  With no row to validate on, all epochs are run.
train_call() {
	echo "moemlora_train('$1', 'bench.rows', 'clicked', '$2', '{user_id, item_id}', '{$3, $network}')"
}
train="SELECT * FROM $(train_call bench domain "\"method\": \"backbone\", \"epochs\": $EPOCHS")"
train_mlora="SELECT * FROM $(train_call 'bench mlora' domain28 "\"method\": \"mlora\", \"epochs\": $EPOCHS")"
train_gated=$(train_call 'bench gated' domain '"method": "moe_mlora", "recipe": "paper", "serve": "gate", "epochs": 1')

score_call() {
	echo "SELECT sum(score) FROM (SELECT moemlora_score('$1', domain, s) OVER () AS score FROM bench.scored AS s) AS scored"
}

predict="SELECT sum(moemlora_predict('bench', domain, s)) FROM bench.scored AS s"
one_worker='SET max_parallel_workers_per_gather = 1'

measure_ours() {
	local phase
	note train $((ROWS * EPOCHS)) "$(seconds_of "$train")"
	phase=$(query "SELECT rows * epochs || ' ' || seconds FROM $train_gated WHERE phase = 'gate'")
	note gate "${phase% *}" "${phase#* }"
	note mlora $((ROWS * EPOCHS)) "$(seconds_of "$train_mlora")"
	note score "$SCORED" "$(seconds_of "$(score_call bench)")"
	note predict "$SCORED" "$(seconds_of "$predict")"
	note 'score worker' "$SCORED" "$(seconds_of "$(score_call bench)" "$one_worker")"
	note 'predict worker' "$SCORED" "$(seconds_of "$predict" "$one_worker")"
	note scan "$SCORED" "$(seconds_of "SELECT sum(user_id) FROM bench.scored")"
	note gated "$SCORED" "$(seconds_of "$(score_call 'bench gated')")"
}

# A figure by a peer that answers: peer, item, rows, command.
measure_peer() {
	ask "$1" "$4" || give_up "$1 has ended: $(tail -n 1 "$files/$1.log")"
	note "$2" "$3" "$answer"
	run_sql -c "TRUNCATE bench.returned"
}

measure_torch() {
	local form
	for form in dense sparse; do
		measure_peer torch "train $form" "$ROWS" "train $form $ROWS"
	done
	# As many rows as take about as long.
	measure_peer torch 'train gate' $((ROWS / 3)) "train gate $((ROWS / 3))"
	measure_peer torch 'train bmm' $((ROWS / 10)) "train bmm $((ROWS / 10))"
	measure_peer torch 'train masked' $((ROWS / 5)) "train masked $((ROWS / 5))"
	measure_peer torch 'train grouped' $((ROWS / 5)) "train grouped $((ROWS / 5))"
	for form in memory gate copy; do
		measure_peer torch "score $form" "$SCORED" "score $form"
	done
}

measure_onnx() {
	measure_peer onnx 'score onnx memory' "$SCORED" memory
	measure_peer onnx 'score onnx copy' "$SCORED" copy
}

measure_plpython() {
	local open='SELECT bench.torch_open()' few=$((SCORED / 50))
	note 'train plpython' $((ROWS * EPOCHS)) "$(seconds_of "SELECT bench.torch_train($EPOCHS)" "$open")"
	note 'score plpython' "$SCORED" "$(seconds_of "SELECT sum(score) FROM (SELECT $torch_scores FROM bench.scored GROUP BY id / 8192) AS scored" "$open")"
	note 'score plpython row' "$few" "$(seconds_of "SELECT sum(bench.torch_score(user_id, item_id, place)) FROM (SELECT * FROM bench.scored LIMIT $few) AS s" "$open")"
}

measure_madlib() {
	note 'train madlib' $((ROWS / 10)) "$(seconds_of 'SELECT bench.madlib_train()')"
	note 'score madlib' $((SCORED / 20)) "$(seconds_of 'SELECT bench.madlib_score()')"
}

# ------------------------------------------------------------------- the run

load_at_start=$(load_average)
run_sql -v rows="$ROWS" -v scored="$SCORED" -f "$here/prepare.sql"
seconds_of "$train" >/dev/null
run_sql -f "$here/weights.sql"
for peer in torch plpython onnx madlib; do
	"open_$peer"
done

# In rounds, so that a slow minute of the machine meets all.
for ((round = 1; round <= RUNS; round++)); do
	echo "round $round of $RUNS" >&2
	run_sql -c "INSERT INTO bench.load VALUES ($round, '$(load_average)')"
	measure_ours
	for peer in torch plpython onnx madlib; do
		[ -z "${takes_part[$peer]:-}" ] || "measure_$peer"
	done
done

mkdir -p "$(dirname "$BENCH_JSON")"
run_sql -v cpu="$(cpu_name)" -v cores="$(nproc)" -v rows="$ROWS" -v epochs="$EPOCHS" -v scored="$SCORED" -v runs="$RUNS" \
	-v openblas="$("${PKG_CONFIG:-pkg-config}" --modversion openblas)" \
	-v load_before="$load_at_start" -v load_after="$(load_average)" -f "$here/report.sql"
run_sql -At -c "TABLE bench.json" >"$BENCH_JSON"
echo "All rounds as JSON: $BENCH_JSON"
