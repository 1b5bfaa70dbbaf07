-- moemlora_auc() and moemlora_logloss()
\set SHOW_CONTEXT never

-- ties count half, for every type of label
SELECT moemlora_auc(s, l) FROM (VALUES (0.1, false), (0.4, true), (0.4, false), (0.8, true)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.1, 0), (0.4, 1), (0.4, 0), (0.8, 1)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.1, 0.0), (0.4, 0.7), (0.4, 0.5), (0.8, 1.0)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.1::real, 0::smallint), (0.4, 1)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.1, 0::bigint), (0.4, 1)) v(s, l);

-- infinite scores have their order
SELECT moemlora_auc(s, l) FROM (VALUES ('infinity'::float8, true), ('-infinity', false)) v(s, l);

-- not defined: one class only, no rows, NULL
SELECT moemlora_auc(s, l) IS NULL AS auc, moemlora_logloss(s, l) IS NULL AS logloss
FROM (VALUES (0.1, true), (0.2, true)) v(s, l);
SELECT moemlora_auc(s, l) IS NULL AS auc, moemlora_logloss(s, l) IS NULL AS logloss
FROM (VALUES (0.1, true)) v(s, l) WHERE false;
SELECT moemlora_auc(s, l) IS NULL AS auc, moemlora_logloss(s, l) IS NULL AS logloss
FROM (VALUES (0.1, NULL::boolean), (NULL, true)) v(s, l);

-- NULLs do not count
SELECT moemlora_auc(s, l) FROM (VALUES (0.1, false), (0.9, true), (NULL, true), (0.95, NULL)) v(s, l);

-- the logloss is the mean of -ln of what was given to the label
SELECT round(moemlora_logloss(s, l)::numeric, 12) AS logloss FROM (VALUES (0.5, true), (0.25, false)) v(s, l);
SELECT round(moemlora_logloss(s, l)::numeric, 12) AS logloss FROM (VALUES (0.5, 1), (0.25, 0)) v(s, l);
SELECT round(moemlora_logloss(s, l)::numeric, 12) AS logloss FROM (VALUES (0.5, 0.5), (0.5, 0.25)) v(s, l);

-- a prediction of 0 or 1 that is wrong costs much, but not infinitely much
SELECT round(moemlora_logloss(s, l)::numeric, 6) AS logloss FROM (VALUES (0.0, true), (1.0, false)) v(s, l);

-- bad input
SELECT moemlora_auc(s, l) FROM (VALUES ('NaN'::float8, true)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.5, 2)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.5, -0.5)) v(s, l);
SELECT moemlora_auc(s, l) FROM (VALUES (0.5, 'NaN'::float8)) v(s, l);
SELECT moemlora_logloss(s, l) FROM (VALUES (1.5, true)) v(s, l);
SELECT moemlora_logloss(s, l) FROM (VALUES ('NaN'::float8, true)) v(s, l);
SELECT moemlora_logloss(s, l) FROM (VALUES (0.5, 7)) v(s, l);

CREATE TABLE metric_rows AS
SELECT i % 3 AS g, (hashint4(i) & 1023) / 1023.0::float8 AS s, hashint4(i + 100000) & 3 = 0 AS l
FROM generate_series(1, 3000) AS i;

-- the AUC is the share of pairs in order
SELECT moemlora_auc(s, l) = (
	SELECT avg(CASE WHEN a.s > b.s THEN 1.0 WHEN a.s = b.s THEN 0.5 ELSE 0.0 END)
	FROM metric_rows a, metric_rows b WHERE a.l AND NOT b.l)::float8 AS is_exact
FROM metric_rows;

-- the order of the rows does not matter, nor FILTER and DISTINCT do harm
SELECT moemlora_auc(s, l ORDER BY s DESC) = moemlora_auc(s, l ORDER BY l, s) AS auc,
	moemlora_logloss(s, l ORDER BY s DESC) = moemlora_logloss(s, l ORDER BY l, s) AS logloss
FROM metric_rows;
SELECT moemlora_auc(s, l) FILTER (WHERE g = 1) = (SELECT moemlora_auc(s, l) FROM metric_rows WHERE g = 1) AS filtered,
	moemlora_auc(DISTINCT s, l) BETWEEN 0 AND 1 AS "distinct"
FROM metric_rows;

-- partial aggregation gives the same
CREATE TEMP TABLE metric_serial AS
SELECT g, moemlora_auc(s, l) AS auc, moemlora_logloss(s, l) AS logloss FROM metric_rows GROUP BY g;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT g, p.auc = s.auc AS auc, round(p.logloss::numeric, 12) = round(s.logloss::numeric, 12) AS logloss
FROM metric_serial s
JOIN (SELECT g, moemlora_auc(s, l) AS auc, moemlora_logloss(s, l) AS logloss FROM metric_rows GROUP BY g) p USING (g)
ORDER BY g;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;

-- as window functions, frames grow
SELECT s, round((moemlora_auc(s, l) OVER w)::numeric, 3) AS auc, round((moemlora_logloss(s, l) OVER w)::numeric, 3) AS logloss
FROM (VALUES (0.1, false), (0.3, true), (0.5, false), (0.8, true)) v(s, l)
WINDOW w AS (ORDER BY s);

-- the memory of an AUC has a limit
\set VERBOSITY terse
SET moemlora.training_memory = '1MB';
SELECT moemlora_auc(i, i % 2) FROM generate_series(1, 200000) AS i;
RESET moemlora.training_memory;
\set VERBOSITY default

DROP TABLE metric_rows, metric_serial;
