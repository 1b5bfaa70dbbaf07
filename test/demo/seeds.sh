#!/bin/bash
# How far can the demo's figures be trusted?  Trains its models with several
# seeds, and the backbone with three times the patience as well.
# usage: test/with_server.sh test/demo/seeds.sh [SEED...]       (42 1 2 3)
#
# The backbone is trained to its end if more patience changes its WAUC on the test
# rows by less than another seed does; exits with 1 if not.  Takes a minute a
# seed.  Same environment as run.sh.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/demo/model.sh
. "$here/model.sh"
[ $# -gt 0 ] || set -- 42 1 2 3

run_sql() {
	PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -P footer=off "$@"
}

# train NAME SEED OPTION...: adds the test WAUC of a model with the demo's options and these.
train() {
	local name=$1 seed=$2
	shift 2
	run_sql >/dev/null <<-END
		SELECT moemlora_drop(name) FROM moemlora.models WHERE name = 'demo_seeds';
		SELECT * FROM moemlora_train('demo_seeds', 'demo.clicks', 'clicked', 'place', '$features',
			jsonb '{$options}' || jsonb '{"seed": $seed, $*}');
		INSERT INTO demo.seed
		SELECT $seed, '$name', auc
		FROM moemlora_evaluate('demo_seeds', '(SELECT * FROM demo.clicks WHERE split = ''test'') AS test', 'clicked', 'place')
		WHERE scope = 'weighted';
	END
}

run_sql -c "CREATE EXTENSION IF NOT EXISTS moemlora"
run_sql -v seed="${DEMO_SEED:-42}" -f "$here/generate.sql"
run_sql -c "CREATE TABLE demo.seed (seed int, name text, wauc float8)"
for seed; do
	echo "seed $seed" >&2
	train backbone "$seed" '"method": "backbone", "patience": 5'
	train patient "$seed" '"method": "backbone", "patience": 15, "epochs": 100'
	train paper "$seed" '"recipe": "paper"'
	train gated "$seed" '"recipe": "gated"'
done

run_sql <<-'END'
	SELECT seed,
		   round(max(wauc) FILTER (WHERE name = 'backbone')::numeric, 4) AS backbone,
		   round(max(wauc) FILTER (WHERE name = 'patient')::numeric, 4) AS "backbone, more patience",
		   round(max(wauc) FILTER (WHERE name = 'paper')::numeric, 4) AS "served, paper",
		   round(max(wauc) FILTER (WHERE name = 'gated')::numeric, 4) AS "served, gated"
	FROM demo.seed GROUP BY seed ORDER BY seed;
END
verdict=$(run_sql -At <<-'END'
	SELECT format('More patience changes the WAUC of the backbone by at most %s, another seed by up to %s: %s.',
				  round(max(abs(patient.wauc - backbone.wauc))::numeric, 4),
				  round((max(backbone.wauc) - min(backbone.wauc))::numeric, 4),
				  CASE WHEN max(abs(patient.wauc - backbone.wauc)) < max(backbone.wauc) - min(backbone.wauc)
					   THEN 'converged' ELSE 'NOT converged' END)
	FROM demo.seed AS backbone JOIN demo.seed AS patient USING (seed)
	WHERE backbone.name = 'backbone' AND patient.name = 'patient'
END
)
echo "$verdict"
[[ $verdict != *NOT* ]]
