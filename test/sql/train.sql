-- moemlora_train(): sources, labels, domains, corner cases
\set SHOW_CONTEXT never
\set small '{"epochs": 2, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10}'
SET client_min_messages = warning;

CREATE TABLE clicks AS
SELECT i AS id, i % 37 AS user_id, i % 23 AS item_id, (i % 10)::real AS price,
	(i % 37 * 7 + i % 23 * 3) % 5 < 2 AS clicked, (ARRAY['books', 'games', 'films'])[i % 3 + 1] AS category
FROM generate_series(1, 600) AS i;

-- one row per phase
SELECT version, phase, epochs, rows > 400 AS rows, seconds >= 0 AS seconds, rows_per_second > 0 AS rows_per_second,
	coalesce(train_logloss > 0, true) AS train_logloss, valid_logloss > 0 AS valid_logloss, valid_auc BETWEEN 0 AND 1 AS valid_auc,
	valid_wauc BETWEEN 0 AND 1 AS valid_wauc
FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'item_id', 'price'],
	'{"epochs": 2, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "method": "backbone"}');
SELECT version, phase FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'item_id', 'price'],
	'{"epochs": 2, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "recipe": "paper"}');
SELECT name, current_version, method, features, domains, rows FROM moemlora.models WHERE name = 'train';
SELECT version, name, value FROM moemlora.cards WHERE model = 'train' AND name NOT IN ('seconds', 'created_by') AND name !~ 'rows|logloss';
SELECT DISTINCT phase, expert FROM moemlora.epochs WHERE model = 'train' AND version = 2 ORDER BY 1, 2;

-- without a list every other column is a feature
SELECT count(*) AS phases FROM moemlora_train('train', '(SELECT user_id, clicked, item_id, category FROM clicks)',
	'clicked', 'category', options => '{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT f.position, f.name, f.kind, f.sql_type
FROM moemlora.feature f JOIN moemlora.version v ON v.id = f.version_id JOIN moemlora.model m ON m.id = v.model_id
WHERE m.name = 'train' AND v.number = 3 ORDER BY 1;

-- everything that can stand after FROM is a source
CREATE VIEW clicks_view AS SELECT * FROM clicks;
CREATE TABLE "Odd ""Name""" AS SELECT user_id AS "User Id", item_id AS "été", clicked AS "Klick?", category AS "SELECT" FROM clicks;
CREATE FUNCTION clicks_of(wanted text) RETURNS SETOF clicks LANGUAGE sql AS 'SELECT * FROM clicks WHERE category = wanted';
CREATE FUNCTION try(source text, label text DEFAULT 'clicked', domain text DEFAULT 'category') RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM moemlora_train('source', source, label, domain, NULL,
		'{"epochs": 1, "hidden": [4], "method": "backbone"}')
$$;
SELECT s, try(s) AS phases
FROM unnest(ARRAY['clicks', 'public.clicks', '"clicks"', ' clicks ', 'clicks c', 'clicks AS c', 'ONLY clicks', 'clicks_view',
	'clicks TABLESAMPLE SYSTEM (100)', 'clicks -- all of them', 'clicks /* all */', 'clicks_of(''books'')',
	'(SELECT * FROM clicks)', '(SELECT * FROM clicks) AS c', '(SELECT * FROM clicks) -- all', '((SELECT * FROM clicks))',
	'(TABLE clicks)', '(WITH c AS (SELECT * FROM clicks) SELECT * FROM c WHERE id > 5)',
	'(SELECT * FROM clicks WHERE id < 400 UNION ALL SELECT * FROM clicks WHERE id > 300)',
	'(SELECT * FROM clicks ORDER BY id LIMIT 300)',
	'(SELECT user_id, clicked, category FROM clicks) a JOIN (SELECT user_id AS u2, max(price) AS top FROM clicks GROUP BY 1) b ON user_id = u2',
	'((SELECT user_id, clicked, category FROM clicks) a JOIN (SELECT DISTINCT user_id AS u2 FROM clicks) b ON user_id = u2)',
	'(VALUES (1, true, ''a''), (2, false, ''a''), (3, true, ''b''), (4, false, ''b'')) AS v(x, clicked, category)']) AS s;
SELECT try('"Odd ""Name"""', 'Klick?', 'SELECT') AS phases;

-- and nothing else is
SELECT try('');
SELECT try('clicks; DROP TABLE clicks');
SELECT try('clicks;');
SELECT try('(SELECT * FROM clicks);');
SELECT try('(SELECT * FROM clicks) AS c ; ');
SELECT try('(SELECT * FROM clicks); DROP TABLE clicks');
SELECT try('clicks, clicks_view');
SELECT try('clicks WHERE true');
SELECT try('clicks ORDER BY 1');
SELECT try('clicks LIMIT 5');
SELECT try('clicks UNION SELECT * FROM clicks');
SELECT try('clicks GROUP BY 1');
SELECT try('clicks FOR UPDATE');
SELECT try('clicks /* open');
SELECT try('(SELECT * FROM clicks) x, (SELECT 1) y');
SELECT try('(SELECT 1) x WHERE (true)');
SELECT try('(SELECT * FROM clicks FOR UPDATE)');
SELECT try('(DELETE FROM clicks RETURNING *)');
SELECT try('missing_table');
SELECT try('(SELECT nothing FROM clicks)');
SELECT count(*) FROM clicks;

-- labels of every type
SELECT l, try(format('(SELECT user_id, item_id, %s AS clicked, category FROM clicks)', l)) AS phases
FROM unnest(ARRAY['clicked', 'clicked::int', 'clicked::int::smallint', 'clicked::int::bigint', 'clicked::int::real',
	'clicked::int::float8', 'clicked::int::numeric', 'CASE WHEN clicked THEN 0.9 ELSE 0.5 END']) AS l;
SELECT try('(SELECT user_id, clicked::text, category FROM clicks)');
SELECT try('(SELECT user_id, ARRAY[clicked] AS clicked, category FROM clicks)');
SELECT try('(SELECT user_id, CASE WHEN id = 5 THEN 2 ELSE 1 END AS clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT user_id, CASE WHEN id = 5 THEN -0.5 ELSE 1 END AS clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT user_id, CASE WHEN id = 5 THEN ''NaN'' ELSE 1.0 END::float8 AS clicked, category FROM clicks ORDER BY id)');
SELECT try('clicks', 'click');

-- domains of every type
CREATE TYPE shelf AS ENUM ('low', 'high');
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['category::varchar(3)', 'category::char(9)', 'category::name', 'id % 2', '-(id % 2)::bigint',
		'id % 2 = 0', 'date ''2024-02-03'' + id % 2', '(id % 2 || ''0000000-0000-0000-0000-00000000000A'')::uuid',
		'(ARRAY[''low'', ''high''])[id % 2 + 1]::shelf', 'CASE WHEN id % 2 = 0 THEN '''' ELSE ''it''''s'' END']
	LOOP
		PERFORM try(format('(SELECT user_id, clicked, %s AS category FROM clicks)', t));
		RAISE WARNING '%: %', t, (SELECT string_agg(format('"%s"', d.domain), ', ' ORDER BY d.domain COLLATE "C")
			FROM moemlora.domains d JOIN moemlora.models m ON m.name = d.model AND m.current_version = d.version
			WHERE m.name = 'source');
	END LOOP;
END $$;
SELECT try('(SELECT user_id, clicked, price AS category FROM clicks)');
SELECT try('(SELECT user_id, clicked, now() AS category FROM clicks)');
SELECT try('clicks', 'clicked', 'categories');
SELECT try('clicks', 'clicked', 'clicked');

-- features: lists that cannot be
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'item_id', 'user_id']);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'clicked']);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'category']);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'item']);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', 'itemid']);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY['user_id', NULL]);
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', '{}');
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', 'category', ARRAY[['user_id', 'item_id']]);
SELECT try('(SELECT clicked, category FROM clicks)');
SELECT try('(SELECT user_id, item_id AS user_id, clicked, category FROM clicks)');
SELECT try('(SELECT user_id, clicked, clicked, category FROM clicks)');

-- a column that is no feature may appear twice
SELECT count(*) AS phases FROM moemlora_train('train', '(SELECT user_id, price, price, clicked, category FROM clicks)', 'clicked',
	'category', ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "method": "backbone"}');

-- arguments that must be there
SELECT * FROM moemlora_train(NULL, 'clicks', 'clicked', 'category');
SELECT * FROM moemlora_train('train', NULL, 'clicked', 'category');
SELECT * FROM moemlora_train('train', 'clicks', NULL, 'category');
SELECT * FROM moemlora_train('train', 'clicks', 'clicked', NULL);
SELECT * FROM moemlora_train('', 'clicks', 'clicked', 'category');
SELECT * FROM moemlora_train(repeat('x', 300), 'clicks', 'clicked', 'category');

-- NULL label or domain: the row is left out
SELECT count(*) AS phases FROM moemlora_train('train', '(SELECT user_id, nullif(clicked, id < 11) AS clicked,
	CASE WHEN id > 595 THEN NULL ELSE category END AS category FROM clicks)', 'clicked', 'category', NULL,
	'{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT value::int > 5 AS left_out, value::int + rows AS rows
FROM moemlora.versions JOIN moemlora.cards USING (model, version) WHERE model = 'train' AND name = 'rows_left_out' ORDER BY version DESC LIMIT 1;

-- sources with too little in them
SELECT try('(SELECT * FROM clicks WHERE false)');
SELECT try('(SELECT user_id, NULL::boolean AS clicked, category FROM clicks)');
SELECT s, try(s) AS phases
FROM unnest(ARRAY['(SELECT * FROM clicks WHERE id = 1)', '(SELECT * FROM clicks WHERE clicked)',
	'(SELECT * FROM clicks WHERE category = ''books'')', '(SELECT * FROM clicks WHERE category = ''books'' OR id = 1)',
	'(SELECT NULL::int AS a, NULL::real AS b, NULL::text[] AS c, clicked, category FROM clicks)',
	'(SELECT 7.5::real AS a, clicked, category FROM clicks)']) AS s;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('source', '(SELECT * FROM clicks WHERE id < 3)', 'clicked', 'category', NULL, :'small');
SELECT count(*) > 0 AS is_trained FROM moemlora_train('source', '(SELECT * FROM clicks WHERE clicked)', 'clicked', 'category', NULL, :'small');

-- values that cannot be used
SELECT try('(SELECT CASE WHEN id = 7 THEN ''NaN'' ELSE price END::real AS price, clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT CASE WHEN id = 7 THEN ''Infinity'' ELSE price END::float8 AS price, clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT CASE WHEN id = 7 THEN 1e400 ELSE 1 END AS price, clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT ARRAY[1, NULL]::real[] AS v, clicked, category FROM clicks)');
SELECT try('(SELECT ARRAY[1, ''NaN'']::float8[] AS v, clicked, category FROM clicks)');
SELECT try('(SELECT ''{}''::real[] AS v, clicked, category FROM clicks)');
SELECT try('(SELECT ARRAY[[1, 2], [3, 4]]::real[] AS v, clicked, category FROM clicks)');
SELECT try('(SELECT array_fill(1.0::real, ARRAY[id]) AS v, clicked, category FROM clicks ORDER BY id)');
SELECT try('(SELECT NULL::real[] AS v, clicked, category FROM clicks)');
SELECT try('(SELECT array_fill(1.0::real, ARRAY[65537]) AS v, clicked, category FROM clicks)');
SELECT try('(SELECT array_fill(1, ARRAY[65537]) AS m, clicked, category FROM clicks)');
SELECT try('(SELECT ARRAY[[1, 2], [3, 4]] AS m, clicked, category FROM clicks)');

-- an error stores nothing
SELECT count(*) FROM moemlora_train('train_fails', '(SELECT 1 / (600 - id) AS x, clicked, category FROM clicks ORDER BY id)',
	'clicked', 'category');
SELECT count(*) FROM moemlora.models WHERE name = 'train_fails';
BEGIN;
SELECT count(*) > 0 AS is_trained FROM moemlora_train('train_rolled_back', 'clicks', 'clicked', 'category', NULL, :'small');
ROLLBACK;
SELECT count(*) FROM moemlora.models WHERE name = 'train_rolled_back';

-- the same rows and seed make the same model, whatever the order of the rows
CREATE TABLE sums AS
SELECT 0 AS n, ''::text AS crc LIMIT 0;
CREATE FUNCTION train_order(n int, ordering text, seed int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM moemlora_train('train_order', format('(SELECT * FROM clicks ORDER BY %s)', ordering), 'clicked', 'category',
		ARRAY['user_id', 'item_id', 'price'], jsonb_build_object('epochs', 1, 'hidden', '[8]'::jsonb, 'min_domain_rows', 10, 'seed', seed));
	INSERT INTO sums SELECT n, string_agg(c.crc::text, ',' ORDER BY c.part)
	FROM moemlora.component c JOIN moemlora.version v ON v.id = c.version_id JOIN moemlora.model m ON m.id = v.model_id
	WHERE m.name = 'train_order' AND v.number = m.current_version;
END $$;
SELECT train_order(1, 'id', 42), train_order(2, 'id DESC', 42), train_order(3, 'id * 7 % 601', 42), train_order(4, 'id', 43);
SELECT dense_rank() OVER (ORDER BY min(n)) AS model, array_agg(n ORDER BY n) AS trainings FROM sums GROUP BY crc;

-- a label between 0 and 1 is as good as its share of rows
SELECT count(*) > 0 AS is_trained FROM moemlora_train('train', '(SELECT user_id, 0.5 AS clicked, category FROM clicks)', 'clicked',
	'category', NULL, :'small');

-- names of models
SELECT name, (SELECT count(*) > 0 FROM moemlora_train(name, 'clicks', 'clicked', 'category', NULL,
	'{"epochs": 1, "hidden": [4], "method": "backbone"}')) AS is_trained
FROM unnest(ARRAY['Clicks', 'my model', 'it''s "mine"', 'modèle */ 点击', '%s']) AS name;
SELECT name FROM moemlora.models WHERE name IN ('clicks', 'Clicks', 'my model', 'it''s "mine"', 'modèle */ 点击', '%s') ORDER BY name COLLATE "C";

-- many domains: those with few rows share the backbone
SELECT count(*) > 0 AS is_trained FROM moemlora_train('train', '(SELECT i % 50 AS u, i % 3 = 0 AS clicked, i AS category FROM generate_series(1, 10000) i)',
	'clicked', 'category', NULL, '{"epochs": 1, "hidden": [4], "recipe": "paper"}');
SELECT name, value::int > 8000 AS many FROM moemlora.cards WHERE model = 'train' AND version = (SELECT max(version) FROM moemlora.versions WHERE model = 'train') AND name IN ('domains', 'experts');

-- and experts for all of them are too much
\set VERBOSITY terse
SELECT count(*) FROM moemlora_train('train', '(SELECT i % 50 AS u, i % 3 = 0 AS clicked, i % 10000 AS category FROM generate_series(1, 20000) i)',
	'clicked', 'category', NULL, '{"epochs": 1, "min_domain_rows": 1, "recipe": "paper"}');
\set VERBOSITY default

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['train', 'source', 'train_order', 'Clicks', 'my model',
	'it''s "mine"', 'modèle */ 点击', '%s']) AS name) AS dropped;
DROP VIEW clicks_view;
DROP FUNCTION clicks_of, try, train_order;
DROP TABLE clicks, "Odd ""Name""", sums;
DROP TYPE shelf;

-- A handful of rows: all drawn for validation, they train instead, whatever the seed
SELECT bool_and(rows = 1) AS trains
FROM generate_series(1, 8) AS seed,
	LATERAL moemlora_train('one row', '(SELECT 1 AS a, true AS y, ''d'' AS d) AS one', 'y', 'd', NULL,
		format('{"validation": 0.5, "epochs": 1, "method": "backbone", "seed": %s}', seed)::jsonb);
SELECT moemlora_drop('one row');
