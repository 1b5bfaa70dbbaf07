-- moemlora_tune(): options ranked by what they bring on the same rows
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE clicks AS
SELECT i AS id, i % 40 AS user_id, 'item ' || i * 7 % 23 AS item, ARRAY[i % 3, i % 2, 1]::real[] AS picture,
	(i % 40 * 7 + i % 23 * 3 + i % 4) % 5 < 2 AS clicked, (ARRAY['books', 'films', 'music'])[1 + i % 3] AS shop,
	CASE WHEN i % 4 = 0 THEN 'valid' ELSE 'train' END AS side
FROM generate_series(1, 1200) AS i;
CREATE FUNCTION base() RETURNS jsonb LANGUAGE sql RETURN
	'{"epochs": 9, "recipe": "gated", "hidden": [8, 4], "lora_rank": 2, "learning_rate": 0.01, "min_domain_rows": 10}'::jsonb;
CREATE FUNCTION tune(grid jsonb, budget float8 DEFAULT NULL) RETURNS TABLE (rank int, valid_wauc float8, microseconds float8,
	seconds float8, epochs int, rung int, options jsonb, note text) LANGUAGE sql AS $$
	SELECT * FROM moemlora_tune('clicks', 'clicked', 'shop', ARRAY['user_id', 'item'], base() || grid, budget)
$$;

-- six trials: all with one epoch, two with three, one with nine
CREATE TABLE ranking AS SELECT * FROM tune('{"backbone": ["wdl", "dcn", "mlp"], "experts_per_domain": [1, 2]}');
SELECT rank, rung, valid_wauc BETWEEN 0 AND 1 AS has_wauc, microseconds > 0 AS has_cost,
	seconds >= 0 AS has_time, epochs > 0 AS has_epochs, note FROM ranking ORDER BY rank;
SELECT bool_and(valid_wauc <= before) AS ranked_in_rungs
FROM (SELECT valid_wauc, lag(valid_wauc) OVER (PARTITION BY rung ORDER BY rank) AS before FROM ranking) AS x WHERE before IS NOT NULL;
SELECT options ->> 'backbone' AS backbone, options ->> 'experts_per_domain' AS experts, options - 'backbone' - 'experts_per_domain' AS others
FROM ranking ORDER BY 1, 2;

-- the first one is what training with its options makes, and so are those of other rungs with their epochs
SELECT count(*) > 0 AS is_trained FROM ranking, moemlora_train('best', 'clicks', 'clicked', 'shop', ARRAY['user_id', 'item'], base() || options) WHERE rank = 1;
SELECT v.valid_wauc = round(r.valid_wauc::numeric, 4) AS same FROM ranking AS r, moemlora.versions AS v WHERE rank = 1 AND v.model = 'best';
SELECT count(*) > 0 AS is_trained
FROM ranking, moemlora_train('best', 'clicks', 'clicked', 'shop', ARRAY['user_id', 'item'], base() || options || '{"epochs": 3}') WHERE rank = 2;
SELECT v.valid_wauc = round(r.valid_wauc::numeric, 4) AS same FROM ranking AS r, moemlora.versions AS v WHERE rank = 2 AND v.model = 'best' AND version = 2;

-- the same twice
SELECT count(*) AS same FROM ranking JOIN tune('{"backbone": ["wdl", "dcn", "mlp"], "experts_per_domain": [1, 2]}') AS again
	USING (options, valid_wauc, rung, epochs);

-- nothing is stored, so a read-only transaction will do
BEGIN READ ONLY;
SELECT rung, options FROM tune('{"dropout": 0.25}');
ROLLBACK;
SELECT count(*) FROM moemlora.versions WHERE model <> 'best';

-- lists of lists; one option in a list; rows split by a column; all features
SELECT rung, options -> 'hidden' AS hidden FROM tune('{"hidden": [[4], [8, 4]], "epochs": 1}') ORDER BY options -> 'hidden';
SELECT rung, options FROM moemlora_tune('(SELECT user_id, clicked, shop, side FROM clicks)', 'clicked', 'shop', NULL,
	'{"hidden": [4], "epochs": 1, "method": ["backbone"], "split_column": "side"}');

-- more combinations than are tried

SELECT count(*), count(DISTINCT options) FROM tune('{"dropout": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "epochs": 1,
	"l2": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "method": "backbone", "seed": 7}');
-- options that do not go together, and trials that cannot be trained
SET client_min_messages = warning;
SELECT options ->> 'method' AS method, options ->> 'finetune' AS finetune FROM tune('{"method": ["mlora", "moe_mlora"], "finetune": [false, true], "epochs": 1}') ORDER BY 1, 2;
SELECT tune('{"method": "backbone", "finetune": [true]}');
SET moemlora.training_memory = '8MB';
SELECT rank, rung, valid_wauc IS NULL AS no_wauc, regexp_replace(note, '[0-9]+ MB', 'N MB', 'g') AS note FROM tune('{"hidden": [[2048, 2048], [8]], "epochs": 1, "recipe": "paper"}');
SELECT tune('{"hidden": [[2048, 2048], [1024, 2048]], "epochs": 1, "recipe": "paper"}');
RESET moemlora.training_memory;
SELECT rank, rung, note FROM moemlora_tune('clicks', 'clicked', 'shop', ARRAY['picture'],
	'{"hidden": [4], "epochs": 1, "embedding_dim": [3, 4], "columns": {"picture": {"projection": false}}}');

-- errors
SELECT tune('{"epochs": [1, 2]}');
SELECT tune('{"seed": [1, 2]}');
SELECT tune('{"validation": [0.1, 0.2]}');
SELECT tune('{"split_column": ["a", "b"]}');
SELECT tune('{"max_seconds": 5}');
SELECT tune('{"warm_start": true}');
SELECT tune('{"workers": 2}');
SELECT tune('{"backbone": []}');
SELECT tune('{"backbone": ["wdl", "wld"]}');
SELECT tune('{"dropout": [0.5, 1.5]}');
SELECT tune('{"dropout": [[0.5]]}');
SELECT tune('{"dropout": null}');
SELECT tune('{"droput": [0.5]}');
SELECT tune('{"validation": 0}');
SELECT tune('{}', 0);
SELECT tune('{}', 'NaN');
SELECT moemlora_tune('clicks', 'clicked', 'shop', NULL, '[1]');
SELECT moemlora_tune('clicks', 'clicked', 'shop', NULL, NULL);
SELECT moemlora_tune(NULL, 'clicked', 'shop', NULL, '{}');
SELECT moemlora_tune('no_such_table', 'clicked', 'shop', NULL, '{}');
SELECT moemlora_tune('clicks', 'clicked', 'shop', '{}', '{}');
SELECT moemlora_tune('clicks', 'clicked', 'shop', ARRAY['nothing'], '{}');
SELECT moemlora_tune('(SELECT * FROM clicks WHERE false)', 'clicked', 'shop', NULL, '{"columns": {"picture": {"kind": "vector"}}}');

SELECT moemlora_drop('best');
DROP FUNCTION tune, base;
DROP TABLE clicks, ranking;
