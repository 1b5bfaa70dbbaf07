-- moemlora_predict(): rows, ROW(...), jsonb and JSON text
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE items AS
SELECT i AS id, i % 37 AS user_id, CASE WHEN i % 20 > 0 THEN 'item ' || i % 23 END AS item, (i % 10)::real AS price, ARRAY[i % 5, i % 7] AS tags,
	ARRAY[i % 3, i % 2]::real[] AS vec, (i % 37 * 7 + i % 23 * 3) % 5 < 2 AS clicked, (ARRAY['books', 'games'])[i % 2 + 1] AS category
FROM generate_series(1, 300) AS i;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('predict', 'items', 'clicked', 'category',
	ARRAY['user_id', 'item', 'price', 'tags', 'vec'], '{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02, "validation": 0}');

-- a row of the table: columns bind by name, the others are ignored
CREATE TABLE expected_scores AS SELECT id, moemlora_predict('predict', category, i) AS p FROM items i;
SELECT count(*), count(DISTINCT p) > 100 AS they_differ, bool_and(p > 0 AND p < 1) AS are_probabilities, pg_typeof(min(p)) FROM expected_scores;

-- the same row in other forms is the same to the last bit
SELECT bool_and(moemlora_predict('predict', category, i.*) = p) AS whole_row,
	bool_and(moemlora_predict('predict', category, x) = p) AS subquery,
	bool_and(moemlora_predict('predict', category, ROW(i.user_id, i.item, i.price, i.tags, i.vec)) = p) AS by_position,
	bool_and(moemlora_predict('predict', category, to_jsonb(i)) = p) AS jsonb,
	bool_and(moemlora_predict('predict', category, to_jsonb(i)::text) = p) AS json_text
FROM items i JOIN expected_scores USING (id), LATERAL (SELECT i.vec, i.item, i.tags, i.id, i.price, i.user_id) AS x;

-- through views, CTEs, unions and set-returning functions
CREATE VIEW items_view AS SELECT vec, tags, price, item, user_id, category, id FROM items;
CREATE FUNCTION items_function() RETURNS SETOF items LANGUAGE sql AS 'SELECT * FROM items';
WITH c AS MATERIALIZED (SELECT * FROM items), u AS (SELECT * FROM items WHERE id < 100 UNION ALL SELECT * FROM items WHERE id >= 100)
SELECT (SELECT bool_and(moemlora_predict('predict', category, v) = p) FROM items_view v JOIN expected_scores USING (id)) AS view,
	(SELECT bool_and(moemlora_predict('predict', category, c) = p) FROM c JOIN expected_scores USING (id)) AS cte,
	(SELECT bool_and(moemlora_predict('predict', category, u) = p) FROM u JOIN expected_scores USING (id)) AS "union",
	(SELECT bool_and(moemlora_predict('predict', category, f) = p) FROM items_function() f JOIN expected_scores USING (id)) AS function;

-- parallel plans use the same version
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT bool_and(s.p = p.p) AS is_same
FROM expected_scores s JOIN (SELECT id, moemlora_predict('predict', category, i) AS p FROM items i) AS p USING (id);
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;

-- rows of different types in one statement
SELECT bool_and(moemlora_predict('predict', category,
	CASE id % 3 WHEN 0 THEN ROW(user_id, item, price, tags, vec) WHEN 1 THEN ROW(user_id::bigint, item::varchar, price::numeric, tags, vec)
	ELSE ROW(user_id::text, item, price::float8, tags::text[], vec::float8[]) END) = p) AS is_same
FROM items JOIN expected_scores USING (id);

-- NULL in, NULL out; but a NULL feature is a value
SELECT moemlora_predict(NULL, 'books', i) IS NULL AS model, moemlora_predict('predict', NULL, i) IS NULL AS domain,
	moemlora_predict('predict', 'books', NULL::items) IS NULL AS features, moemlora_predict('predict', 'books', NULL::jsonb) IS NULL AS json,
	moemlora_predict('predict', 'books', NULL) IS NULL AS untyped,
	moemlora_predict('predict', 'books', ROW(NULL::int, NULL::text, NULL::real, NULL::int[], NULL::real[])) IS NOT NULL AS null_features
FROM items i WHERE id = 1;

-- what jsonb leaves out is NULL
SELECT moemlora_predict('predict', 'books', '{}'::jsonb) =
	moemlora_predict('predict', 'books', ROW(NULL::int, NULL::text, NULL::real, NULL::int[], NULL::real[])) AS missing_keys,
	moemlora_predict('predict', 'books', '{"user_id": null, "item": null, "price": null, "tags": null, "vec": null, "more": [1]}'::jsonb) =
	moemlora_predict('predict', 'books', '{}') AS json_null;

-- numbers and texts of jsonb
SELECT moemlora_predict('predict', 'books', '{"user_id": 7}') AS p \gset
SELECT moemlora_predict('predict', 'books', '{"user_id": 7.0}') = :'p'::real AS with_a_point,
	moemlora_predict('predict', 'books', '{"user_id": 7e0}') = :'p'::real AS with_an_exponent,
	moemlora_predict('predict', 'books', '{"user_id": "7"}') = :'p'::real AS as_text,
	moemlora_predict('predict', 'books', '{"user_id": " 7"}') = :'p'::real AS other_text,
	moemlora_predict('predict', 'books', '{"user_id": 123456789012345678901234567890}') =
	moemlora_predict('predict', 'books', '{"user_id": "unknown"}') AS a_big_number,
	moemlora_predict('predict', 'books', '{"user_id": true}') =
	moemlora_predict('predict', 'books', '{"user_id": "true"}') AS a_boolean,
	moemlora_predict('predict', 'books', '{"tags": [1, "2", null]}') =
	moemlora_predict('predict', 'books', '{"tags": ["1", 2.0]}') AS in_an_array;

-- an unknown category is not NULL
SELECT moemlora_predict('predict', 'books', '{"item": "item 999"}') <> moemlora_predict('predict', 'books', '{}') AS they_differ;

-- features that are missing or of another kind
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price, tags FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price AS prize, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price::text, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price > 1 AS price, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id::real, item, price, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price, 5 AS tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price, tags, price AS vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, vec AS price, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price, vec AS tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, now() AS item, price, tags, vec FROM items LIMIT 1) AS x;
SELECT moemlora_predict('predict', 'books', x) FROM (SELECT user_id, item, price, tags, vec, 1 AS item FROM items LIMIT 1) AS x;

-- Literals in ROW(...) have no type: they count by their text, and NULL is good for every feature
SELECT moemlora_predict('predict', 'books', ROW('1', 'x', '1.5', NULL, NULL)) =
	moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1.5, NULL::int[], NULL::real[])) AS is_same;
SELECT moemlora_predict('predict', 'books', ROW(1, 'x', 'much', NULL, NULL));
SELECT moemlora_predict('predict', 'books', ROW(1, 'x', 1.5, '{1}', NULL));

-- ROW(...): as many fields as features
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1.0));
SELECT moemlora_predict('predict', 'books', ROW());
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1.0, ARRAY[1], ARRAY[1.0, 2.0], 6));
SELECT moemlora_predict('predict', 'books', ROW('x'::text, 1, ARRAY[1], ARRAY[1.0, 2.0], 1.0));

-- values that cannot be
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 'NaN'::real, ARRAY[1], ARRAY[1.0, 2.0]));
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, '-infinity'::float8, ARRAY[1], ARRAY[1.0, 2.0]));
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1e300::float8, ARRAY[1], ARRAY[1.0, 2.0]));
SELECT moemlora_predict('predict', 'books', '{"price": -1e300}');
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1, ARRAY[1], ARRAY[1.0, 2.0, 3.0]));
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1, ARRAY[1], ARRAY[1.0, NULL]));
SELECT moemlora_predict('predict', 'books', ROW(1, 'x'::text, 1, ARRAY[[1], [2]], ARRAY[1.0, 2.0]));

-- jsonb that is no object, or whose values are of another kind
SELECT moemlora_predict('predict', 'books', '[1, 2]'::jsonb);
SELECT moemlora_predict('predict', 'books', '5'::jsonb);
SELECT moemlora_predict('predict', 'books', 'null'::jsonb);
SELECT moemlora_predict('predict', 'books', 'not json');
SELECT moemlora_predict('predict', 'books', '');
SELECT moemlora_predict('predict', 'books', '{"price": "5"}');
SELECT moemlora_predict('predict', 'books', '{"price": true}');
SELECT moemlora_predict('predict', 'books', '{"price": 1e400}');
SELECT moemlora_predict('predict', 'books', '{"user_id": 1.5}');
SELECT moemlora_predict('predict', 'books', '{"user_id": [1]}');
SELECT moemlora_predict('predict', 'books', '{"item": {"a": 1}}');
SELECT moemlora_predict('predict', 'books', '{"tags": 5}');
SELECT moemlora_predict('predict', 'books', '{"tags": [[1]]}');
SELECT moemlora_predict('predict', 'books', '{"vec": [1, "2"]}');
SELECT moemlora_predict('predict', 'books', '{"vec": [1, null]}');
SELECT moemlora_predict('predict', 'books', '{"vec": []}');
SELECT moemlora_predict('predict', 'books', '{"vec": [1]}');

-- an error leaves nothing behind
SELECT moemlora_predict('predict', category, i) = p AS is_same FROM items i JOIN expected_scores USING (id) WHERE id = 1;
DO $$
DECLARE
	good real := moemlora_predict('predict', 'books', '{"price": 5}'::jsonb);
BEGIN
	FOR i IN 1 .. 3 LOOP
		BEGIN
			PERFORM moemlora_predict('predict', 'books', '{"user_id": 1, "tags": [1, [2]], "price": 5}'::jsonb);
		EXCEPTION WHEN datatype_mismatch THEN
			RAISE WARNING 'good again: %', moemlora_predict('predict', 'books', '{"price": 5}'::jsonb) = good;
		END;
	END LOOP;
END $$;

-- models that are not there
SELECT moemlora_predict('no such model', 'books', i) FROM items i LIMIT 1;
SELECT moemlora_predict('Predict', 'books', i) FROM items i LIMIT 1;
SELECT moemlora_predict('', 'books', '{}');

-- an unknown domain, as the option says
SELECT count(*) > 0 AS is_trained FROM moemlora_train('predict_mean', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02, "method": "mlora", "serve": "own", "unknown_domain": "mean"}');
SELECT count(*) > 0 AS is_trained FROM moemlora_train('predict_error', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 1, "hidden": [8], "embedding_dim": 4, "unknown_domain": "error"}');
SELECT moemlora_predict('predict', 'toys', i) BETWEEN 0 AND 1 AS backbone, moemlora_predict('predict_mean', 'toys', i) BETWEEN 0 AND 1 AS mean,
	moemlora_predict('predict_mean', 'toys', i) <> moemlora_predict('predict_mean', 'books', i) AS mean_is_no_domain
FROM items i WHERE id = 1;
SELECT moemlora_predict('predict_error', 'toys', i) FROM items i WHERE id = 1;

-- the model's name may be a column, and more than a few models may take turns
SELECT count(*) > 0 AS is_trained FROM moemlora_train('predict', 'items', 'clicked', 'category', ARRAY['user_id', 'item', 'price', 'tags', 'vec'],
	'{"epochs": 1, "hidden": [4], "embedding_dim": 4, "method": "backbone"}');
SELECT m, count(DISTINCT p) > 50 AS they_differ
FROM items i, unnest(ARRAY['predict', 'predict_mean', 'predict_error']) AS m, LATERAL (SELECT moemlora_predict(m, category, i) AS p) AS s
GROUP BY m ORDER BY m;
SELECT bool_and(x.p = y.p) AS is_same
FROM (SELECT id, m, moemlora_predict(m, category, i) AS p FROM items i, unnest(ARRAY['predict', 'predict_mean', 'predict_error']) AS m ORDER BY id, m) AS x
JOIN (SELECT id, m, moemlora_predict(m, category, i) AS p FROM items i, unnest(ARRAY['predict', 'predict_mean', 'predict_error']) AS m ORDER BY m, id) AS y USING (id, m);

-- PL/pgSQL keeps the call: versions, rights and row types are looked at anew in every statement
CREATE TYPE wanted AS (user_id int, item text);
CREATE FUNCTION changing() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r wanted := ROW(7, 'item 3');
	seen real[] := '{}';
BEGIN
	FOR round IN 1 .. 3 LOOP
		seen := seen || moemlora_predict('changing', 'books', r);
		PERFORM moemlora_train('changing', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
			jsonb_build_object('epochs', 1, 'hidden', '[4]'::jsonb, 'method', 'backbone', 'seed', round));
	END LOOP;
	RETURN NEXT (SELECT count(DISTINCT x) FROM unnest(seen) AS x) || ' versions';
END $$;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('changing', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT * FROM changing();
DO $$
DECLARE
	p real;
	first real;
BEGIN
	CREATE TEMP TABLE shape AS SELECT 7 AS user_id, 'item 3'::text AS item;
	FOR round IN 1 .. 4 LOOP
		EXECUTE (ARRAY['SELECT 1', 'ALTER TABLE shape ALTER user_id TYPE bigint', 'ALTER TABLE shape ADD before text DEFAULT ''x''',
			'ALTER TABLE shape ALTER item TYPE varchar'])[round];
		EXECUTE 'SELECT moemlora_predict(''changing'', ''books'', s) FROM shape s' INTO p;
		first := coalesce(first, p);
		RAISE WARNING 'as before: %', p = first;
	END LOOP;
END $$;

-- also within one transaction, and after a rollback to a savepoint
BEGIN;
SELECT moemlora_predict('changing', 'books', ROW(7, 'item 3'::text)) AS p0 \gset
SAVEPOINT s;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('changing', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 2, "hidden": [4], "method": "backbone", "seed": 99}');
SELECT moemlora_predict('changing', 'books', ROW(7, 'item 3'::text)) <> :'p0'::real AS is_new;
ROLLBACK TO s;
SELECT moemlora_predict('changing', 'books', ROW(7, 'item 3'::text)) = :'p0'::real AS is_old_again;
COMMIT;

-- and in prepared statements with a generic plan
SET plan_cache_mode = force_generic_plan;
PREPARE score(text, text, jsonb) AS SELECT moemlora_predict($1, $2, $3) BETWEEN 0 AND 1 AS is_scored;
EXECUTE score('predict', 'books', '{"price": 5}');
EXECUTE score('predict_mean', 'games', '{"user_id": 5}');
EXECUTE score('gone', 'games', '{"user_id": 5}');
RESET plan_cache_mode;

-- columns with odd names; names that look like those of ROW(...)
CREATE TABLE odd AS SELECT user_id AS "User Id", item AS "été ""x""", clicked AS y, category AS d FROM items;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('odd', 'odd', 'y', 'd', NULL, '{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT bool_and(moemlora_predict('odd', d, o) = moemlora_predict('odd', d, to_jsonb(o))) AS is_same FROM odd o;
SELECT moemlora_predict('odd', 'books', x) FROM (SELECT 1 AS "user id", 'x'::text AS "été ""x""") AS x;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('odd', '(SELECT user_id AS f1, item AS f2, clicked, category FROM items)', 'clicked',
	'category', ARRAY['f2', 'f1'], '{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT moemlora_predict('odd', 'books', x) FROM (SELECT 1 AS f1, 'x'::text AS f2) AS x;
SELECT moemlora_predict('odd', 'books', x) IS NOT NULL AS is_scored FROM (SELECT 'x'::text AS f2, 1 AS f1) AS x;

-- long values come from where PostgreSQL keeps them
CREATE TABLE toasted AS SELECT i AS id, i % 2 = 0 AS y, 'a' AS d, repeat(i % 3 || 'x', 100000) AS long, array_fill(i % 3, ARRAY[20000])::real[] AS vec
FROM generate_series(1, 30) AS i;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('toasted', 'toasted', 'y', 'd', ARRAY['long', 'vec'],
	'{"epochs": 1, "hidden": [4], "embedding_dim": 2, "method": "backbone", "batch_size": 8}');
SELECT count(DISTINCT moemlora_predict('toasted', d, t)) AS scores, bool_and(moemlora_predict('toasted', d, t) = moemlora_predict('toasted', d, x)) AS is_same
FROM toasted t, LATERAL (SELECT t.long, t.vec) AS x;

-- a version that a subtransaction took back scores no more, even when nothing else has moved the snapshot
CREATE TABLE marks (mark int);
CREATE FUNCTION taken_back(OUT inside real, OUT behind real) LANGUAGE plpgsql AS $$
DECLARE
	p real;
BEGIN
	FOR i IN 1..2 LOOP
		BEGIN
			IF i = 1 THEN
				PERFORM moemlora_train('toasted', 'toasted', 'y', 'd', ARRAY['vec'],
					'{"epochs": 1, "hidden": [4], "embedding_dim": 2, "method": "backbone", "seed": 7}');
				BEGIN
					INSERT INTO marks VALUES (1);
					RAISE EXCEPTION 'the latest transaction that ended is later than the training';
				EXCEPTION WHEN raise_exception THEN NULL;
				END;
			END IF;
			p := moemlora_predict('toasted', 'a', '{}');
			IF i = 1 THEN
				inside := p;
				RAISE EXCEPTION 'take back';
			END IF;
			behind := p;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END $$;
SELECT inside <> p AS was_another, behind = p AS is_the_old_one FROM taken_back(), moemlora_predict('toasted', 'a', '{}') AS p;

-- a cast to real[] may itself use models
CREATE TYPE scored AS (a int);
CREATE FUNCTION scored_to_real(scored) RETURNS real[] LANGUAGE plpgsql AS $$
BEGIN
	RETURN ARRAY[moemlora_predict('predict_mean', 'books', jsonb_build_object('user_id', ($1).a)), moemlora_predict('nested', 'books', ROW(ARRAY[0.5, 0.25]::real[]))];
END $$;
CREATE CAST (scored AS real[]) WITH FUNCTION scored_to_real(scored);
SELECT count(*) > 0 AS is_trained FROM moemlora_train('nested', '(SELECT vec, clicked, category FROM items)', 'clicked', 'category', NULL,
	'{"epochs": 3, "hidden": [4], "embedding_dim": 2, "method": "backbone", "learning_rate": 0.1}');
SELECT bool_and(moemlora_predict('nested', 'books', ROW(ROW(user_id)::scored)) = moemlora_predict('nested', 'books', ROW(scored_to_real(ROW(user_id)::scored)))) AS is_same
FROM items;

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['predict', 'predict_mean', 'predict_error', 'changing', 'odd', 'toasted', 'nested']) AS name) AS dropped;
DROP CAST (scored AS real[]);
DROP FUNCTION scored_to_real, changing, items_function, taken_back;
DROP VIEW items_view;
DROP TABLE items, expected_scores, odd, toasted, shape, marks;
DROP TYPE scored, wanted;
