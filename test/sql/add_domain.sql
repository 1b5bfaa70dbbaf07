-- moemlora_add_domain(): one domain more, and no bit of the others' scores changes
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE clicks AS
SELECT i AS id, i % 40 AS user_id, 'item ' || i * 7 % 23 AS item, (i % 10)::real AS price, ARRAY[i % 5, i % 7] AS tags,
	(i % 40 * 7 + i % 23 * 3 + i % 4) % 5 < 2 AS clicked, (ARRAY['books', 'films', 'music', 'garden'])[1 + i % 4] AS shop,
	i % 4 AS shop_id, CASE WHEN i % 3 = 0 THEN 'valid' ELSE 'train' END AS side, i AS at, (i % 2)::real AS weight
FROM generate_series(1, 2000) AS i;
CREATE VIEW known AS SELECT * FROM clicks WHERE shop <> 'garden';
CREATE VIEW garden AS SELECT * FROM clicks WHERE shop = 'garden';

CREATE FUNCTION train(model text, options jsonb) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM moemlora_train(model, 'known', 'clicked', 'shop', ARRAY['user_id', 'item', 'price', 'tags'],
		'{"epochs": 2, "hidden": [8, 4], "embedding_dim": 4, "lora_rank": 2, "min_domain_rows": 10, "recipe": "gated",
			"learning_rate": 0.01}' || options)
$$;

-- what it returns
SELECT train('m', '{"serve": "gate"}');
CREATE TABLE before AS SELECT id, moemlora_predict('m', shop, c) AS p, moemlora_score('m', shop, c) OVER () AS s FROM clicks AS c;
SELECT version, phase, rows, seconds >= 0 AS has_time, valid_logloss > 0 AS has_loss, substring(note FROM '^a domain.*') AS note
FROM moemlora_add_domain('m', 'garden', 'clicks', '{"learning_rate": 0.02}');

-- all other domains' scores are as they were, bit by bit
SELECT shop, bool_and(moemlora_predict('m', shop, c) = p) AS same_predict FROM clicks AS c JOIN before USING (id) GROUP BY 1 ORDER BY 1;
SELECT shop, bool_and(now = s) AS same_score
FROM (SELECT id, shop, moemlora_score('m', shop, c) OVER () AS now FROM clicks AS c) AS x JOIN before USING (id) GROUP BY 1 ORDER BY 1;

-- the version: what it was trained from is still the source of all domains
SELECT version, is_current, served, rows, valid_auc IS NULL AS no_auc, valid_wauc IS NULL AS no_wauc FROM moemlora.versions WHERE model = 'm';
SELECT version, is_current, decision, reason FROM moemlora.decisions WHERE model = 'm';
SELECT version, name, value FROM moemlora.cards WHERE model = 'm' AND name IN ('domains', 'experts', 'source', 'added');
CREATE VIEW cards AS
SELECT model, version, card -> 'domains' AS domains, card -> 'experts' AS experts, jsonb_path_query_array((card ->> 'added')::jsonb, '$[*].domain') AS added
FROM (SELECT model, version, jsonb_object_agg(name, value) AS card FROM moemlora.cards GROUP BY model, version) AS c ORDER BY model, version;
SELECT version, domain, rows, backbone_auc IS NOT NULL AS has_backbone, expert_auc IS NOT NULL AS has_expert,
	gated_auc IS NOT NULL AS has_gated FROM moemlora.domains WHERE model = 'm' ORDER BY version, domain;
SELECT count(*) AS differ FROM moemlora.domains AS o JOIN moemlora.domains AS n USING (model, domain)
WHERE model = 'm' AND o.version = 1 AND n.version = 2
	AND (o.rows, o.positives, o.valid_rows, o.backbone_auc, o.expert_auc, o.gated_auc) IS DISTINCT FROM
	(n.rows, n.positives, n.valid_rows, n.backbone_auc, n.expert_auc, n.gated_auc);
SELECT domain, round(sum(weight)::numeric, 4) AS all_experts, round(sum(weight) FILTER (WHERE expert_domain = 'garden')::numeric, 1) AS new_one
FROM moemlora_gates('m') GROUP BY 1 ORDER BY 1;
SELECT DISTINCT phase, expert, domain FROM moemlora.epoch AS e WHERE version_id = (SELECT max(id) FROM moemlora.version) ORDER BY phase;
SELECT moemlora_inspect('m') ->> 'experts' AS experts, moemlora_inspect(moemlora_export('m')) -> 'domains' -> 2 ->> 'name' AS domain;

-- forth and back
SELECT moemlora_rollback('m');
SELECT bool_and(moemlora_predict('m', shop, c) = p) AS same FROM clicks AS c JOIN before USING (id);
SELECT moemlora_promote('m', 2);
SELECT moemlora_add_domain('m', 'garden', 'garden');
SELECT count(*) > 0 AS is_added FROM moemlora_add_domain('m', 'alps', '(SELECT user_id, item, price, tags, clicked, ''alps'' AS shop FROM garden LIMIT 100)');
SELECT bool_and(moemlora_predict('m', shop, c) = p) AS same FROM known AS c JOIN before USING (id);
SELECT * FROM cards WHERE model = 'm';
DROP TABLE before;

-- every mode, also where another one is served than the new domain would like
CREATE FUNCTION check_mode(options jsonb) RETURNS TABLE (mode text, same_predict boolean, same_score boolean, no_worse boolean) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM train('mode', options);
	CREATE TEMP TABLE before AS SELECT id, moemlora_predict('mode', shop, c) AS p, moemlora_score('mode', shop, c) OVER () AS s FROM known AS c;
	PERFORM moemlora_add_domain('mode', 'garden', 'garden', '{"learning_rate": 0.1}');
	RETURN QUERY SELECT (SELECT served FROM moemlora.versions WHERE model = 'mode' AND is_current),
		(SELECT bool_and(moemlora_predict('mode', shop, c) = p) FROM known AS c JOIN before USING (id)),
		(SELECT bool_and(now = s) FROM (SELECT id, moemlora_score('mode', shop, c) OVER () AS now FROM known AS c) AS x JOIN before USING (id)),
		(SELECT valid_auc >= backbone_auc FROM moemlora.domains WHERE model = 'mode' AND domain = 'garden');
	DROP TABLE before;
	PERFORM moemlora_drop('mode');
END $$;
SELECT * FROM check_mode('{"serve": "gate", "experts_per_domain": 2}');
SELECT * FROM check_mode('{"serve": "own"}');
SELECT * FROM check_mode('{"serve": "backbone"}');
SELECT * FROM check_mode('{"method": "mlora", "recipe": "auto", "serve": "own"}');
SELECT * FROM check_mode('{"method": "mlora", "recipe": "auto", "serve": "own", "experts_per_domain": 3, "unknown_domain": "error"}');
SELECT * FROM check_mode('{"min_domain_rows": 100000}');
SELECT * FROM check_mode('{"serve": "gate", "backbone": "xdeepfm", "cin": [4, 4]}');

-- a number that did not vary in training counts for nothing, whatever the new rows have
SELECT count(*) FROM moemlora_train('flat', '(SELECT user_id, 1.0::real AS price, clicked, shop FROM known)', 'clicked', 'shop', NULL, '{"epochs": 1, "hidden": [4], "method": "mlora"}');
CREATE TABLE before AS SELECT id, moemlora_predict('flat', shop, c) AS p FROM known AS c;
SELECT count(*) FROM moemlora_add_domain('flat', 'garden', 'garden');
SELECT bool_and(moemlora_predict('flat', shop, c) = p) AS same FROM known AS c JOIN before USING (id);
DROP TABLE before;

-- the same rows make the same version, in any order
SELECT train('a', '{"serve": "gate"}'), train('b', '{"serve": "gate"}');
SELECT count(*) FROM moemlora_add_domain('a', 'garden', 'garden');
SELECT count(*) FROM moemlora_add_domain('b', 'garden', '(SELECT * FROM clicks ORDER BY md5(id::text))', '{"workers": 2}');
SELECT moemlora_export('a') = moemlora_export('b') AS same;
SELECT count(*) FROM moemlora_add_domain('b', 'alps', '(SELECT *, ''alps'' AS place FROM garden)');

-- options: those of the version's training hold, unless others are given
SELECT train('o', '{"serve": "own", "split_column": "side", "weight_column": "weight"}');
SELECT count(*) FROM moemlora_add_domain('o', 'garden', 'garden', '{"epochs": 1}');
SELECT rows, valid_rows FROM moemlora.domains WHERE model = 'o' AND domain = 'garden' ORDER BY version;
SELECT count(*) FROM moemlora_add_domain('o', 'alps', '(SELECT user_id, item, price, tags, clicked, ''alps'' AS shop FROM garden)');
SELECT count(*) FROM moemlora_add_domain('o', 'alps', '(SELECT user_id, item, price, tags, clicked, ''alps'' AS shop FROM garden)',
	'{"epochs": 1, "split_column": null, "weight_column": null, "validation": 0.5}');
SELECT count(*) FROM moemlora_add_domain('o', 'woods', '(SELECT user_id, item, price, tags, clicked, at, ''woods'' AS shop FROM garden)',
	'{"epochs": 1, "time_column": "at", "weight_column": null, "validation": 0.2}');
SELECT domain, rows, valid_rows BETWEEN 200 AND 300 AS half, valid_rows = 100 AS newest FROM moemlora.domains
WHERE model = 'o' AND version = 4 AND domain IN ('alps', 'woods') ORDER BY domain;
SELECT moemlora_add_domain('m', 'new', 'garden', '{"hidden": [8]}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"serve": "own"}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"min_domain_rows": 5}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"min_count": 5}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"recipe": "joint"}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"finetune": true}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"expert_diversity": 1}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"warm_start": true}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"columns": {}}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"promote": "always"}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"epoch": 1}');
SELECT moemlora_add_domain('m', 'new', 'garden', '{"epochs": 0}');
SELECT moemlora_add_domain('m', 'new', 'garden', '[1]');

-- errors
SELECT moemlora_add_domain('m', 'new', 'garden');
SELECT moemlora_add_domain('m', 'new', '(SELECT * FROM garden WHERE false)');
SELECT moemlora_add_domain('no such model', 'new', 'garden');
SELECT moemlora_add_domain('m', 'new', 'no_such_table');
SELECT moemlora_add_domain('m', 'new', '(SELECT user_id, item, price, clicked, ''new'' AS shop FROM garden)');
SELECT moemlora_add_domain('m', 'new', '(SELECT user_id, item, price, tags, clicked FROM garden)');
SELECT moemlora_add_domain('m', 'new', '(SELECT user_id, item, price::text, tags, clicked, ''new'' AS shop FROM garden)');
SELECT moemlora_add_domain(NULL, 'new', 'garden');
SELECT moemlora_add_domain('m', NULL, 'garden');
SELECT moemlora_add_domain('m', 'new', NULL);
SELECT moemlora_add_domain('m', 'new', 'garden', NULL);
SELECT train('plain', '{"method": "backbone", "recipe": "auto"}');
SELECT moemlora_add_domain('plain', 'garden', 'garden');
SELECT train('input', '{"gate": "input"}');
SELECT moemlora_add_domain('input', 'garden', 'garden');
SELECT moemlora_import('imported', moemlora_export('m'));
SELECT moemlora_add_domain('imported', 'new', 'garden');
BEGIN READ ONLY;
SELECT moemlora_add_domain('m', 'new', 'garden');
ROLLBACK;

-- rows of one class; a single row; a domain's name that is a number
SELECT phase, note FROM moemlora_add_domain('m', 'never', '(SELECT user_id, item, price, tags, false AS clicked, ''never'' AS shop FROM garden)', '{"epochs": 1}');
SELECT count(*) FROM moemlora_add_domain('m', 'one', '(SELECT user_id, item, price, tags, clicked, ''one'' AS shop FROM garden LIMIT 1)', '{"epochs": 1}');
SELECT moemlora_predict('m', 'one', g) BETWEEN 0 AND 1 AS scores FROM garden AS g LIMIT 1;
SELECT count(*) FROM moemlora_train('numbers', '(SELECT * FROM clicks WHERE shop_id < 3)', 'clicked', 'shop_id', ARRAY['user_id', 'item'], '{"epochs": 1, "hidden": [4], "method": "mlora"}');
SELECT count(*) FROM moemlora_add_domain('numbers', '3', 'clicks', '{"epochs": 1}');
SELECT domain, rows FROM moemlora.domains WHERE model = 'numbers' AND version = 2;

-- trained again from the source of all domains: what was added and is not there is kept, with a warning
CALL moemlora_retrain('a', '{"promote": "never"}');
SELECT c.*, is_current FROM cards c JOIN moemlora.versions USING (model, version) WHERE model = 'a';
CALL moemlora_retrain('a', '{"promote": "never", "warm_start": false}');
CREATE OR REPLACE VIEW known AS SELECT * FROM clicks;
CALL moemlora_retrain('a', '{"promote": "never"}');
SELECT domain, rows FROM moemlora.domains WHERE model = 'a' AND version = 5 ORDER BY domain;

SELECT count(moemlora_drop(name)) FROM moemlora.models;
DROP FUNCTION train, check_mode;
DROP VIEW cards, known, garden;
DROP TABLE clicks;
