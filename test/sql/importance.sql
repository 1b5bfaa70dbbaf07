-- moemlora_importance()
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- users decide in books, items in games; the price says nothing
CREATE TABLE visits AS
SELECT i AS id, i * 7 % 37 AS user_id, (i * 11 % 23)::text AS item_id, (i * 13 % 41)::real AS price, ARRAY[i % 3, i % 7]::text[] AS tags,
	CASE WHEN i % 2 = 0 THEN i * 7 % 37 % 2 = 0 ELSE i * 11 % 23 % 2 = 0 END <> (i % 17 = 0) AS clicked, (ARRAY['books', 'games'])[i % 2 + 1] AS category
FROM generate_series(1, 3000) AS i;
SELECT count(*) FROM moemlora_train('m', 'visits', 'clicked', 'category', ARRAY['user_id', 'item_id', 'price', 'tags'],
	'{"epochs": 20, "hidden": [16], "embedding_dim": 4, "dropout": 0, "recipe": "joint", "learning_rate": 0.02}');

-- all rows first, then domain by domain; in each the most important feature first
CREATE TABLE importance AS SELECT row_number() OVER () AS place, * FROM moemlora_importance('m', 'visits', 'clicked', 'category');
SELECT domain, feature, importance > 0.1 AS large, standard_error BETWEEN 0 AND 0.05 AS standard_error, rows, positives FROM importance WHERE feature LIKE '%\_id' ORDER BY domain NULLS FIRST, feature;
SELECT bool_and(abs(importance) < 0.05) AS small FROM importance WHERE feature IN ('price', 'tags') OR (feature, domain) IN (('item_id', 'books'), ('user_id', 'games'));
SELECT array_agg(domain ORDER BY place) AS domains, bool_and(importance >= next OR next IS NULL) AS falls
FROM (SELECT *, lead(importance) OVER (PARTITION BY domain ORDER BY place) AS next FROM importance) AS i;

-- a permutation of the values, drawn here: what is lost is as large, but for luck
WITH p AS (SELECT v.category, v.clicked, moemlora_predict('m', v.category, ROW(v.user_id, v.item_id, v.price, v.tags)) AS base,
		moemlora_predict('m', v.category, ROW(lag(v.user_id, 37, v.user_id) OVER (PARTITION BY v.category ORDER BY hashint4(id)), v.item_id, v.price, v.tags)) AS permuted FROM visits AS v)
SELECT category, abs(moemlora_auc(base, clicked) - moemlora_auc(permuted, clicked) - importance) < 6 * standard_error + 0.01 AS similar
FROM p JOIN importance ON domain = category AND feature = 'user_id' GROUP BY category, importance, standard_error ORDER BY 1;

-- the same whatever the order of the rows, of all and of a sample; which is said
SET client_min_messages = notice;
SELECT count(*) AS rows, sum(abs(a.importance - b.importance)) AS differ FROM importance AS a
	JOIN moemlora_importance('m', '(SELECT * FROM visits ORDER BY id DESC)', 'clicked', 'category') AS b ON a.feature = b.feature AND a.domain IS NOT DISTINCT FROM b.domain;
SELECT count(*), sum(abs(a.importance - b.importance)) AS differ, min(a.rows), max(a.rows)
FROM moemlora_importance('m', 'visits', 'clicked', 'category', 500) AS a
	JOIN moemlora_importance('m', '(SELECT * FROM visits ORDER BY item_id, id DESC)', 'clicked', 'category', rows => 500) AS b ON a.feature = b.feature AND a.domain IS NOT DISTINCT FROM b.domain WHERE a.domain IS NULL;
-- many rows that are the same
SELECT feature, rows, positives FROM moemlora_importance('m', '(SELECT v.* FROM visits AS v, generate_series(1, 100) WHERE id <= 10)', 'clicked', 'category', 100) WHERE domain IS NULL ORDER BY 1;

-- what is left out or unknown is said
SELECT domain, feature, rows FROM moemlora_importance('m', '(SELECT user_id, item_id, price, tags, CASE WHEN id > 5 THEN clicked END AS clicked, CASE WHEN id > 2990 THEN ''arts'' WHEN id <> 100 THEN category END AS category FROM visits)',
	'clicked', 'category') WHERE feature = 'price' ORDER BY 1 NULLS FIRST;
SET client_min_messages = warning;

-- not defined: one class, no rows
SELECT * FROM moemlora_importance('m', '(SELECT * FROM visits WHERE clicked AND category = ''books'')', 'clicked', 'category') WHERE domain IS NULL;
SELECT * FROM moemlora_importance('m', '(SELECT * FROM visits WHERE false)', 'clicked', 'category');

-- bad input
SELECT * FROM moemlora_importance('no such model', 'visits', 'clicked', 'category');
SELECT * FROM moemlora_importance('m', 'visits', 'clicked', 'category', 0);
SELECT * FROM moemlora_importance('m', 'visits', 'clicked', 'category', NULL);
SELECT * FROM moemlora_importance('m', 'visits', 'click', 'category');
SELECT * FROM moemlora_importance('m', '(SELECT user_id, clicked, category FROM visits)', 'clicked', 'category');
SELECT * FROM moemlora_importance('m', '(SELECT user_id, item_id, ''Infinity''::real AS price, tags, clicked, category FROM visits)', 'clicked', 'category');

SELECT moemlora_drop('m');
DROP TABLE visits, importance;
