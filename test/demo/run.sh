#!/bin/bash
# The demo: clicks drawn from a known model, a model trained on them inside the
# database, and what experts and gate brought in each domain.
# usage: test/with_server.sh test/demo/run.sh      (or: make demo)
#
# Works in the database that PGHOST, PGPORT, PGUSER and PGDATABASE name, where it
# drops and makes schema demo and model "demo".  DEMO_SEED (42) draws other data.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/demo/model.sh
. "$here/model.sh"
SECONDS=0

# How far apart the test WAUCs of backbones lie that differ in their seed only,
# as seeds.sh measured it on these data (seeds 42, 1, 2, 3).
seed_spread=0.0040

run_sql() {
	psql -X -q -v ON_ERROR_STOP=1 -P footer=off -P null=- "$@"
}

say() {
	printf '\n%s\n\n' "$1"
}

# Shows a statement, then runs it; the trainer's progress comes as NOTICE lines.
show() {
	printf '%s\n\n' "$1"
	run_sql -c "$1" 2>&1 | sed 's/^NOTICE:  /    /'
}

# Trains a version of model demo by a recipe.
train() {
	show "SELECT phase, epochs, rows, round(seconds::numeric, 1) AS seconds, round(rows_per_second) AS \"rows/s\",
       round(train_logloss::numeric, 4) AS \"train loss\", round(valid_logloss::numeric, 4) AS \"valid loss\",
       round(valid_auc::numeric, 4) AS \"valid AUC\", round(valid_wauc::numeric, 4) AS \"valid WAUC\", note
FROM moemlora_train('demo', 'demo.clicks', 'clicked', 'place',
       '$features',
       '{\"recipe\": \"$1\", $options}');"
}

say "1. The data: 300,000 clicks in six places of a shop, drawn from a known model (test/demo/generate.sql)"
run_sql -c "SET client_min_messages = warning" -c "CREATE EXTENSION IF NOT EXISTS moemlora"
run_sql -c "SELECT moemlora_drop(name) FROM moemlora.models WHERE name = 'demo'" >/dev/null
run_sql -v seed="${DEMO_SEED:-42}" -f "$here/generate.sql"
show "SELECT place, count(*) AS rows, round(100 * avg(clicked::int), 1) AS \"clicked %\",
       round(moemlora_auc(p, clicked)::numeric, 4) AS \"AUC of the true model\"
FROM demo.clicks GROUP BY place ORDER BY rows DESC;"

say "2. Training as in the paper: a backbone for all places until it gets no better, then each place's expert, then the gate"
train paper

say "3. A second version of the model by another recipe: backbone, experts and gate together from the start"
train gated

say "4. What came of it, on the fifth of the rows that no training has seen"
run_sql -v seed_spread="$seed_spread" -f "$here/report.sql"

say "5. All of that as one page (moemlora_report)"
mkdir -p "$here/../../build"
report=$(cd "$here/../../build" && pwd)/report.html
run_sql -At -c "SELECT moemlora_report('demo')" >"$report"
echo "Open it in a browser: $report"

cat <<END

That took $SECONDS seconds; the server and its data are gone when this ends.  In a database of your own, try:

    make && sudo make install
    psql -c 'CREATE EXTENSION moemlora' -f test/demo/generate.sql

    SELECT * FROM moemlora_train('demo', 'demo.clicks', 'clicked', 'place',
                                 '$features',
                                 '{"recipe": "gated", "split_column": "split"}');
    SELECT * FROM moemlora.progress;      -- in another session, meanwhile
    SELECT * FROM moemlora_evaluate('demo', '(SELECT * FROM demo.clicks WHERE split = ''test'') AS test', 'clicked', 'place');
    SELECT moemlora_report('demo');       -- psql -Atc "..." > report.html
    SELECT * FROM moemlora.models;
    SELECT * FROM moemlora.domains;
    SELECT c.*, moemlora_predict('demo', place, c) FROM demo.clicks AS c LIMIT 10;

And on real ratings:  make movielens DATA=<GroupLens's folder ml-1m, or an interactions file>
    and real clicks:  make taobao DATA=<Tianchi's folder "Theme click">
END
