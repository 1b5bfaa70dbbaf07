-- Models as values: moemlora_export(), moemlora_import(), moemlora_inspect(), and scoring with a bytea
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE seen AS
SELECT i AS id, i % 37 AS user_id, CASE WHEN i % 20 > 0 THEN 'item ' || i % 23 END AS item, (i % 10)::real AS price, ARRAY[i % 5, i % 7] AS tags,
	ARRAY[i % 3, i % 2]::real[] AS vec, 18 + i % 50 AS age, (i % 37 * 7 + i % 23 * 3) % 5 < 2 AS clicked, (ARRAY['books', 'games'])[i % 2 + 1] AS category
FROM generate_series(1, 600) AS i;
\set options '{"epochs": 2, "recipe": "paper", "serve": "gate", "hidden": [8, 4], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02, "columns": {"age": {"kind": "numeric", "buckets": [25, 35]}, "user_id": {"hash": 20}, "price": {"transform": "log1p"}, "vec": {"kind": "vector"}}}'
SELECT count(*) FROM moemlora_train('values', 'seen', 'clicked', 'category', ARRAY['user_id', 'item', 'price', 'tags', 'vec', 'age'], :'options');
SELECT count(*) FROM moemlora_train('values', 'seen', 'clicked', 'category', ARRAY['user_id', 'item', 'price', 'tags', 'vec', 'age'], :'options'::jsonb || '{"seed": 7}');

-- export: the stored bytes of a version
CREATE TABLE kept AS
SELECT n AS version, moemlora_export('values', n) AS model FROM generate_series(1, 2) AS n;
SELECT k.version, k.model = (SELECT string_agg(c.data, '' ORDER BY part) FROM moemlora.component c WHERE c.version_id = v.id) AS is_stored,
	length(k.model) = v.bytes AS is_long
FROM kept k JOIN moemlora.version v ON v.number = k.version JOIN moemlora.model m ON m.id = v.model_id AND m.name = 'values' ORDER BY 1;
SELECT moemlora_export('values') = (SELECT model FROM kept WHERE version = 2) AS current_one,
	moemlora_export('values', NULL) = moemlora_export('values', 2) AS is_null, moemlora_export('values', 1) = moemlora_export('values', 2) AS another;
SELECT moemlora_export(NULL);
SELECT moemlora_export('no such model');
SELECT moemlora_export('values', 3);
SELECT moemlora_export('values', 0);

-- more bytes than a value can have; nothing is read before that is known
BEGIN;
UPDATE moemlora.version SET bytes = 2000000000 WHERE id = (SELECT max(id) FROM moemlora.version);
SELECT moemlora_export('values');
ROLLBACK;

-- scoring: the same bits as by name, in all forms
CREATE TABLE by_name AS SELECT id, moemlora_predict('values', category, s) AS p FROM seen s;
SELECT bool_and(moemlora_predict(k.model, category, s) = p) AS record,
	bool_and(moemlora_predict(k.model, category, ROW(user_id, item, price, tags, vec, age)) = p) AS by_position,
	bool_and(moemlora_predict(k.model, category, to_jsonb(s)) = p) AS jsonb,
	bool_and(moemlora_predict(k.model, category, to_jsonb(s)::text) = p) AS json_text, count(*), count(DISTINCT p) > 100 AS they_differ
FROM seen s JOIN by_name USING (id), kept k WHERE version = 2;
SELECT bool_and(abs(moemlora_predict('values', category, s) - x) < 1e-6) AS score, count(*)
FROM (SELECT s, category, moemlora_score(model, category, s) OVER () AS x FROM seen s, kept WHERE version = 2) AS scored;
SELECT moemlora_predict((SELECT model FROM kept WHERE version = 2), 'books', '{"user_id": 1}') =
	moemlora_predict('values', 'books', '{"user_id": 1}') AS literals;

-- the value changes from row to row
SELECT bool_and(moemlora_predict(model, (s).category, s) = p) FILTER (WHERE version = 2) AS is_same,
	bool_or(moemlora_predict(model, (s).category, s) <> p) FILTER (WHERE version = 1) AS they_differ
FROM (SELECT s.id, s, k.* FROM seen s, kept k ORDER BY s.id, k.version) AS turns JOIN by_name USING (id);
SELECT version, bool_and(abs(x - moemlora_predict(model, category, s)) < 1e-6) AS score, count(*)
FROM (SELECT s, k.*, category, moemlora_score(model, category, s) OVER (ORDER BY id) AS x FROM seen s, kept k) AS scored GROUP BY version ORDER BY 1;

-- NULL in, NULL out
SELECT moemlora_predict(NULL::bytea, 'books', s) IS NULL AS model, moemlora_predict(model, NULL, s) IS NULL AS domain,
	moemlora_predict(model, 'books', NULL::seen) IS NULL AS features, moemlora_predict(model, 'books', NULL::jsonb) IS NULL AS json,
	moemlora_predict(model, 'books', NULL) IS NULL AS untyped, moemlora_inspect(NULL::bytea) IS NULL AS inspect
FROM seen s, kept WHERE id = 1 AND version = 1;
SELECT id, moemlora_score(CASE id WHEN 2 THEN NULL ELSE model END, CASE id WHEN 3 THEN NULL ELSE category END, CASE id WHEN 4 THEN NULL ELSE s END)
	OVER (ORDER BY id) IS NULL AS is_null FROM seen s, kept WHERE id <= 5 AND version = 1;

-- IMMUTABLE: an index may hold scores
CREATE TABLE ranked AS SELECT s.*, model FROM seen s, kept WHERE version = 1 AND id <= 50;
CREATE INDEX ranked_score ON ranked (moemlora_predict(model, category, ROW(user_id, item, price, tags, vec, age)));
SET enable_seqscan = off;
SELECT count(*) FROM ranked WHERE moemlora_predict(model, category, ROW(user_id, item, price, tags, vec, age)) > 0;
RESET enable_seqscan;
SELECT proname, pg_get_function_arguments(oid) AS arguments, provolatile, proparallel, proisstrict
FROM pg_proc WHERE proname IN ('moemlora_export', 'moemlora_import', 'moemlora_inspect') OR (proname LIKE 'moemlora%' AND proargtypes[0] = 'bytea'::regtype AND proargtypes[1] = 'text'::regtype)
ORDER BY 1, 2;

-- errors of rows are those of the named form
SELECT moemlora_predict(model, 'books', x) FROM kept, (SELECT user_id, item, price, tags, vec FROM seen LIMIT 1) AS x;
SELECT moemlora_predict(model, 'books', '{"price": "much"}') FROM kept;
SELECT moemlora_score(model, 'books', x) OVER () FROM kept, (SELECT user_id, item, price, tags, vec FROM seen LIMIT 1) AS x;

-- import: a new model, then a new version of it, with the same bytes and facts
SELECT moemlora_import('values imported', model) FROM kept WHERE version = 1;
SELECT moemlora_import('values imported', model) FROM kept WHERE version = 2;
SELECT version, model = moemlora_export('values imported', version) AS is_same FROM kept ORDER BY 1;
SELECT current_version, (SELECT bool_and(moemlora_predict('values imported', category, s) = p) FROM seen s JOIN by_name USING (id)) AS scores
FROM moemlora.models WHERE name = 'values imported';
SELECT count(*) = 2 AS versions FROM (
	SELECT version, is_current, served, rows, valid_auc, valid_wauc, bytes FROM moemlora.versions WHERE model = 'values' INTERSECT
	SELECT version, is_current, served, rows, valid_auc, valid_wauc, bytes FROM moemlora.versions WHERE model = 'values imported') AS both_have;
SELECT name, o.value IS NOT NULL AS of_original, i.value IS NOT NULL AS of_import, o.value = i.value AS same
FROM (SELECT * FROM moemlora.cards WHERE model = 'values' AND version = 1) AS o
FULL JOIN (SELECT * FROM moemlora.cards WHERE model = 'values imported' AND version = 1) AS i USING (name) ORDER BY name;
SELECT count(*) FILTER (WHERE o.value = i.value) AS same, count(*) FILTER (WHERE o.value <> i.value) AS differ
FROM moemlora.cards AS o JOIN moemlora.cards AS i USING (version, name) WHERE o.model = 'values' AND i.model = 'values imported' AND version = 2;
SELECT count(*) AS differences FROM (
	SELECT version, phase, epochs, valid_auc, valid_wauc, is_used, note FROM moemlora.phases WHERE model = 'values' EXCEPT ALL
	SELECT version, phase, epochs, valid_auc, valid_wauc, is_used, note FROM moemlora.phases WHERE model = 'values imported') AS phases;
SELECT count(*) = count(DISTINCT (number, position)) AS same_losses FROM (
	SELECT DISTINCT v.number, p.position, p.rows, p.train_logloss, p.valid_logloss
	FROM moemlora.phase p JOIN moemlora.version v ON v.id = p.version_id JOIN moemlora.model m ON m.id = v.model_id
	WHERE m.name IN ('values', 'values imported')) AS losses;
SELECT count(*) AS differences FROM (
	SELECT version, domain, rows, positives, valid_rows, backbone_auc, expert_auc, gated_auc, valid_auc FROM moemlora.domains WHERE model = 'values' EXCEPT ALL
	SELECT version, domain, rows, positives, valid_rows, backbone_auc, expert_auc, gated_auc, valid_auc FROM moemlora.domains WHERE model = 'values imported') AS domains;
SELECT bool_and(p.seconds IS NULL AND p.rows_per_second IS NULL) AS durations, (SELECT count(*) FROM moemlora.epochs WHERE model = 'values imported') AS epochs
FROM moemlora.phase p JOIN moemlora.version v ON v.id = p.version_id JOIN moemlora.model m ON m.id = v.model_id WHERE m.name = 'values imported';
SELECT position, f.name, kind, sql_type, size FROM moemlora.feature f JOIN moemlora.version v ON v.id = f.version_id JOIN moemlora.model m ON m.id = v.model_id
WHERE m.name = 'values imported' AND v.number = 1 ORDER BY 1;

-- what was imported is a model like others
SELECT scope, domain, rows FROM moemlora_evaluate('values imported', 'seen', 'clicked', 'category') ORDER BY scope, domain;
SELECT version, note FROM moemlora_train('values imported', 'seen', 'clicked', 'category', ARRAY['user_id', 'item', 'price', 'tags', 'vec', 'age'],
	:'options'::jsonb || '{"warm_start": true, "epochs": 1}') LIMIT 1;

-- names and NULLs
SELECT moemlora_import(NULL, model) FROM kept WHERE version = 1;
SELECT moemlora_import('values null', NULL);
SELECT moemlora_import('', model) FROM kept WHERE version = 1;
BEGIN READ ONLY;
SELECT moemlora_import('values null', model) FROM kept WHERE version = 1;
ROLLBACK;

-- what is no sound model: each says why, and stores nothing
CREATE FUNCTION refusal(model bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM moemlora_import('values refused', model);
	RETURN 'imported';
EXCEPTION WHEN data_corrupted THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLERRM || ': ' || regexp_replace(detail, '[0-9]{4,}', 'N', 'g');
END $$;
SELECT refusal(''), refusal('\x00'), refusal('This is a text that is no model at all.');
SELECT refusal(set_byte(model, 0, 77)) AS magic, refusal(set_byte(model, 8, 0)) AS older, refusal(set_byte(model, 8, 2)) AS newer,
	refusal(set_byte(model, 12, 6)) AS sections FROM kept WHERE version = 1;
SELECT refusal(substr(model, 1, length(model) - 1)) AS cut, refusal(model || '\x00') AS longer, refusal(model || model) AS twice FROM kept WHERE version = 1;
SELECT refusal(set_bit(model, 8 * (length(model) - 1), 1 - get_bit(model, 8 * (length(model) - 1)))) AS flipped FROM kept WHERE version = 1;
SELECT refused, count(*) > 100 AS often FROM kept, generate_series(0, length(model) - 1, 41) AS at, LATERAL (SELECT refusal(substr(model, 1, at)) <> 'imported') AS r(refused)
WHERE version = 1 GROUP BY 1;
SELECT refused, count(*) > 300 AS often FROM kept, generate_series(0, 8 * length(model) - 1, 137) AS bit, LATERAL (SELECT refusal(set_bit(model, bit, 1 - get_bit(model, bit))) <> 'imported') AS r(refused)
WHERE version = 1 GROUP BY 1;
SELECT count(*) FROM moemlora.models WHERE name = 'values refused';
SELECT moemlora_import('values refused', '\x00');
SELECT moemlora_predict('\x00'::bytea, 'books', '{}');
SELECT moemlora_predict(substr(model, 1, 1000), 'books', '{}') FROM kept WHERE version = 1;
SELECT moemlora_score(set_byte(model, 8, 2), 'books', s) OVER () FROM kept, seen s WHERE version = 1;
SELECT moemlora_inspect(''::bytea);

-- inspect: the same of a stored model and of its value
SELECT moemlora_inspect('values', version) = moemlora_inspect(model) AS is_same, moemlora_inspect('values') = moemlora_inspect(model) AS is_current FROM kept ORDER BY version;
CREATE TABLE inspected AS SELECT moemlora_inspect(model) AS j FROM kept WHERE version = 2;
SELECT string_agg(key || ' ' || jsonb_typeof(value), ', ' ORDER BY key) FROM inspected, jsonb_each(j);
SELECT j ->> 'backbone' AS backbone, j ->> 'method' AS method, j ->> 'recipe' AS recipe, j ->> 'served' AS served, j ->> 'experts' AS experts,
	j ->> 'format_version' AS format FROM inspected;
SELECT jsonb_strip_nulls(f - 'mean' - 'std') FROM inspected, jsonb_array_elements(j -> 'features') AS f;
SELECT abs((f ->> 'mean')::float8 - (SELECT avg(ln(1 + price)) FROM seen)) < 0.05 AS mean, abs((f ->> 'std')::float8 - (SELECT stddev_pop(ln(1 + price)) FROM seen)) < 0.05 AS std
FROM inspected, jsonb_array_elements(j -> 'features') AS f WHERE f ->> 'name' = 'price';
SELECT d ->> 'name' AS name, d ->> 'rows' AS rows, d ->> 'experts' AS experts, d ? 'backbone_auc' AND d ? 'expert_auc' AND d ? 'gated_auc' AS aucs
FROM inspected, jsonb_array_elements(j -> 'domains') AS d;
SELECT p ->> 'phase' AS phase, p ->> 'epochs' AS epochs, p -> 'is_used' AS is_used FROM inspected, jsonb_array_elements(j -> 'phases') AS p;
SELECT t ->> 'name' AS name, t ->> 'rows' AS rows, t ->> 'cols' AS cols, t ->> 'bytes' AS bytes FROM inspected, jsonb_array_elements(j -> 'tensors') AS t;
SELECT sum((t ->> 'bytes')::int) = (j ->> 'parameters')::int * 4 AS tensors, (j ->> 'bytes')::int = (SELECT length(model) FROM kept WHERE version = 2) AS bytes
FROM inspected, jsonb_array_elements(j -> 'tensors') AS t GROUP BY j;
SELECT j #> '{options}' @> '{"epochs": 2, "hidden": [8, 4], "seed": 7, "learning_rate": 0.02, "finetune": false, "serve": "gate"}' AS options, j -> 'options' ? 'lora_rank' AS not_given
FROM inspected;
SELECT count(*) AS phases FROM inspected, LATERAL moemlora_train('values again', 'seen', 'clicked', 'category', ARRAY['user_id'], j -> 'options');
SELECT moemlora_inspect(NULL);
SELECT moemlora_inspect('no such model');
SELECT moemlora_inspect('values', 9);

-- rights: a value needs none; a stored model those to use it, or to change it
CREATE ROLE values_owner;
CREATE ROLE values_grantee;
CREATE ROLE values_stranger;
GRANT SELECT ON kept, seen TO PUBLIC;
SET ROLE values_owner;
SELECT moemlora_import('values of another', model) FROM kept WHERE version = 1;
RESET ROLE;
INSERT INTO moemlora.grant SELECT id, 'values_grantee' FROM moemlora.model WHERE name = 'values of another';
SELECT owner FROM moemlora.models WHERE name = 'values of another';
SET ROLE values_grantee;
SELECT length(moemlora_export('values of another')) > 0 AS export, moemlora_inspect('values of another') ->> 'backbone' AS inspect;
SELECT moemlora_import('values of another', model) FROM kept WHERE version = 2;
SET ROLE values_stranger;
SELECT moemlora_export('values of another');
SELECT moemlora_inspect('values of another');
SELECT moemlora_import('values of another', model) FROM kept WHERE version = 2;
SELECT moemlora_predict(model, 'books', '{}') BETWEEN 0 AND 1 AS predict, moemlora_inspect(model) ->> 'backbone' AS inspect FROM kept WHERE version = 1;
RESET ROLE;
SELECT current_version FROM moemlora.models WHERE name = 'values of another';

SELECT count(*) FROM (SELECT moemlora_drop(name) FROM unnest(ARRAY['values', 'values imported', 'values of another', 'values again']) AS name) AS dropped;
DROP TABLE seen, kept, by_name, ranked, inspected;
DROP FUNCTION refusal;
DROP ROLE values_owner, values_grantee, values_stranger;
