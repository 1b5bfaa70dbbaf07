-- moemlora_drift(), and moemlora_gates() of a gate over the input: what is kept of training
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE visits AS
SELECT i AS id, i % 37 AS user_id, (i % 5)::text AS colour, CASE WHEN i % 10 > 0 THEN i % 41 * 0.5::real END AS price, ARRAY[i % 3, i % 7]::text[] AS tags,
	ARRAY[i % 3, i % 11, 1]::real[] AS picture, (i % 37 * 7 + i % 23 * 3 + i % 3) % 5 < 2 AS clicked, (ARRAY['books', 'games', 'films'])[i % 3 + 1] AS category,
	CASE WHEN i > 2000 THEN 'valid' ELSE 'train' END AS split
FROM generate_series(1, 3000) AS i;
SELECT count(*) FROM moemlora_train('m', 'visits', 'clicked', 'category', ARRAY['user_id', 'colour', 'price', 'tags', 'picture'],
	'{"epochs": 2, "hidden": [8], "embedding_dim": 4, "recipe": "gated", "gate": "input", "serve": "gate", "split_column": "split", "learning_rate": 0.02}');

-- the weights of a gate over the input: mean and standard deviation over the validation rows
WITH e AS (SELECT category, name, avg(contribution) AS mean, stddev_pop(contribution) AS spread FROM visits AS v, moemlora_explain('m', category, v) AS e
		WHERE split = 'valid' AND component = 'expert' GROUP BY 1, 2)
SELECT g.domain, g.expert, g.expert_domain, abs(g.weight - mean) < 2e-6 AS weight, abs(g.spread - e.spread) < 1e-5 AS same_spread, g.spread > 0 AS spread
FROM moemlora_gates('m') AS g JOIN e ON e.category = g.domain AND e.name = g.expert_domain ORDER BY 1, 2;

-- the rows of training themselves: scores first, then the features, over all rows and by domain
SELECT feature, domain, rows, unknown, nulls, psi < 0.1 AS psi, score BETWEEN 0 AND 1 AS score, abs(score_shift) < 0.1 AS score_shift, verdict
FROM moemlora_drift('m', 'visits', 'category');
SELECT feature, unknown, nulls FROM moemlora_drift('m', 'visits', 'category') WHERE feature = 'price' AND domain IS NULL
	AND nulls = (SELECT round(avg((price IS NULL)::int), 4) FROM visits);

-- the index by its formula: five colours, of which today one is new, one is rare and some are NULL
CREATE TABLE today AS
SELECT id, user_id, CASE WHEN id % 4 = 0 THEN '9' WHEN id % 8 = 1 THEN NULL WHEN colour <> '3' OR id % 50 = 3 THEN colour ELSE '0' END AS colour, price, tags, picture, category
FROM visits WHERE id % 3 < 2;
WITH training AS (SELECT category, coalesce(colour, 'none') AS bin FROM visits WHERE split = 'train'), now AS (SELECT category, coalesce(colour, 'none') AS bin FROM today),
	bins AS (SELECT category, bin, (SELECT count(*) FROM training AS t WHERE t.category = c.category AND t.bin = b.bin) AS before,
			(SELECT count(*) FROM now AS n WHERE n.category = c.category AND n.bin = b.bin) AS after
		FROM unnest('{books,games}'::text[]) AS c(category), unnest('{0,1,2,3,4,none,other}'::text[]) AS b(bin)),
	unknown AS (SELECT category, (count(*) FILTER (WHERE bin = '9') + 0.5) / (count(*) + 1) AS after,
			0.5 / ((SELECT count(*) FROM visits AS v WHERE split = 'valid' AND v.category = n.category) + 1) AS before FROM now AS n GROUP BY 1),
	shares AS (SELECT u.category, (1 - u.after) * (b.after + 0.5) / (sum(b.after) OVER c + 3.5) AS after, (1 - u.before) * (b.before + 0.5) / (sum(b.before) OVER c + 3.5) AS before
		FROM bins AS b JOIN unknown AS u USING (category) WINDOW c AS (PARTITION BY b.category)),
	p AS (SELECT category, sum((after - before) * ln(after / before)) AS psi FROM (SELECT * FROM shares UNION ALL SELECT category, after, before FROM unknown) AS s GROUP BY 1)
SELECT d.domain, d.rows, d.unknown, d.nulls, abs(d.psi - p.psi) < 1e-4 AS psi, d.verdict
FROM moemlora_drift('m', 'today', 'category') AS d JOIN p ON p.category = d.domain WHERE d.feature = 'colour' ORDER BY 1;

-- each kind of change is seen where it is: in the feature, the domain, the scores; of the scores the verdict is the worst of all
SELECT feature, domain, unknown, nulls, verdict FROM moemlora_drift('m', '(SELECT *, category AS shelf FROM visits WHERE category <> ''games''
	UNION ALL SELECT id, user_id + 1000, colour, price * 3, NULL, picture, clicked, category, split, category FROM visits WHERE category = ''games'')', 'shelf')
WHERE domain IS DISTINCT FROM 'films';
SELECT domain, verdict FROM moemlora_drift('m', '(SELECT id, user_id, colour, price, tags, ARRAY[0, 0, 0]::real[] AS picture, category FROM visits)', 'category') WHERE feature = 'picture';

-- a small domain that has moved does not move all rows, but the whole is not fine
SELECT feature, domain, verdict FROM moemlora_drift('m', '(SELECT v.* FROM visits AS v, generate_series(1, 20) WHERE category <> ''games''
	UNION ALL SELECT id, user_id, colour, price + 100, tags, picture, clicked, category, split FROM visits WHERE category = ''games'')', 'category')
WHERE feature IS NULL OR feature = 'price';

-- few rows say little, and none nothing
SELECT feature, domain, rows, psi > 0.25 AS large, verdict FROM moemlora_drift('m', '(SELECT * FROM visits WHERE id IN (5, 8))', 'category');
SELECT feature, domain, rows, unknown, nulls, psi, score, score_shift, verdict FROM moemlora_drift('m', '(SELECT * FROM visits WHERE false)', 'category');

-- the same of the domains: one is new, one has no rows
WITH shown AS (SELECT CASE WHEN id % 10 = 0 THEN 'toys' ELSE category END AS category FROM today),
	n AS (SELECT count(*)::float8 AS n, count(*) FILTER (WHERE category = 'toys') AS unknown FROM shown),
	d AS (SELECT rows, sum(rows) OVER ()::float8 AS before, (SELECT count(*) FROM shown AS s WHERE s.category = d.domain) AS now
		FROM moemlora.domains AS d WHERE model = 'm' AND version = 1),
	share AS (SELECT (unknown + 0.5) / (n + 1) AS a, 0.5 / (before + 1) AS e FROM n, (SELECT before FROM d LIMIT 1) AS d
		UNION ALL
		SELECT (1 - (unknown + 0.5) / (n + 1)) * (now + 0.5) / (n - unknown + 1.5), (1 - 0.5 / (before + 1)) * (rows + 0.5) / (before + 1.5) FROM d, n)
SELECT f.feature, f.rows, f.unknown = round((SELECT unknown / n FROM n)::numeric, 4)::float8 AS unknown, f.nulls, f.psi = round(sum((a - e) * ln(a / e))::numeric, 4)::float8 AS psi, f.verdict
FROM share, moemlora_drift('m', '(SELECT id, user_id, colour, price, tags, picture, CASE WHEN id % 10 = 0 THEN ''toys'' ELSE category END AS category FROM today)', 'category') AS f
WHERE f.feature = 'category' GROUP BY f.feature, f.rows, f.unknown, f.nulls, f.psi, f.verdict;

-- what cannot be counted is said
SET client_min_messages = notice;
SELECT domain, rows, verdict FROM moemlora_drift('m', '(SELECT id, user_id, colour, price, tags, picture, CASE id % 9 WHEN 0 THEN NULL WHEN 1 THEN ''toys'' WHEN 2 THEN ''Toys'' ELSE category END AS category FROM visits)', 'category') WHERE feature IS NULL;
SET client_min_messages = warning;

-- without validation rows nobody knows what scores were, and gates are not known
SELECT count(*) FROM moemlora_train('bare', 'visits', 'clicked', 'category', ARRAY['user_id', 'price'], '{"epochs": 1, "hidden": [4], "recipe": "gated", "gate": "input", "serve": "gate", "validation": 0}');
SELECT feature, domain, psi IS NULL AS no_psi, score IS NULL AS no_score, score_shift, verdict FROM moemlora_drift('bare', 'visits', 'category') WHERE domain IS NULL;
SELECT domain, expert, weight, spread FROM moemlora_gates('bare') WHERE domain = 'books';

-- it goes where the model goes
SELECT moemlora_import('copy', moemlora_export('m'));
SELECT count(*) AS differ FROM (SELECT * FROM moemlora_drift('m', 'today', 'category') EXCEPT SELECT * FROM moemlora_drift('copy', 'today', 'category')) AS d;
SELECT count(*) AS differ FROM (SELECT * FROM moemlora_gates('m') EXCEPT SELECT * FROM moemlora_gates('copy')) AS d;
SELECT (moemlora_inspect('m') ->> 'profile_bytes')::int BETWEEN 1000 AND 4000 AS profile_bytes;
-- it does not depend on the order of the rows
CREATE TABLE bytes AS SELECT moemlora_fit(clicked, category, f, '{"epochs": 1, "hidden": [4]}') AS forward
FROM (SELECT clicked, category, f FROM visits AS v, LATERAL (SELECT v.user_id, v.price, v.tags) AS f ORDER BY v.id) AS s;
SELECT forward = backward AS same FROM bytes, (SELECT moemlora_fit(clicked, category, f, '{"epochs": 1, "hidden": [4]}') AS backward
	FROM (SELECT clicked, category, f FROM visits AS v, LATERAL (SELECT v.user_id, v.price, v.tags) AS f ORDER BY v.id DESC) AS s) AS b;

-- bad input
SELECT * FROM moemlora_drift('no such model', 'visits', 'category');
SELECT * FROM moemlora_drift(NULL, 'visits', 'category');
SELECT * FROM moemlora_drift('m', NULL, 'category');
SELECT * FROM moemlora_drift('m', 'visits', NULL);
SELECT * FROM moemlora_drift('m', 'no_such_table', 'category');
SELECT * FROM moemlora_drift('m', 'visits', 'categories');
SELECT * FROM moemlora_drift('m', '(SELECT user_id, category FROM visits)', 'category');
SELECT * FROM moemlora_drift('m', '(SELECT id, user_id::real, colour, price, tags, picture, category FROM visits)', 'category');
SELECT * FROM moemlora_drift('m', '(SELECT id, user_id, colour, ''NaN''::real AS price, tags, picture, category FROM visits)', 'category');

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['m', 'bare', 'copy']) AS name) AS dropped;
DROP TABLE visits, today, bytes;
