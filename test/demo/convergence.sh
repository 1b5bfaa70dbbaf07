#!/bin/bash
# Is the demo's backbone trained to its end?  Trains it with three seeds, each
# with the demo's patience and with three times as much.
# usage: test/with_server.sh test/demo/convergence.sh
#
# It is, if more patience changes the WAUC on the test rows by less than another
# seed does.  Prints that, and exits with 1 if not.  Same environment as run.sh.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)

run_sql() {
	PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -P footer=off "$@"
}

run_sql -v seed="${DEMO_SEED:-42}" -f "$here/generate.sql" -c "CREATE EXTENSION IF NOT EXISTS moemlora" \
	-c "CREATE TABLE demo.convergence (seed int, patience int, epochs int, valid_wauc float8, test_wauc float8)"

for seed in 1 2 3; do
	for patience in 8 24; do
		run_sql -c "
			INSERT INTO demo.convergence
			SELECT $seed, $patience, epochs, valid_wauc
			FROM moemlora_train('demo_convergence', 'demo.clicks', 'clicked', 'place',
				   '{user_id, age, item_id, category, brand, price, tags}',
				   '{\"method\": \"backbone\", \"split_column\": \"split\", \"patience\": $patience, \"epochs\": 200, \"seed\": $seed,
					 \"columns\": {\"age\": {\"kind\": \"numeric\"}, \"price\": {\"kind\": \"numeric\", \"transform\": \"log1p\"}}}')" \
			-c "
			UPDATE demo.convergence SET test_wauc =
				(SELECT auc FROM moemlora_evaluate('demo_convergence', '(SELECT * FROM demo.clicks WHERE split = ''test'')', 'clicked', 'place')
				 WHERE scope = 'weighted')
			WHERE seed = $seed AND patience = $patience" \
			-c "SELECT moemlora_drop('demo_convergence')" >/dev/null
	done
done

run_sql -c "SELECT seed, patience, epochs, round(valid_wauc::numeric, 4) AS \"valid WAUC\", round(test_wauc::numeric, 4) AS \"test WAUC\"
			FROM demo.convergence ORDER BY seed, patience"
run_sql -At -c "
	WITH patience AS (
		SELECT max(abs(more.test_wauc - less.test_wauc)) AS change
		FROM demo.convergence AS less JOIN demo.convergence AS more USING (seed) WHERE less.patience = 8 AND more.patience = 24),
	seed AS (SELECT max(test_wauc) - min(test_wauc) AS spread FROM demo.convergence WHERE patience = 8)
	SELECT format('More patience changes the WAUC by at most %s, another seed by up to %s: %s.',
				  round(change::numeric, 4), round(spread::numeric, 4),
				  CASE WHEN change < spread THEN 'converged' ELSE 'NOT converged' END)
	FROM patience, seed" | {
	read -r verdict
	echo "$verdict"
	[[ $verdict != *NOT* ]]
}
