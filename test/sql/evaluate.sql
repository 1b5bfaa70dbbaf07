-- moemlora_evaluate()
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE visits AS
SELECT i AS id, i % 37 AS user_id, i % 23 AS item_id, (i % 37 * 7 + i % 23 * 3 + i % 3) % 5 < 2 AS clicked,
	(ARRAY['books', 'games', 'films'])[i % 3 + 1] AS category
FROM generate_series(1, 900) AS i;
CREATE FUNCTION train(model text, options jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT count(*) > 0 FROM moemlora_train(model, 'visits', 'clicked', 'category', ARRAY['user_id', 'item_id'],
		'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02}' || options)
$$;
SELECT train('gated', '{"recipe": "paper", "serve": "gate"}'), train('own', '{"method": "mlora", "serve": "own"}'),
	train('plain', '{"method": "backbone"}');

-- a row per domain by name, then all, mean and weighted
SELECT scope, domain, rows, positives, auc BETWEEN 0 AND 1 AS auc, logloss > 0 AS logloss, calibration > 0 AS calibration,
	backbone_auc BETWEEN 0 AND 1 AS backbone_auc, expert_auc BETWEEN 0 AND 1 AS expert_auc
FROM moemlora_evaluate('gated', 'visits', 'clicked', 'category');
SELECT scope, domain, auc = backbone_auc AS served_is_backbone, expert_auc IS NULL AS no_experts
FROM moemlora_evaluate('plain', 'visits', 'clicked', 'category');
SELECT scope, domain, auc = expert_auc AS served_is_own, backbone_auc IS NOT NULL AS has_backbone
FROM moemlora_evaluate('own', 'visits', 'clicked', 'category');

-- the figures are those of the scores
WITH s AS (SELECT category, clicked, moemlora_predict('gated', category, v) AS p FROM visits v),
	f AS (SELECT category, count(*) AS n, moemlora_auc(p, clicked) AS auc, moemlora_logloss(p, clicked) AS logloss,
			avg(p) / avg(clicked::int) AS calibration FROM s GROUP BY GROUPING SETS ((category), ())),
	d AS (SELECT * FROM f WHERE category IS NOT NULL),
	a AS (SELECT 'domain' AS scope, * FROM d UNION ALL SELECT 'all', * FROM f WHERE category IS NULL
		UNION ALL SELECT 'mean', NULL, sum(n), avg(auc), avg(logloss), avg(calibration) FROM d
		UNION ALL SELECT 'weighted', NULL, sum(n), sum(n * auc) / sum(n), sum(n * logloss) / sum(n), sum(n * calibration) / sum(n) FROM d)
SELECT e.scope, e.domain, e.rows = a.n AS rows, abs(e.auc - a.auc) < 1e-6 AS auc, abs(e.logloss - a.logloss) < 1e-5 AS logloss,
	abs(e.calibration - a.calibration) < 1e-5 AS calibration
FROM moemlora_evaluate('gated', 'visits', 'clicked', 'category') WITH ORDINALITY AS e
JOIN a ON a.scope = e.scope AND a.category IS NOT DISTINCT FROM e.domain
ORDER BY e.ordinality;

-- other sources, types and columns beside the features
SELECT scope, domain, rows, positives FROM moemlora_evaluate('gated',
	'(SELECT user_id::bigint, item_id::text, clicked::int AS label, category::varchar AS shelf, id, now() FROM visits WHERE id <= 100)', 'label', 'shelf');

-- a version of its own
SELECT train('gated', '{"method": "backbone"}');
SELECT version, bool_and(expert_auc IS NULL) AS no_experts
FROM generate_series(1, 2) AS version, moemlora_evaluate('gated', 'visits', 'clicked', 'category', version)
GROUP BY 1 ORDER BY 1;
SELECT bool_and(expert_auc IS NULL) AS no_experts FROM moemlora_evaluate('gated', 'visits', 'clicked', 'category');

-- not defined: one class, no rows, no positive
SELECT scope, domain, rows, positives, auc, logloss IS NULL AS logloss, calibration IS NULL AS calibration, backbone_auc, expert_auc
FROM moemlora_evaluate('own', '(SELECT * FROM visits WHERE clicked AND category = ''books'')', 'clicked', 'category');
SELECT scope, domain, rows, positives, auc, logloss IS NULL AS logloss, calibration IS NULL AS calibration
FROM moemlora_evaluate('own', '(SELECT * FROM visits WHERE NOT clicked AND category = ''books'')', 'clicked', 'category');
SELECT scope, domain, rows, positives, auc, logloss, calibration, backbone_auc, expert_auc
FROM moemlora_evaluate('own', '(SELECT * FROM visits WHERE false)', 'clicked', 'category');

-- a domain of one class is not in the means
SELECT scope, domain, rows FROM moemlora_evaluate('own', '(SELECT * FROM visits WHERE clicked OR category <> ''books'')', 'clicked', 'category');

-- unseen domains, as option unknown_domain says, under their own names
SELECT scope, domain, rows, auc IS NOT NULL AS has_auc
FROM moemlora_evaluate('own', '(SELECT user_id, item_id, clicked, CASE WHEN id % 2 = 0 THEN category ELSE ''Toys'' END AS category FROM visits)', 'clicked', 'category');
SELECT train('strict', '{"method": "mlora", "unknown_domain": "error"}');
SELECT count(*) FROM moemlora_evaluate('strict', '(SELECT user_id, item_id, clicked, CASE WHEN id = 5 THEN ''toys'' ELSE category END AS category FROM visits ORDER BY id)',
	'clicked', 'category');

-- many domains at once, more than fit into a block of rows
SELECT count(*), sum(rows) FILTER (WHERE scope = 'domain') AS rows, min(rows) FILTER (WHERE scope = 'all') AS "all"
FROM moemlora_evaluate('own', '(SELECT user_id, item_id, clicked, id AS category FROM visits)', 'clicked', 'category');

-- NULL labels and domains are left out, and said
SET client_min_messages = notice;
SELECT scope, domain, rows FROM moemlora_evaluate('plain',
	'(SELECT user_id, item_id, CASE WHEN id > 10 THEN clicked END AS clicked, CASE WHEN id < 891 THEN category END AS category FROM visits)', 'clicked', 'category');
SELECT count(*) FROM moemlora_evaluate('plain', '(SELECT user_id, item_id, nullif(clicked, id = 1 AND clicked) AS clicked, category FROM visits WHERE id < 3)', 'clicked', 'category');
-- and so is what the model has never seen
SELECT count(*) FROM moemlora_evaluate('plain', '(SELECT user_id + 30 AS user_id, nullif(item_id, 3) + 1 AS item_id, clicked,
	CASE WHEN id < 9 THEN id || ''. shelf'' WHEN id < 12 THEN ''new'' ELSE category END AS category FROM visits)', 'clicked', 'category');
SELECT count(*) FROM moemlora_evaluate('plain', '(SELECT CASE id WHEN 1 THEN 99 ELSE user_id END AS user_id, item_id, clicked, CASE id WHEN 2 THEN ''new'' ELSE category END AS category FROM visits)', 'clicked', 'category');
SET client_min_messages = warning;

-- features may be called as ROW(...) calls its fields
SELECT count(*) > 0 AS is_trained FROM moemlora_train('rows', '(SELECT user_id AS f2, clicked AS f1, category AS f3 FROM visits)', 'f1', 'f3', NULL,
	'{"epochs": 1, "hidden": [4], "method": "backbone"}');
SELECT count(*) FROM moemlora_evaluate('rows', '(SELECT clicked AS f1, user_id AS f2, category AS f3 FROM visits)', 'f1', 'f3');

-- bad input
SELECT * FROM moemlora_evaluate('no such model', 'visits', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', 'visits', 'clicked', 'category', 7);
SELECT * FROM moemlora_evaluate('own', 'visits', 'clicked', 'category', 0);
SELECT * FROM moemlora_evaluate(NULL, 'visits', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', NULL, 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', 'visits; SELECT 1', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', 'no_such_table', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', 'visits', 'click', 'category');
SELECT * FROM moemlora_evaluate('own', 'visits', 'clicked', 'categories');
SELECT * FROM moemlora_evaluate('own', '(SELECT user_id, clicked, category FROM visits)', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', '(SELECT user_id::real, item_id, clicked, category FROM visits)', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', '(SELECT user_id, item_id, clicked::text, category FROM visits)', 'clicked', 'category');
SELECT * FROM moemlora_evaluate('own', '(SELECT user_id, item_id, CASE WHEN id = 9 THEN 2 ELSE 1 END AS clicked, category FROM visits ORDER BY id)', 'clicked', 'category');

-- the memory has a limit: with more rows than it has room for, AUC is from histograms, and how far off it may be is said
CREATE TABLE many AS SELECT user_id, item_id, (hashint4(id * 1000 + g) % 100 < 40) <> clicked AS clicked, category, id FROM visits, generate_series(1, 40) AS g;
CREATE FUNCTION evaluated(limited text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('moemlora.training_memory', limited, true);
	RETURN QUERY SELECT scope, domain, rows, positives, auc, logloss, calibration, backbone_auc, expert_auc FROM moemlora_evaluate('own', 'many', 'clicked', 'category');
END $$;
SELECT e.scope, e.domain, e.rows = l.rows AND e.positives = l.positives AS rows, abs(e.auc - l.auc) < 0.01 AS auc, abs(e.logloss - l.logloss) < 1e-6 AS logloss,
	abs(e.calibration - l.calibration) < 1e-6 AS calibration, abs(e.backbone_auc - l.backbone_auc) < 0.01 AS backbone_auc, abs(e.expert_auc - l.expert_auc) < 0.01 AS expert_auc,
	CASE e.scope WHEN 'all' THEN (e.auc, e.backbone_auc) <> (l.auc, l.backbone_auc) END AS differ
FROM evaluated('1GB') AS e(scope text, domain text, rows bigint, positives bigint, auc float8, logloss float8, calibration float8, backbone_auc float8, expert_auc float8)
JOIN evaluated('1600kB') AS l(scope text, domain text, rows bigint, positives bigint, auc float8, logloss float8, calibration float8, backbone_auc float8, expert_auc float8)
	ON l.scope = e.scope AND l.domain IS NOT DISTINCT FROM e.domain ORDER BY e.scope, e.domain;
SET moemlora.training_memory = '1600kB';
SET client_min_messages = notice;
\set VERBOSITY terse
SELECT scope, domain, rows FROM moemlora_evaluate('own', 'many', 'clicked', 'category');
\set VERBOSITY default
SET client_min_messages = warning;
-- whatever comes first, and in every mode
CREATE FUNCTION far_off(source text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	is_far boolean;
BEGIN
	SET LOCAL moemlora.training_memory = '1GB';
	CREATE TEMP TABLE exact AS SELECT * FROM moemlora_evaluate('own', source, 'clicked', 'category');
	SET LOCAL moemlora.training_memory = '1600kB';
	SELECT max(greatest(abs(e.auc - f.auc), abs(e.backbone_auc - f.backbone_auc), abs(e.expert_auc - f.expert_auc))) > 0.005 INTO is_far
	FROM exact AS e JOIN moemlora_evaluate('own', source, 'clicked', 'category') AS f ON e.scope = f.scope AND e.domain IS NOT DISTINCT FROM f.domain;
	DROP TABLE exact;
	RETURN is_far;
END $$;
SELECT far_off('(SELECT * FROM many ORDER BY category)') AS by_domain,
	far_off('(SELECT m.* FROM many AS m ORDER BY moemlora_predict(''own'', category, m))') AS by_score,
	far_off('(SELECT 1 AS id, user_id, item_id, clicked, category FROM many, generate_series(1, 500) WHERE id = 7 UNION ALL SELECT 2, user_id, item_id, clicked, category FROM many ORDER BY id)') AS alike;
DROP FUNCTION far_off;
-- bins become fewer with more domains, until there are too many
CREATE VIEW shelves AS SELECT user_id, item_id, clicked, CASE WHEN id <= 700 THEN id % 3 ELSE 100 + id % 80 END AS shelf FROM many ORDER BY id > 700;
SET moemlora.training_memory = '2000kB';
CREATE TABLE few AS SELECT * FROM moemlora_evaluate('own', 'shelves', 'clicked', 'shelf');
RESET moemlora.training_memory;
SELECT e.scope, length(e.domain) AS length, count(*), sum(abs(e.rows - f.rows)) AS rows, max(abs(e.auc - f.auc)) BETWEEN CASE e.scope WHEN 'all' THEN 1e-12 ELSE 0 END AND 0.01 AS auc
FROM moemlora_evaluate('own', 'shelves', 'clicked', 'shelf') AS e JOIN few AS f ON f.scope = e.scope AND f.domain IS NOT DISTINCT FROM e.domain GROUP BY 1, 2 ORDER BY 1, 2;
DROP VIEW shelves;
DROP TABLE few;
SET moemlora.training_memory = '1600kB';
\set VERBOSITY terse
SELECT count(*) FROM moemlora_evaluate('own', '(SELECT user_id, item_id, clicked, id AS category FROM many)', 'clicked', 'category');
\set VERBOSITY default
RESET moemlora.training_memory;
DROP FUNCTION evaluated;
DROP TABLE many;

-- a source may use models itself
SELECT count(*) FROM moemlora_evaluate('own', '(SELECT *, moemlora_predict(''plain'', category, v) AS p FROM visits v)', 'clicked', 'category');

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['gated', 'own', 'plain', 'strict', 'rows']) AS name) AS dropped;
DROP FUNCTION train;
DROP TABLE visits;
