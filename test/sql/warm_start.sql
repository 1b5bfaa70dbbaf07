-- moemlora_train() with option warm_start: it goes on from the current version
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE nights AS
SELECT n AS night, i AS id, n * 5 + i % 31 AS user_id, 'item ' || i * 7 % 17 AS item, (i % 10)::real AS price,
	ARRAY[i % 5, n + 7] AS tags, ARRAY[i % 3, i % 2, 1]::real[] AS picture, (i % 31 * 7 + i % 17 * 3) % 5 < 2 AS clicked,
	'place ' || n + i % 3 AS place, 0.0::real AS nothing
FROM generate_series(0, 2) AS n, generate_series(1, 600) AS i;
CREATE VIEW features AS
SELECT m.name AS model, v.number AS version, f.position, f.name, f.size
FROM moemlora.feature f JOIN moemlora.version v ON v.id = f.version_id JOIN moemlora.model m ON m.id = v.model_id;

CREATE FUNCTION train(night int, options jsonb DEFAULT '{}', features text[] DEFAULT ARRAY['user_id', 'item', 'price', 'tags', 'picture'],
	model text DEFAULT 'warm') RETURNS TABLE (version int, phase text, note text) LANGUAGE sql AS $$
	SELECT version, phase, substring(note FROM '^warm start from version [0-9]+')
	FROM moemlora_train(model, format('(SELECT * FROM nights WHERE night = %s)', night), 'clicked', 'place', features,
		'{"warm_start": true, "epochs": 2, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 2, "min_domain_rows": 10,
			"recipe": "joint", "learning_rate": 0.01}' || options)
$$;

-- the same statement every night: the first one has nothing to start from
SELECT * FROM train(0);
SELECT * FROM train(1);
SELECT * FROM train(2, '{"serve": "own"}');
SELECT version, value::jsonb -> 'warm_start' AS warm_start FROM moemlora.cards WHERE model = 'warm' AND name = 'options';

-- values and domains that have gone stay, new ones come
SELECT version, name, size FROM features WHERE model = 'warm' AND name IN ('user_id', 'tags') ORDER BY name DESC, version;
SELECT version, domain, rows FROM moemlora.domains WHERE model = 'warm' ORDER BY version, domain;

-- what is learned by nothing (all weights are 0) scores as before, bit by bit, whatever has come and gone
CREATE TABLE before AS SELECT night, id, moemlora_predict('warm', place, n) AS p FROM nights AS n;
SELECT * FROM train(1, '{"weight_column": "nothing", "l2": 0, "serve": "own"}');
SELECT bool_and(moemlora_predict('warm', place, n) = p) AS same_scores, count(DISTINCT p) > 100 AS they_differ
FROM nights AS n JOIN before USING (night, id);
SELECT * FROM train(1, '{"weight_column": "nothing", "l2": 0, "serve": "own", "warm_start": false}');
SELECT bool_and(moemlora_predict('warm', place, n) = p) AS same_scores FROM nights AS n JOIN before USING (night, id);
SELECT name, size FROM features WHERE model = 'warm' AND version = 5 AND name = 'user_id';
DROP TABLE before;

-- rare values: the new ones need min_count, the old ones are there
SELECT version FROM train(0, '{"min_count": 1000}') LIMIT 1;
SELECT name, size FROM features WHERE model = 'warm' AND version = 6 AND name IN ('user_id', 'item') ORDER BY 1;

-- experts and gate come and go with the method
SELECT * FROM train(0, '{"method": "backbone", "warm_start": false}');
SELECT * FROM train(0, '{"method": "moe_mlora", "recipe": "paper", "min_domain_rows": 100000}');
SELECT * FROM train(0, '{"method": "mlora"}');
SELECT phase FROM train(1, '{"method": "moe_mlora", "gate": "input", "recipe": "gated", "min_domain_rows": 100000}');
SELECT * FROM train(1, '{"method": "backbone"}');
SELECT version, name, value FROM moemlora.cards WHERE model = 'warm' AND version >= 7 AND name IN ('method', 'domains', 'experts');

-- sizes must be the same
SELECT * FROM train(0);
SELECT * FROM train(0, '{"backbone": "mlp"}');
SELECT * FROM train(0, '{"embedding_dim": 5}');
SELECT * FROM train(0, '{"hidden": [8]}');
SELECT * FROM train(0, '{"experts_per_domain": 2}');
SELECT * FROM train(0, '{"lora_rank": 3}');
SELECT phase FROM train(0, '{"method": "backbone", "lora_rank": 3}');
SELECT phase FROM train(0, '{"lora_rank": 3}') LIMIT 1;

-- so must the features
SELECT * FROM train(0, features => ARRAY['user_id', 'item', 'price', 'tags']);
SELECT * FROM train(0, features => ARRAY['user_id', 'item', 'price', 'tags', 'picture', 'id']);
SELECT * FROM train(0, features => ARRAY['user_id', 'item', 'price', 'tags', 'id']);
SELECT * FROM train(0, features => ARRAY['item', 'user_id', 'price', 'tags', 'picture']);
SELECT * FROM train(0, '{"columns": {"price": {"buckets": [3, 5]}}}');
SELECT * FROM train(0, '{"columns": {"price": {"transform": "log1p"}}}');
SELECT * FROM train(0, '{"columns": {"price": {"standardize": false}}}');
SELECT * FROM train(0, '{"columns": {"user_id": {"hash": 10}}}');
SELECT * FROM train(0, '{"columns": {"user_id": {"kind": "numeric"}}}');
SELECT * FROM train(0, '{"embedding_dim": 4, "columns": {"picture": {"kind": "multi"}}}');
SELECT count(*) FROM moemlora_train('warm', '(SELECT user_id, item, price, tags, ARRAY[1, 2]::real[] AS picture, clicked, place FROM nights)',
	'clicked', 'place', NULL, '{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3}');
SELECT count(*) FROM moemlora.versions WHERE model = 'warm';

-- columns of other types of the same kind will do
SELECT count(*) > 0 AS is_trained
FROM moemlora_train('warm', '(SELECT user_id::text, item::varchar, price::numeric, tags::text[], picture::float8[], clicked, place FROM nights)',
	'clicked', 'place', NULL, '{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3, "epochs": 1}');

-- so will a vector that is NULL everywhere this time
SELECT count(*) > 0 AS is_trained
FROM moemlora_train('warm', '(SELECT user_id, item, price, tags, NULL::real[] AS picture, clicked, place FROM nights)', 'clicked', 'place', NULL,
	'{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3, "epochs": 1}');

-- a known domain that has validation rows only is known: it keeps its expert, and figures are its own
SELECT count(*) > 0 AS is_trained
FROM moemlora_train('warm', '(SELECT user_id, item, price, tags, picture, clicked, place,
		CASE WHEN place = ''place 1'' OR id % 4 = 0 THEN ''valid'' ELSE ''train'' END AS side FROM nights WHERE night < 2)', 'clicked', 'place',
	ARRAY['user_id', 'item', 'price', 'tags', 'picture'],
	'{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3, "epochs": 1, "split_column": "side"}');
SELECT domain, rows, valid_rows, expert_auc IS NOT NULL AS has_auc FROM moemlora.domains
WHERE model = 'warm' AND version = (SELECT current_version FROM moemlora.models WHERE name = 'warm') ORDER BY domain;

-- columns in another order, where nobody asked for an order, keep that of the version before
SELECT count(*) > 0 AS is_trained
FROM moemlora_train('warm', '(SELECT tags, clicked, picture, place, item, price, user_id FROM nights)', 'clicked', 'place', NULL,
	'{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3, "epochs": 1}');
SELECT string_agg(name, ', ' ORDER BY position) AS features FROM features
WHERE model = 'warm' AND version = (SELECT current_version FROM moemlora.models WHERE name = 'warm');
SELECT count(*) FROM moemlora_train('warm', '(SELECT tags, clicked, picture, place, item, price, id FROM nights)', 'clicked', 'place', NULL,
	'{"warm_start": true, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 3, "epochs": 1}');

-- a training that is rolled back is nothing to start from; one in the same transaction is
BEGIN;
SELECT * FROM train(0, model => 'in transaction');
SELECT * FROM train(1, model => 'in transaction');
ROLLBACK;
SELECT * FROM train(0, model => 'in transaction');

-- a version that is damaged
UPDATE moemlora.component c SET crc = crc + 1 FROM moemlora.version v JOIN moemlora.model m ON m.id = v.model_id
WHERE v.id = c.version_id AND m.name = 'in transaction';
SELECT * FROM train(1, model => 'in transaction');
SELECT phase FROM train(1, '{"warm_start": false}', model => 'in transaction') LIMIT 1;
SELECT note FROM train(1, model => 'in transaction') LIMIT 1;

-- the version before counts as memory of the training
CREATE FUNCTION train_wide() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM moemlora_train('wide', '(SELECT id, clicked, place FROM nights WHERE night = 0)', 'clicked', 'place', NULL,
		'{"epochs": 1, "embedding_dim": 1024, "method": "backbone", "warm_start": true}')
$$;
SELECT train_wide();
SET moemlora.training_memory = '2MB';
\set VERBOSITY terse
SELECT train_wide();
\set VERBOSITY default
RESET moemlora.training_memory;
SELECT train_wide();

SELECT moemlora_drop('warm'), moemlora_drop('in transaction'), moemlora_drop('wide');
DROP VIEW features;
DROP FUNCTION train, train_wide;
DROP TABLE nights;
