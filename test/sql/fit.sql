-- moemlora_fit(): what it returns and what it refuses.  That plans, orders and
-- partial states change nothing is tested in t/045_fit.pl.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE shown AS
SELECT i AS id, i % 50 AS user_id, i % 7 AS item_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked, i % 2 AS country
FROM generate_series(1, 1200) AS i;
CREATE TYPE pair AS (user_id int, item_id int);
\set quick '\'{"epochs": 1, "hidden": [4], "embedding_dim": 2}\''

-- One model per group, and for all; labels of both types.
SELECT country, length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, :quick)) > 1000 AS is_model FROM shown GROUP BY country ORDER BY country;
SELECT md5(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, :quick)) = md5(moemlora_fit(clicked::int::float8, place, ROW(user_id, item_id)::pair, :quick)) AS is_same FROM shown;
SELECT md5(moemlora_fit(clicked, place, s, :quick)) = md5(moemlora_fit(clicked, place, ROW(shown.user_id, shown.item_id)::pair, :quick)) AS is_same
FROM shown, LATERAL (SELECT shown.user_id, shown.item_id) AS s;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id))) > 1000 AS is_model FROM shown;
SELECT country, length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, :quick) FILTER (WHERE country = 1)) > 1000 AS is_model FROM shown GROUP BY country ORDER BY country;
SELECT md5(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, :quick ORDER BY md5(id::text))) = md5(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, :quick)) AS is_same FROM shown;
SELECT length(moemlora_fit(DISTINCT clicked, place, ROW(user_id, item_id)::pair, :quick)) > 1000 AS is_model FROM shown;

-- Nothing to train on; one class only.
SELECT moemlora_fit(clicked, place, ROW(user_id, item_id)::pair) IS NULL AS is_null FROM shown WHERE false;
SELECT country, moemlora_fit(clicked, place, ROW(user_id, item_id)::pair) FROM shown WHERE false GROUP BY country;
SELECT length(moemlora_fit(true, place, ROW(user_id, item_id)::pair, :quick)) > 1000 AS is_model FROM shown;
SET client_min_messages = notice;
SELECT moemlora_fit(NULL::boolean, place, ROW(user_id, item_id)::pair) IS NULL AS is_null FROM shown;
SELECT length(moemlora_fit(clicked, nullif(place, 'place 1'), CASE WHEN id <> 3 THEN ROW(user_id, item_id)::pair END, :quick)) > 1000 AS is_model FROM shown;
SET client_min_messages = warning;

-- Columns that options name.
CREATE TYPE timed AS (user_id int, item_id int, part text, moment int, worth real);
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id, CASE id % 4 WHEN 0 THEN 'valid' WHEN 1 THEN 'test' ELSE 'train' END, id, id % 3)::timed,
	'{"epochs": 1, "hidden": [4], "split_column": "part", "weight_column": "worth", "columns": {"moment": {"kind": "numeric"}}}')) > 1000 AS is_model FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id, 'a', id, 1)::timed, '{"epochs": 1, "hidden": [4], "time_column": "moment"}')) > 1000 AS is_model FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id, 'a', id, -1)::timed, '{"weight_column": "worth"}')) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, '{"time_column": "moment"}')) FROM shown;

-- Errors.
SELECT length(moemlora_fit(1.5, place, ROW(user_id, item_id)::pair)) FROM shown;
SELECT length(moemlora_fit('NaN'::float8, place, ROW(user_id, item_id)::pair)) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, NULL)) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, '{"epoch": 1}')) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, '{"warm_start": true}')) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, jsonb_build_object('epochs', 1 + id % 2))) FROM shown;
SELECT length(moemlora_fit(clicked, place, CASE WHEN id < 9 THEN ROW(user_id, item_id) ELSE ROW(user_id, item_id, id) END)) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(now()))) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW('NaN'::float8))) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair, '{"columns": {"price": {"kind": "numeric"}}}')) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair) OVER (ORDER BY id)) FROM shown;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id)::pair) OVER ()) FROM shown;

-- Memory is that of all groups at hand: one after the other they fit.
SET moemlora.training_memory = '1500kB';
SET work_mem = '4GB';
SET enable_sort = off;
SELECT count(model) FROM (SELECT moemlora_fit(clicked, place, ROW(user_id, item_id, n)::record, :quick) AS model FROM shown, generate_series(1, 40) AS n GROUP BY n) AS m;
RESET enable_sort;
RESET work_mem;
SET enable_hashagg = off;
SELECT count(model) FROM (SELECT moemlora_fit(clicked, place, ROW(user_id, item_id, n)::record, :quick) AS model FROM shown, generate_series(1, 40) AS n GROUP BY n) AS m;
SELECT length(moemlora_fit(clicked, place, ROW(user_id, item_id, n)::record, :quick)) FROM shown, generate_series(1, 40) AS n;
RESET enable_hashagg;
RESET moemlora.training_memory;

DROP TABLE shown;
DROP TYPE pair, timed;
