-- moemlora_score(): the numbers of moemlora_predict(), for whole partitions
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- 1500 rows: partitions of more than a block, and of few rows
CREATE TABLE items AS
SELECT i AS id, i % 37 AS user_id, CASE WHEN i % 20 > 0 THEN 'item ' || i % 23 END AS item, (i % 10)::real AS price, ARRAY[i % 5, i % 7] AS tags,
	ARRAY[i % 3, i % 2]::real[] AS vec, (i % 37 * 7 + i % 23 * 3) % 5 < 2 AS clicked, (ARRAY['books', 'games', 'music'])[i % 3 + 1] AS category
FROM generate_series(1, 1500) AS i;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('score', 'items', 'clicked', 'category', ARRAY['user_id', 'item', 'price', 'tags', 'vec'],
	'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02, "validation": 0, "serve": "own"}');
SELECT count(*) > 0 AS is_trained FROM moemlora_train('score_input', 'items', 'clicked', 'category', ARRAY['user_id', 'vec'],
	'{"epochs": 2, "hidden": [8, 4], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02, "gate": "input", "recipe": "gated", "serve": "gate"}');
SELECT count(*) > 0 AS is_trained FROM moemlora_train('score_mean', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 2, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "method": "mlora", "serve": "own", "unknown_domain": "mean"}');
SELECT count(*) > 0 AS is_trained FROM moemlora_train('score_error', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
	'{"epochs": 1, "hidden": [8], "embedding_dim": 4, "method": "backbone", "unknown_domain": "error"}');

CREATE TABLE expected_scores AS
SELECT id, moemlora_predict('score', category, i) AS p, moemlora_predict('score_input', category, i) AS p_input, moemlora_predict('score_mean', 'toys', i) AS p_mean
FROM items i;

-- the same, or both NULL
CREATE FUNCTION same(a real, b real) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL ELSE abs(a - b) < 1e-6 END;

SELECT count(*), bool_and(same(s, p)) AS is_same, count(DISTINCT s) > 300 AS they_differ, pg_typeof(min(s))
FROM (SELECT id, moemlora_score('score', category, i) OVER () AS s FROM items i) AS x JOIN expected_scores USING (id);

-- partitions, orders and frames change nothing
SELECT count(*), bool_and(same(a, p)) AS partition, bool_and(same(b, p)) AS small_partitions, bool_and(same(c, p)) AS "order", bool_and(same(d, p)) AS both,
	bool_and(same(e, p)) AS one_by_one
FROM (SELECT id, moemlora_score('score', category, i) OVER (PARTITION BY id % 2) AS a, moemlora_score('score', category, i) OVER (PARTITION BY id % 300) AS b,
	moemlora_score('score', category, i) OVER (ORDER BY price DESC, id) AS c, moemlora_score('score', category, i) OVER (PARTITION BY category ORDER BY id DESC) AS d,
	moemlora_score('score', category, i) OVER (PARTITION BY id) AS e
	FROM items i) AS x JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(a, p)) AS rows, bool_and(same(b, p)) AS range, bool_and(same(c, p)) AS groups, bool_and(same(d, p)) AS exclude_row,
	bool_and(same(e, p)) AS exclude_group, bool_and(same(f, p)) AS rows_before, bool_and(same(g, p)) AS rows_behind
FROM (SELECT id, moemlora_score('score', category, i) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS a,
	moemlora_score('score', category, i) OVER (ORDER BY price RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS b,
	moemlora_score('score', category, i) OVER (ORDER BY price GROUPS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING) AS c,
	moemlora_score('score', category, i) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS d,
	moemlora_score('score', category, i) OVER (PARTITION BY category ORDER BY price RANGE UNBOUNDED PRECEDING EXCLUDE GROUP) AS e,
	moemlora_score('score', category, i) OVER (ORDER BY id ROWS BETWEEN 10 PRECEDING AND 5 PRECEDING) AS f,
	moemlora_score('score', category, i) OVER (ORDER BY id ROWS BETWEEN 5 FOLLOWING AND 10 FOLLOWING) AS g
	FROM items i) AS x JOIN expected_scores USING (id);

-- beside other window functions and aggregates, and under DISTINCT, ORDER BY and LIMIT
SELECT count(*), bool_and(same(s, p)) AS is_same, bool_and(n = id) AS numbers, bool_and(before IS NOT DISTINCT FROM nullif(id - 1, 0)) AS lag, max(total) AS total
FROM (SELECT id, moemlora_score('score', category, i) OVER w AS s, row_number() OVER w AS n, lag(id) OVER w AS before, count(*) OVER w AS total
	FROM items i WINDOW w AS (ORDER BY id)) AS x JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM (SELECT id, moemlora_score('score', category, i) OVER () AS s FROM items i ORDER BY s DESC, id LIMIT 700) AS x JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM (SELECT DISTINCT ON (category) id, moemlora_score('score', category, i) OVER () AS s FROM items i ORDER BY category, id) AS x JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM (SELECT id, moemlora_score('score', category, i) OVER w AS s, row_number() OVER w AS n FROM items i WINDOW w AS (PARTITION BY category ORDER BY id)) AS x
JOIN expected_scores USING (id) WHERE n <= 3;
SELECT count(*) FROM (SELECT moemlora_score('score', category, i) OVER () AS s FROM items i WHERE false) AS x;

-- several models and forms of rows in one query; a model that cannot be folded; an unknown domain
SELECT count(*), bool_and(same(a, p)) AS a, bool_and(same(b, p)) AS b, bool_and(same(c, p_input)) AS input, bool_and(same(d, p_mean)) AS mean, bool_and(same(e, p)) AS by_position
FROM (SELECT id, moemlora_score('score', category, i) OVER w AS a, moemlora_score('score', category, i) OVER w AS b,
	moemlora_score('score_input', category, i) OVER w AS c, moemlora_score('score_mean', 'toys', i) OVER (PARTITION BY category) AS d,
	moemlora_score('score', category, ROW(user_id, item, price, tags, vec)) OVER w AS e
	FROM items i WINDOW w AS ()) AS x JOIN expected_scores USING (id);

-- through views, CTEs and unions, and over a parallel plan
CREATE VIEW scored_view AS SELECT id, moemlora_score('score', category, v) OVER () AS s FROM (SELECT vec, tags, price, item, user_id, category, id FROM items) AS v;
WITH c AS MATERIALIZED (SELECT * FROM items), u AS (SELECT * FROM items WHERE id < 1000 UNION ALL SELECT * FROM items WHERE id >= 1000)
SELECT (SELECT bool_and(same(s, p)) FROM scored_view JOIN expected_scores USING (id)) AS view,
	(SELECT bool_and(same(s, p)) FROM (SELECT id, moemlora_score('score', category, c) OVER () AS s FROM c) AS x JOIN expected_scores USING (id)) AS cte,
	(SELECT bool_and(same(s, p)) FROM (SELECT id, moemlora_score('score', category, u) OVER () AS s FROM u) AS x JOIN expected_scores USING (id)) AS "union";
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*), bool_and(same(s, p)) AS is_same FROM scored_view JOIN expected_scores USING (id);
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;

-- NULL in, NULL out: of single rows, of whole blocks, of all
SELECT count(*), count(s) AS scored, bool_and(same(s, CASE WHEN id % 7 > 0 AND id % 11 > 0 AND id NOT BETWEEN 300 AND 1100 THEN p END)) AS is_same
FROM (SELECT id, moemlora_score('score', CASE WHEN id % 7 > 0 THEN category END, CASE WHEN id % 11 > 0 AND id NOT BETWEEN 300 AND 1100 THEN i END) OVER (ORDER BY id) AS s
	FROM items i) AS x JOIN expected_scores USING (id);
SELECT count(*), count(a) AS model, count(b) AS domain, count(c) AS features, count(d) AS untyped, count(e) AS all
FROM (SELECT moemlora_score(NULL, category, i) OVER w AS a, moemlora_score('score', NULL, i) OVER w AS b, moemlora_score('score', category, NULL::items) OVER w AS c,
	moemlora_score('score', category, NULL) OVER w AS d, moemlora_score(NULL, NULL, NULL) OVER w AS e FROM items i WINDOW w AS ()) AS x;

-- what is NULL everywhere is never looked for, as with moemlora_predict()
SELECT count(moemlora_predict('no such model', NULL, i)) AS predict FROM items i;
SELECT count(s) AS score FROM (SELECT moemlora_score('no such model', NULL, i) OVER () AS s FROM items i) AS x;

-- the model may be a column, and rows may be of several types
SELECT count(*), count(s) AS scored, bool_and(same(s, CASE id % 5 WHEN 0 THEN p_input WHEN 1 THEN p END)) AS is_same
FROM (SELECT id, moemlora_score(CASE id % 5 WHEN 0 THEN 'score_input' WHEN 1 THEN 'score' END, category, i) OVER (ORDER BY id) AS s FROM items i) AS x
JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, CASE WHEN id > 700 THEN p_input ELSE p END)) AS is_same
FROM (SELECT id, moemlora_score(CASE WHEN id > 700 THEN 'score_input' ELSE 'score' END, category, i) OVER (ORDER BY id) AS s FROM items i) AS x
JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM (SELECT id, moemlora_score('score', category,
	CASE id % 30 WHEN 0 THEN ROW(user_id, item, price, tags, vec) WHEN 1 THEN ROW(user_id::bigint, item::varchar, price::numeric, tags, vec)
	ELSE ROW(user_id::text, item, price::float8, tags::text[], vec::float8[]) END) OVER (ORDER BY id) AS s FROM items) AS x
JOIN expected_scores USING (id);

-- rescans: for each row of something else, and in subqueries
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM generate_series(0, 9) AS k, LATERAL (SELECT id, moemlora_score('score', category, i) OVER (PARTITION BY id % 3) AS s FROM items i WHERE id % 10 = k OFFSET 0) AS x
JOIN expected_scores USING (id);
SELECT count(*), bool_and(same((SELECT max(s) FROM (SELECT moemlora_score('score', category, i) OVER () AS s FROM items i WHERE id < e.id + 3 AND id > e.id - 3 AND id % 3 = e.id % 3) AS x), p)) AS is_same
FROM expected_scores e WHERE id <= 200;

-- cursors, forwards and backwards
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, same(s, p) AS is_same FROM (SELECT id, moemlora_score('score', category, i) OVER (ORDER BY id) AS s FROM items i OFFSET 0) AS x
	JOIN expected_scores USING (id) ORDER BY id;
DECLARE d SCROLL CURSOR FOR SELECT id, moemlora_score('score', category, i) OVER (ORDER BY id) = moemlora_score('score', category, i) OVER (ORDER BY id) AS is_same FROM items i;
FETCH 2 FROM c;
MOVE FORWARD 1000 FROM c;
FETCH 2 FROM c;
MOVE BACKWARD 700 FROM c;
FETCH 2 FROM c;
FETCH 1 FROM d;
MOVE FORWARD 600 FROM d;
FETCH 2 FROM d;
MOVE BACKWARD 590 FROM d;
FETCH BACKWARD 2 FROM d;
FETCH FIRST FROM d;
FETCH LAST FROM d;
COMMIT;

-- in a CTE that is updated from
CREATE TABLE kept (id int, score real);
INSERT INTO kept SELECT id FROM items;
UPDATE kept SET score = x.s FROM (SELECT id, moemlora_score('score', category, i) OVER () AS s FROM items i) AS x WHERE x.id = kept.id;
SELECT count(*), bool_and(same(score, p)) AS is_same FROM kept JOIN expected_scores USING (id);

-- prepared statements and PL/pgSQL: a parameter for the model, for the row, for both
SET plan_cache_mode = force_generic_plan;
PREPARE scored(text, text) AS SELECT count(*), bool_and(same(s, p)) AS is_same
	FROM (SELECT id, moemlora_score($1, coalesce($2, category), i) OVER () AS s FROM items i) AS x JOIN expected_scores USING (id);
EXECUTE scored('score', NULL);
PREPARE all_equal(text, text) AS SELECT count(*), max(s) - min(s) < 1e-6 AS are_equal FROM (SELECT moemlora_score($1, $2, ROW(7, 'item 3', 1.5, NULL, NULL)) OVER () AS s FROM items) AS x;
EXECUTE all_equal('score', 'books');
EXECUTE all_equal('no such model', 'books');
RESET plan_cache_mode;
DO $$
DECLARE
	r items;
	s real;
BEGIN
	SELECT * INTO r FROM items WHERE id = 5;
	FOR round IN 1 .. 2 LOOP
		r.user_id := r.user_id + 1;
		SELECT max(moemlora_score) INTO s FROM (SELECT moemlora_score('score', 'books', r) OVER () FROM generate_series(1, 600)) AS x;
		RAISE WARNING 'a variable: %', same(s, moemlora_predict('score', 'books', r));
	END LOOP;
END $$;

-- a volatile argument is evaluated once for each row
CREATE SEQUENCE evaluated;
SELECT count(s) FROM (SELECT moemlora_score('score', CASE WHEN nextval('evaluated') > 0 THEN category END, i) OVER (PARTITION BY category) AS s FROM items i) AS x;
SELECT last_value FROM evaluated;

-- arguments and plans may score with the same model, in a cache that holds none
SET moemlora.cache_size = '64kB';
SELECT count(*), bool_and(same(s, p)) AS is_same, bool_and(same(inner_s, p)) AS inner_is_same
FROM (SELECT id, inner_s, moemlora_score('score', category, x) OVER (PARTITION BY id % 2) AS s
	FROM (SELECT *, moemlora_score('score', category, i) OVER (ORDER BY id) AS inner_s FROM items i) AS x) AS y JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same
FROM (SELECT id, moemlora_score('score', CASE WHEN moemlora_predict('score', 'books', i) > moemlora_predict('score_input', 'games', i) - 2 THEN category END, i) OVER () AS s
	FROM items i) AS x JOIN expected_scores USING (id);
SELECT count(*), bool_and(same(s, p)) AS is_same FROM scored_view JOIN expected_scores USING (id);
RESET moemlora.cache_size;

-- so may a cast to real[]
CREATE TYPE pair AS (a real, b real);
CREATE FUNCTION pair_to_real(pair) RETURNS real[] LANGUAGE plpgsql AS $$
BEGIN
	IF ($1).a = 2 THEN
		PERFORM moemlora_score('score_input', 'books', i) OVER () FROM items i LIMIT 5;
		PERFORM moemlora_predict('score_mean', 'books', '{"user_id": 1}');
	END IF;
	RETURN ARRAY[($1).a, ($1).b];
END $$;
CREATE CAST (pair AS real[]) WITH FUNCTION pair_to_real(pair);
SELECT count(*), bool_and(same(s, p_input)) AS is_same
FROM (SELECT id, moemlora_score('score_input', category, x) OVER () AS s
	FROM (SELECT id, category, user_id, ROW(vec[1], vec[2])::pair AS vec FROM items) AS x) AS y JOIN expected_scores USING (id);
SELECT count(*), count(s) AS scored, bool_and(same(s, q)) AS is_same
FROM (SELECT moemlora_score('score_input', category, x) OVER (ORDER BY id) AS s, moemlora_predict('score_input', category, x) AS q
	FROM (SELECT id, category, user_id, CASE WHEN id % 3 > 0 THEN ROW(vec[1], vec[2])::pair END AS vec FROM items WHERE id <= 100) AS x) AS y;

-- long values, and memory for few rows
CREATE TABLE toasted AS SELECT i AS id, i % 2 = 0 AS y, 'a' AS d, repeat(i % 3 || 'x', 100000) AS long, array_fill(i % 3, ARRAY[2000])::real[] AS vec
FROM generate_series(1, 100) AS i;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('score_toasted', 'toasted', 'y', 'd', ARRAY['long', 'vec'],
	'{"epochs": 1, "hidden": [4], "embedding_dim": 2, "method": "backbone", "batch_size": 8}');
SET work_mem = '64kB';
SELECT count(*), max(s) - min(s) > 1e-5 AS they_differ, bool_and(same(s, q)) AS is_same
FROM (SELECT moemlora_score('score_toasted', d, t) OVER (ORDER BY id) AS s, moemlora_predict('score_toasted', d, t) AS q FROM toasted t) AS x;
SELECT count(*), bool_and(same(s, p)) AS is_same FROM scored_view JOIN expected_scores USING (id);
RESET work_mem;
SELECT count(*), bool_and(same(s, moemlora_predict('score', 'toys', i))) AS is_same
FROM (SELECT i, moemlora_score('score', repeat('x', 100000), i) OVER () AS s FROM items i WHERE id <= 20) AS x;

-- errors are those of moemlora_predict()
SELECT moemlora_score('score', category, i) FROM items i;
SELECT moemlora_score('no such model', category, i) OVER () FROM items i;
SELECT moemlora_score('score', category, x) OVER () FROM (SELECT category, user_id, item, price AS prize, tags, vec FROM items) AS x;
SELECT moemlora_score('score', category, x) OVER () FROM (SELECT category, user_id, item, price::text, tags, vec FROM items) AS x;
SELECT moemlora_score('score', category, ROW(user_id, item)) OVER () FROM items;
SELECT moemlora_score('score', category, x) OVER (ORDER BY id)
FROM (SELECT id, category, user_id, item, CASE WHEN id = 700 THEN 'NaN' ELSE price END AS price, tags, vec FROM items) AS x;
SELECT moemlora_score('score', category, x) OVER (ORDER BY id)
FROM (SELECT id, category, user_id, item, price, tags, CASE WHEN id = 700 THEN ARRAY[1.0]::real[] ELSE vec END AS vec FROM items) AS x;
SELECT moemlora_score('score_error', CASE WHEN id = 700 THEN 'toys' ELSE category END, i) OVER (ORDER BY id) FROM items i;

-- and they leave nothing behind: what was encoded before one is forgotten
DO $$
DECLARE
	n_same int;
BEGIN
	FOR n IN 1 .. 3 LOOP
		BEGIN
			PERFORM moemlora_score('score_error', CASE WHEN id = 500 THEN 'toys' ELSE category END, i) OVER (ORDER BY id) FROM items i;
		EXCEPTION WHEN invalid_parameter_value THEN
			SELECT count(*) INTO n_same FROM (SELECT moemlora_score('score_error', category, i) OVER (PARTITION BY id % 7) AS s,
				moemlora_predict('score_error', category, i) AS q FROM items i) AS x WHERE same(s, q);
			RAISE WARNING '% good again', n_same;
		END;
	END LOOP;
END $$;

-- a single row is scored as before, to the last bit
SELECT count(*), bool_and(moemlora_predict('score', category, i) = p AND moemlora_predict('score_input', category, i) = p_input) AS is_same
FROM items i JOIN expected_scores USING (id);

-- each statement of a loop looks for its version anew
CREATE FUNCTION versions() RETURNS TABLE (score real, predicted real) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 3 LOOP
		PERFORM moemlora_train('score_error', 'items', 'clicked', 'category', ARRAY['user_id', 'item'],
			jsonb_build_object('epochs', 1, 'hidden', '[4]'::jsonb, 'embedding_dim', 4, 'method', 'backbone', 'seed', n));
		RETURN QUERY SELECT moemlora_score('score_error', 'books', i) OVER (), moemlora_predict('score_error', 'books', i) FROM items i WHERE id = 5;
	END LOOP;
END $$;
SELECT count(DISTINCT score), bool_and(same(score, predicted)) AS is_same FROM versions();

-- a type that changes while its rows are read
CREATE TYPE narrow AS (user_id int, item text);
CREATE FUNCTION widen(id int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF id = 400 THEN
		ALTER TYPE narrow ADD ATTRIBUTE more text;
	END IF;
	RETURN 'books';
END $$;
SELECT count(*), bool_and(same(s, q)) AS is_same
FROM (SELECT moemlora_score('score_mean', widen(id), jsonb_populate_record(NULL::narrow, to_jsonb(i))) OVER (ORDER BY id) AS s, moemlora_predict('score_mean', 'books', i) AS q FROM items i) AS x;

SELECT count(*) FROM (SELECT moemlora_drop(name) FROM unnest(ARRAY['score', 'score_input', 'score_mean', 'score_error', 'score_toasted']) AS name) AS dropped;
DROP CAST (pair AS real[]);
DROP FUNCTION same, pair_to_real, versions, widen CASCADE;
DROP VIEW scored_view;
DROP TABLE items, expected_scores, kept, toasted CASCADE;
DROP SEQUENCE evaluated;
DROP TYPE pair, narrow;
