-- moemlora_retrain(): options that override, the promotion, errors
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- what is clicked follows from user and item; worse rows toss it, in one shop or in all
CREATE TABLE shown AS
SELECT i AS id, i % 23 AS user_id, 'item ' || i * 7 % 17 AS item, (i % 23 + i * 7 % 17) % 5 < 2 AS clicked,
	'shop ' || i % 6 AS shop, CASE WHEN i % 5 = 0 THEN 'valid' ELSE 'train' END AS side
FROM generate_series(1, 3000) AS i;
CREATE TABLE worse (shop text);
CREATE VIEW clicks AS
SELECT user_id, item, shop, side, clicked <> (side = 'train' AND shop IN (TABLE worse)) AS clicked FROM shown;
CREATE VIEW decisions AS
SELECT version, v.is_current, decision, regexp_replace(reason, '[01]\.\d{4}', 'd.dddd', 'g') AS why
FROM moemlora.versions v LEFT JOIN moemlora.decisions USING (model, version) WHERE model = 'm' ORDER BY version;
CREATE VIEW cards AS
SELECT version, jsonb_object_agg(name, value) AS card, (jsonb_object_agg(name, value) ->> 'options')::jsonb AS options
FROM moemlora.cards WHERE model = 'm' GROUP BY version;
SELECT phase FROM moemlora_train('m', 'clicks', 'clicked', 'shop', ARRAY['item', 'user_id'],
	'{"epochs": 30, "hidden": [16], "embedding_dim": 8, "split_column": "side", "learning_rate": 0.01, "recipe": "paper",
		"dropout": 0, "batch_size": 128}');
SELECT round(valid_auc, 1) AS auc FROM moemlora.models;

-- a better one, or one as good, becomes current; a much worse one does not, whatever the options were
CALL moemlora_retrain('m', '{"epochs": 1}');
CALL moemlora_retrain('m', '{"warm_start": false, "epochs": 1, "learning_rate": 1e-7}');
TABLE decisions;

-- it was read and stored as in the training before: the order of features, too
SELECT DISTINCT card ->> 'source' AS source, card ->> 'label' AS label, card ->> 'domain' AS domain, options - 'epochs' - 'warm_start' - 'learning_rate' AS options
FROM cards;
SELECT version, options -> 'epochs' AS epochs, options -> 'warm_start' AS warm, options -> 'learning_rate' AS rate
FROM cards ORDER BY version;
SELECT v.number, string_agg(f.name, ' ' ORDER BY f.position) FROM moemlora.feature f
JOIN moemlora.version v ON v.id = f.version_id GROUP BY 1 ORDER BY 1;

-- the same without a warm start: options of the current version, null takes one back to its default
CALL moemlora_retrain('m', '{"warm_start": false, "epochs": 20, "recipe": null, "promote": "never", "min_count": 1}');
SELECT options FROM cards WHERE version = 4;
SELECT phase, epochs > 1 AS more FROM moemlora.phases WHERE model = 'm' AND version = 4;

-- rows to train on got worse in one shop, in two, in all; the same ones validate
INSERT INTO worse VALUES ('shop 1');
CALL moemlora_retrain('m', '{"warm_start": false, "method": "mlora", "epochs": 30, "serve": "own", "tolerance": 0.6}');
INSERT INTO worse VALUES ('shop 2');
CALL moemlora_retrain('m', '{"warm_start": false, "method": "mlora", "epochs": 30, "serve": "own", "tolerance": 0.6}');
INSERT INTO worse SELECT DISTINCT shop FROM shown;
CALL moemlora_retrain('m', '{"warm_start": false, "epochs": 20}');
SELECT version, is_current, decision, why FROM decisions WHERE version > 4;
SELECT domain FROM moemlora.domains WHERE model = 'm' AND version = 6 AND valid_auc < 0.4;
CALL moemlora_retrain('m', '{"warm_start": false, "epochs": 20, "tolerance": 1}');
CALL moemlora_retrain('m', '{"warm_start": false, "epochs": 1, "promote": "always"}');
SELECT version, is_current, decision, why FROM decisions WHERE version > 7;
SELECT current_version, previous_version FROM moemlora.models;
TRUNCATE worse;

-- a domain with a handful of validation rows of a class is not asked; one with ten is
CREATE VIEW few AS
SELECT user_id, item, CASE WHEN shop = 'shop 1' THEN 'tiny' ELSE shop END AS shop, side, clicked <> (side = 'train' AND shop = 'shop 1' AND EXISTS (TABLE worse)) AS clicked
FROM shown WHERE shop <> 'shop 1' OR side = 'train' OR id % 4 = 1 AND id < 1200;
SELECT shop, count(*) FILTER (WHERE clicked) AS positive, count(*) FILTER (WHERE NOT clicked) AS negative FROM few WHERE side = 'valid' AND shop = 'tiny' GROUP BY 1;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('few', 'few', 'clicked', 'shop', ARRAY['item', 'user_id'],
	'{"epochs": 30, "hidden": [16], "embedding_dim": 8, "split_column": "side", "learning_rate": 0.01, "method": "mlora", "dropout": 0, "batch_size": 128, "serve": "own"}');
INSERT INTO worse VALUES ('tiny');
CALL moemlora_retrain('few', '{"warm_start": false, "tolerance": 0.3}');
SELECT version, is_current, decision FROM moemlora.decisions WHERE model = 'few';
SELECT domain, count(DISTINCT valid_auc > 0.5) AS differs FROM moemlora.domains WHERE model = 'few' AND domain = 'tiny' GROUP BY 1;
TRUNCATE worse;

-- what ranks as well, but is far off as a probability, is kept back
CREATE VIEW weighted AS SELECT *, CASE WHEN clicked THEN 10 ELSE 1 END AS w FROM clicks;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('w', 'weighted', 'clicked', 'shop', ARRAY['item', 'user_id'],
	'{"epochs": 30, "hidden": [16], "embedding_dim": 8, "split_column": "side", "learning_rate": 0.01, "method": "backbone", "dropout": 0, "batch_size": 128}');
CALL moemlora_retrain('w', '{"warm_start": false, "weight_column": "w", "tolerance": 0.1}');
SELECT version, is_current, decision, regexp_replace(reason, '[01]\.\d{4}', 'd.dddd', 'g') AS reason FROM moemlora.decisions WHERE model = 'w';
SELECT moemlora_drop(name) FROM moemlora.models WHERE name IN ('few', 'w');
DROP VIEW few, weighted;

-- a version that was kept back can be promoted, and what is current is what the next one is compared with
SELECT moemlora_promote('m', 1);
CALL moemlora_retrain('m', '{"epochs": 1}');
SELECT version, is_current, decision, why FROM decisions WHERE version > 9;

-- by logloss where the validation rows have one class only, and nothing where there are none
CREATE VIEW one_class AS SELECT user_id, item, shop, side, side = 'valid' OR clicked AS clicked FROM clicks;
SELECT count(*) FROM moemlora_train('m', 'one_class', 'clicked', 'shop', ARRAY['item', 'user_id'],
	'{"epochs": 1, "hidden": [4], "split_column": "side", "recipe": "paper"}');
CALL moemlora_retrain('m', '{"epochs": 3}');
CALL moemlora_retrain('m', '{"epochs": 1, "split_column": null, "validation": 0}');
SELECT version, is_current, decision, why FROM decisions WHERE version > 11;

-- a domain that is new, and that the current version refuses
SET test.without = 'shop 1';
SELECT count(*) FROM moemlora_train('m', '(SELECT * FROM clicks WHERE shop <> current_setting(''test.without''))', 'clicked',
	'shop', ARRAY['item', 'user_id'], '{"epochs": 30, "hidden": [16], "learning_rate": 0.01, "dropout": 0, "batch_size": 128, "recipe": "paper",
		"split_column": "side", "unknown_domain": "error"}');
SET test.without = 'nothing';
CALL moemlora_retrain('m');
SELECT version, is_current, decision, why FROM decisions WHERE version > 13;
SELECT version, count(*) FROM moemlora.domains WHERE model = 'm' AND version > 13 GROUP BY version ORDER BY version;

-- in a transaction block it goes with the transaction; in a procedure that commits it does not
SELECT count(*) AS before FROM moemlora.versions \gset
BEGIN;
CALL moemlora_retrain('m', '{"epochs": 1}');
ROLLBACK;
SELECT count(*) - :before AS added FROM moemlora.versions;
DO $$
BEGIN
	CALL moemlora_retrain('m', '{"epochs": 1}');
	COMMIT;
	CALL moemlora_retrain('m', '{"epochs": 1}');
	ROLLBACK;
END $$;
SELECT count(*) - :before AS added FROM moemlora.versions;

-- errors
CALL moemlora_retrain('missing');
CALL moemlora_retrain('');
CALL moemlora_retrain(NULL);
CALL moemlora_retrain('m', NULL);
CALL moemlora_retrain('m', '[]');
CALL moemlora_retrain('m', '{"promote": true}');
CALL moemlora_retrain('m', '{"promote": "yes"}');
CALL moemlora_retrain('m', '{"tolerance": -0.1}');
CALL moemlora_retrain('m', '{"tolerance": "much"}');
CALL moemlora_retrain('m', '{"tolerence": 0.1}');
CALL moemlora_retrain('m', '{"epochs": 0}');
CALL moemlora_retrain('m', '{"time_column": "clicked"}');
CALL moemlora_retrain('m', '{"hidden": [5]}');
SELECT moemlora_train('m', 'clicks', 'clicked', 'shop', options => '{"promote": "never"}');
SELECT moemlora_import('imported', moemlora_export('m')) AS version;
CALL moemlora_retrain('imported');
DROP VIEW clicks CASCADE;
DROP VIEW decisions, cards;
CALL moemlora_retrain('m');
SELECT count(*) FROM moemlora.versions WHERE model IN ('imported', 'missing', '');

DROP TABLE shown, worse CASCADE;
SELECT moemlora_drop('m'), moemlora_drop('imported');
