#!/bin/bash
# What options expert_diversity and gate_entropy do: trains the demo's gated model
# without and with each, and measures how much the experts overlap, how spread
# the gate is, and what it costs or brings on the validation rows.
# usage: test/with_server.sh test/demo/hooks.sh [SEED...]       (42 1 2)
#
# Each seed takes four times as long as the demo's second training.  Same
# environment as run.sh.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/demo/model.sh
. "$here/model.sh"
[ $# -gt 0 ] || set -- 42 1 2

run_sql() {
	PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -P footer=off "$@"
}

# train SEED [OPTION]: adds the figures of a model with the demo's options and this.
train() {
	run_sql >/dev/null <<-END
		SELECT moemlora_drop(name) FROM moemlora.models WHERE name = 'demo_hooks';
		SELECT * FROM moemlora_train('demo_hooks', 'demo.clicks', 'clicked', 'place', '$features',
			jsonb '{$options}' || jsonb '{"recipe": "gated", "serve": "gate", "seed": $1}' || jsonb '{${2:-}}');
		INSERT INTO demo.hook (option, seed, overlap, alignment, entropy, auc, wauc)
		SELECT '${2:-neither}', $1, overlap, alignment, demo.gate_entropy('demo_hooks'), valid_auc, valid_wauc
		FROM demo.overlap('demo_hooks'), moemlora.versions WHERE model = 'demo_hooks' AND is_current;
	END
}

run_sql -c "CREATE EXTENSION IF NOT EXISTS moemlora"
run_sql -v seed="${DEMO_SEED:-42}" -f "$here/generate.sql"
run_sql -f "$here/hooks.sql"
for seed; do
	echo "seed $seed" >&2
	train "$seed"
	train "$seed" '"expert_diversity": 0.001'
	train "$seed" '"gate_entropy": -0.01'
	train "$seed" '"gate_entropy": 0.01'
done

# Each figure for the seeds in their order.
run_sql <<-'END'
	SELECT option, string_agg(round(overlap::numeric, 1)::text, ', ' ORDER BY id) AS overlap,
		   string_agg(round(alignment::numeric, 4)::text, ', ' ORDER BY id) AS alignment,
		   string_agg(round(entropy::numeric, 2)::text, ', ' ORDER BY id) AS "gate's entropy",
		   string_agg(round(auc::numeric, 4)::text, ', ' ORDER BY id) AS "valid AUC",
		   string_agg(round(wauc::numeric, 4)::text, ', ' ORDER BY id) AS "valid WAUC"
	FROM demo.hook GROUP BY option ORDER BY min(id);
END
