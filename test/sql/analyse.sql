-- looking into a model: moemlora_tensor(), moemlora_embedding(), moemlora_gates(), moemlora_explain();
-- models side by side: moemlora_compare()
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE visits AS
SELECT i AS id, CASE WHEN i % 50 = 0 THEN i ELSE nullif(i % 37, 0) END AS user_id, (i % 23)::text AS item_id, CASE WHEN i % 10 > 0 THEN i % 41 * 0.5::real END AS price,
	ARRAY[i % 5, i % 7]::text[] AS tags, ARRAY[i % 3, i % 11, 1]::real[] AS picture,
	(i % 37 * 7 + i % 23 * 3 + i % 3) % 5 < 2 AS clicked, CASE WHEN i % 90 = 1 THEN 'kiosk' ELSE (ARRAY['books', 'games', 'films'])[i % 3 + 1] END AS category
FROM generate_series(1, 900) AS i;
CREATE FUNCTION train(model text, options jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT count(*) > 0 FROM moemlora_train(model, 'visits', 'clicked', 'category', ARRAY['user_id', 'item_id', 'price', 'tags', 'picture'],
		'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 50, "min_count": 2, "learning_rate": 0.02}' || options)
$$;
SELECT train('gated', '{"recipe": "paper", "serve": "gate"}'), train('own', '{"method": "mlora", "serve": "own", "unknown_domain": "mean"}'),
	train('plain', '{"method": "backbone", "unknown_domain": "error"}');

-- every tensor that moemlora_inspect() lists is there, as large as it says
SELECT m AS model, count(*) > 5 AS some,
	bool_and(array_dims(moemlora_tensor(m, t ->> 'name')) = format('[1:%s][1:%s]', t ->> 'rows', t ->> 'cols')) AS dimensions
FROM unnest(ARRAY['gated', 'own', 'plain']) AS m, jsonb_array_elements(moemlora_inspect(m) -> 'tensors') AS t GROUP BY m ORDER BY m;

-- experts lie side by side: the columns of down, the rows of up
WITH t AS (SELECT e, moemlora_tensor('gated', 'expert.tower.0.down') AS down, moemlora_tensor('gated', format('expert.%s.tower.0.down', e)) AS own_down,
		moemlora_tensor('gated', 'expert.tower.0.up') AS up, moemlora_tensor('gated', format('expert.%s.tower.0.up', e)) AS own_up
	FROM generate_series(0, 2) AS e),
	r AS (SELECT *, array_length(own_down, 2) AS r FROM t)
SELECT e, own_down = (SELECT array_agg(row ORDER BY i) FROM (SELECT i, array_agg(down[i][e * r + j] ORDER BY j) AS row
		FROM generate_series(1, array_length(down, 1)) AS i, generate_series(1, r) AS j GROUP BY i) AS rows) AS down,
	own_up = (SELECT array_agg(row ORDER BY j) FROM (SELECT j, array_agg(up[e * r + j][i] ORDER BY i) AS row
		FROM generate_series(1, array_length(up, 2)) AS i, generate_series(1, r) AS j GROUP BY j) AS rows) AS up
FROM r ORDER BY e;

-- a value is a row of its table; of different values another one
CREATE FUNCTION place(model text, feature text, embedding real[]) RETURNS bigint LANGUAGE sql AS $$
	SELECT min(i) FROM moemlora_tensor(model, 'embedding.' || feature) AS t, generate_subscripts(t, 1) AS i
	WHERE embedding = ARRAY(SELECT t[i][j] FROM generate_subscripts(t, 2) AS j ORDER BY j)
$$;
SELECT count(DISTINCT place), min(place), max(place), count(*) FILTER (WHERE place IS NULL) AS missing
FROM (SELECT place('gated', 'user_id', moemlora_embedding('gated', 'user_id', u)) FROM generate_series(1, 36) AS u) AS users;
SELECT moemlora_embedding('gated', 'user_id', 5) = moemlora_embedding('gated', 'user_id', '5') AS text_is_number,
	moemlora_embedding('gated', 'user_id', 5) = moemlora_embedding('gated', 'user_id', 5::smallint) AS smallint_is_integer,
	moemlora_embedding('gated', 'item_id', 5) = moemlora_embedding('gated', 'item_id', '5'::varchar) AS number_is_text,
	moemlora_embedding('gated', 'item_id', '5') = moemlora_embedding('gated', 'user_id', '5') AS same_in_other_feature;
-- unknown values have the first row, NULL has the second
SELECT moemlora_embedding('gated', 'user_id', 99999) = ARRAY(SELECT t[1][j] FROM generate_subscripts(t, 2) AS j ORDER BY j) AS unknown,
	moemlora_embedding('gated', 'user_id', NULL::int) = ARRAY(SELECT t[2][j] FROM generate_subscripts(t, 2) AS j ORDER BY j) AS "null",
	moemlora_embedding('gated', 'user_id', 99999) = moemlora_embedding('gated', 'user_id', 50) AS rare,
	moemlora_embedding('gated', 'user_id', 99999) = moemlora_embedding('gated', 'user_id', NULL::int) AS same,
	moemlora_embedding('gated', 'user_id', NULL) = moemlora_embedding('gated', 'user_id', NULL::int) AS untyped_null
FROM moemlora_tensor('gated', 'embedding.user_id') AS t;

-- a number: its row times the standardised value
SELECT price, (SELECT bool_and(abs(e[j] - z * t[1][j]) < 1e-6) FROM generate_subscripts(t, 2) AS j) AS embedding
FROM (SELECT price, (price - (f ->> 'mean')::float8) / (f ->> 'std')::float8 AS z, moemlora_embedding('gated', 'price', price) AS e
	FROM jsonb_array_elements(moemlora_inspect('gated') -> 'features') AS f, unnest(ARRAY[0, 3.5, -100]::real[]) AS n(price) WHERE f ->> 'name' = 'price') AS v,
	moemlora_tensor('gated', 'embedding.price') AS t;
SELECT moemlora_embedding('gated', 'price', NULL::real) AS "null", moemlora_embedding('gated', 'price', '3.5') = moemlora_embedding('gated', 'price', 3.5) AS literal,
	moemlora_embedding('gated', 'price', 3) = moemlora_embedding('gated', 'price', 3.0::float8) AS whole;

-- multi: the mean; a vector: its projection
SELECT (SELECT bool_and(abs(e[j] - (one[j] + 2 * two[j]) / 3) < 1e-6) FROM generate_subscripts(e, 1) AS j) AS mean, none, "null"
FROM moemlora_embedding('gated', 'tags', ARRAY['1', '2', NULL, '2']) AS e, moemlora_embedding('gated', 'tags', ARRAY[1]) AS one, moemlora_embedding('gated', 'tags', ARRAY['2']) AS two,
	moemlora_embedding('gated', 'tags', '{}'::text[]) AS none, moemlora_embedding('gated', 'tags', NULL::text[]) AS "null";
SELECT (SELECT bool_and(abs(e[j] - (3 * p[1][j] - p[2][j] + 0.5 * p[3][j])) < 1e-6) FROM generate_subscripts(e, 1) AS j) AS projection
FROM moemlora_embedding('gated', 'picture', ARRAY[3, -1, 0.5]::real[]) AS e, moemlora_tensor('gated', 'projection.picture') AS p;

-- the domain, an unknown one as option unknown_domain says, and NULL
SELECT d, place('gated', 'domain', moemlora_embedding('gated', 'domain', d)) FROM unnest(ARRAY['books', 'films', 'games', 'kiosk', 'toys', NULL]) AS d;
SELECT (SELECT bool_and(abs(e[j] - (t[2][j] + t[3][j] + t[4][j] + t[5][j]) / 4) < 1e-6) FROM generate_subscripts(e, 1) AS j) AS mean
FROM moemlora_embedding('own', 'domain', 'toys') AS e, moemlora_tensor('own', 'embedding.domain') AS t;
SELECT moemlora_embedding('plain', 'domain', 'toys');

-- models and features may change from row to row, and versions within a transaction
SELECT m, f, moemlora_embedding(m, f, '7') = CASE f WHEN 'user_id' THEN moemlora_embedding(m, 'user_id', 7) ELSE moemlora_embedding(m, 'item_id', 7) END AS same
FROM unnest(ARRAY['gated', 'plain']) AS m, unnest(ARRAY['user_id', 'item_id', 'user_id']) AS f;
BEGIN;
CREATE FUNCTION seven() RETURNS real[] LANGUAGE plpgsql AS $$ BEGIN RETURN moemlora_embedding('plain', 'user_id', 7); END $$;
CREATE TEMP TABLE before AS SELECT seven();
SELECT train('plain', '{"method": "backbone", "seed": 2}');
SELECT seven() = (SELECT seven FROM before) AS is_old;
ROLLBACK;

-- gates: the softmax of the gate's logits, as scoring uses them
SELECT g.domain, g.expert, g.expert_domain, g.spread,
	abs(g.weight - exp(t[d.place][g.expert + 1]) / (SELECT sum(exp(t[d.place][e])) FROM generate_subscripts(t, 2) AS e)) < 1e-6 AS weight
FROM moemlora_gates('gated') WITH ORDINALITY AS g, moemlora_tensor('gated', 'gate.domain') AS t,
	LATERAL (SELECT array_position(ARRAY['books', 'films', 'games'], g.domain) AS place) AS d
WHERE g.domain <> 'kiosk' ORDER BY g.ordinality;
SELECT domain, round(sum(weight)::numeric, 5) AS sum, max(weight) < 1 AS shared FROM moemlora_gates('gated') GROUP BY 1 ORDER BY 1;
-- served without a gate: the fixed weights; a domain without experts has none
SELECT train('pairs', '{"method": "mlora", "serve": "own", "experts_per_domain": 2}');
SELECT * FROM moemlora_gates('pairs') WHERE domain IN ('books', 'kiosk');
SELECT train('pairs', '{"recipe": "paper", "serve": "backbone"}');
SELECT domain, count(*), sum(weight), sum(spread) FROM moemlora_gates('pairs', 2) GROUP BY 1 ORDER BY 1;
SELECT count(*), max(weight) FROM moemlora_gates('pairs', 1);
SELECT count(*) FROM moemlora_gates('plain');

-- explain: what the score loses without a feature; the weights are those of the gate
CREATE FUNCTION logit(p float8) RETURNS float8 LANGUAGE sql RETURN ln(p / (1 - p));
CREATE TYPE features AS (user_id int, item_id text, price real, tags text[], picture real[]);
SELECT component, name, abs(contribution - CASE component
		WHEN 'bias' THEN logit(moemlora_predict('gated', category, (-1, 'none', NULL, NULL, NULL)::features))
		WHEN 'expert' THEN (SELECT weight FROM moemlora_gates('gated') AS g WHERE g.domain = category AND g.expert_domain = e.name)
		ELSE logit(moemlora_predict('gated', category, f)) - logit(moemlora_predict('gated', category, (
			CASE e.name WHEN 'user_id' THEN -1 ELSE user_id END, CASE e.name WHEN 'item_id' THEN 'none' ELSE item_id END,
			CASE e.name WHEN 'price' THEN NULL ELSE price END, CASE e.name WHEN 'tags' THEN NULL ELSE tags END,
			CASE e.name WHEN 'picture' THEN NULL ELSE picture END)::features)) END) < 2e-5 AS contribution, contribution <> 0 AS some
FROM visits AS v, LATERAL (SELECT (user_id, item_id, price, tags, picture)::features AS f) AS row,
	moemlora_explain('gated', category, f) WITH ORDINALITY AS e WHERE id = 7 ORDER BY e.ordinality;
SELECT component, name, contribution FROM moemlora_explain('pairs', 'books', ROW(-1, 'none', NULL::real, NULL::text[], NULL::real[])) WHERE component <> 'bias';
SELECT moemlora_rollback('pairs');
SELECT component, name, contribution FROM visits AS v, moemlora_explain('pairs', 'books', v) WHERE id = 7 AND component = 'expert';
SELECT component, count(*), sum(contribution) FROM visits AS v, moemlora_explain('pairs', 'films', v) WHERE id = 7 AND component = 'expert' GROUP BY 1;
SELECT component, name, contribution FROM visits AS v, moemlora_explain('own', 'toys', v) WHERE id = 7 AND component = 'expert';
-- many rows, of a model that is used for other things beside
SELECT count(*), count(DISTINCT component), max(abs(p - moemlora_predict('gated', category, v))) AS changed
FROM (SELECT *, moemlora_predict('gated', category, v) AS p FROM visits AS v) AS v, moemlora_explain('gated', category, v);
SELECT component, count(*), sum(contribution) FROM visits AS v, moemlora_explain('gated', 'kiosk', v) WHERE id = 7 AND component = 'expert' GROUP BY 1;
-- a gate over the input weighs by row
SELECT train('input', '{"recipe": "gated", "serve": "gate", "gate": "input"}');
SELECT component, count(*), round(sum(contribution)::numeric, 5) AS sum, count(DISTINCT contribution) > 3 AS differ
FROM visits AS v, moemlora_explain('input', category, v) WHERE id < 4 AND component = 'expert' GROUP BY component;

SELECT domain, count(*), round(sum(weight)::numeric, 5) AS sum, bool_and(spread > 0) AS spread FROM moemlora_gates('input') GROUP BY 1 ORDER BY 1;

-- compare: the figures of moemlora_evaluate(), and the difference to the first
SELECT train('input', '{"method": "backbone", "seed": 5, "learning_rate": 0.1}');
CREATE TABLE compared AS
SELECT row_number() OVER () AS id, * FROM moemlora_compare(ARRAY['plain', 'input', 'input@1', 'plain@1'], 'visits', 'clicked', 'category');
SELECT scope, domain, model, version, rows, difference IS NULL AS is_first, verdict IN ('better', 'worse', 'no difference') AS verdict FROM compared ORDER BY id;
SELECT model, count(*), bool_and(abs(c.auc - e.auc) < 1e-6 AND c.rows = e.rows AND c.positives = e.positives) AS same
FROM compared AS c, LATERAL moemlora_evaluate(split_part(model, '@', 1), 'visits', 'clicked', 'category', version) AS e
WHERE e.scope = c.scope AND e.domain IS NOT DISTINCT FROM c.domain GROUP BY model ORDER BY model;
SELECT bool_and(abs(c.difference - (c.auc - f.auc)) < 3e-6) AS difference, bool_and(c.verdict = CASE WHEN abs(c.difference) <= 1.959964 * c.standard_error THEN 'no difference'
		WHEN c.difference > 0 THEN 'better' ELSE 'worse' END) AS verdict
FROM compared AS c JOIN compared AS f ON f.model = 'plain' AND f.scope = c.scope AND f.domain IS NOT DISTINCT FROM c.domain WHERE c.model <> 'plain';
SELECT DISTINCT difference, standard_error, verdict FROM compared WHERE model = 'plain@1';
-- DeLong's formula in SQL; the means from the domains
WITH p AS MATERIALIZED (SELECT category, clicked, moemlora_predict('plain', category, v) AS a, moemlora_predict('input', category, v) AS b FROM visits AS v),
	placed AS (SELECT x.category, x.clicked, avg(CASE WHEN x.clicked THEN sign((x.b - y.b)::float8) - sign((x.a - y.a)::float8)
			ELSE sign((y.b - x.b)::float8) - sign((y.a - x.a)::float8) END) / 2 AS d
		FROM (SELECT row_number() OVER () AS id, * FROM p) AS x JOIN p AS y ON x.category = y.category AND x.clicked <> y.clicked GROUP BY x.id, x.category, x.clicked),
	e AS (SELECT category, sqrt(sum(v)) AS error FROM (SELECT category, clicked, var_samp(d) / count(*) AS v FROM placed GROUP BY 1, 2) AS c GROUP BY 1)
SELECT domain, abs(standard_error - error) < 1e-6 AS standard_error FROM compared AS c JOIN e ON category = domain WHERE model = 'input' ORDER BY 1;
SELECT abs(m.standard_error - d.mean) < 2e-6 AS mean, abs(w.standard_error - d.weighted) < 2e-6 AS weighted
FROM (SELECT sqrt(sum(standard_error ^ 2)) / count(*) AS mean, sqrt(sum((rows * standard_error) ^ 2)) / sum(rows) AS weighted FROM compared WHERE model = 'input' AND scope = 'domain') AS d,
	compared AS m, compared AS w WHERE m.model = 'input' AND m.scope = 'mean' AND w.model = 'input' AND w.scope = 'weighted';
-- who is right is better, who is wrong is worse; labels may be anything that evaluate takes
SELECT scope, model, verdict FROM moemlora_compare(ARRAY['plain', 'input'],
	'(SELECT *, (moemlora_predict(''input'', category, v) > 0.4)::int AS y FROM visits AS v)', 'y', 'category') WHERE scope = 'all';
SELECT scope, model, verdict FROM moemlora_compare(ARRAY['plain', 'input'],
	'(SELECT *, (moemlora_predict(''plain'', category, v) > 0.4)::int AS y FROM visits AS v)', 'y', 'category') WHERE scope = 'all';
-- not defined: one class; no error: one row of a class; no rows; what is left out
SELECT scope, domain, model, rows, positives, auc IS NULL AS auc, difference IS NULL AS difference, standard_error IS NULL AS error, verdict IS NULL AS verdict
FROM moemlora_compare(ARRAY['plain', 'input'], '(SELECT * FROM visits WHERE category = ''books'' AND clicked OR category = ''films'' AND (NOT clicked OR id = (SELECT min(id) FROM visits WHERE category = ''films'' AND clicked)))', 'clicked', 'category');
SELECT scope, domain, model, rows, auc, verdict FROM moemlora_compare(ARRAY['plain', 'input'], '(SELECT * FROM visits WHERE false)', 'clicked', 'category');
SET client_min_messages = notice;
SELECT count(*) FROM moemlora_compare(ARRAY['plain'], '(SELECT *, nullif(clicked, id < 9) AS y FROM visits)', 'y', 'category');
SET client_min_messages = warning;
-- a model may be called as a version is
SELECT moemlora_rename('own', 'plain@7');
SELECT DISTINCT model, version FROM moemlora_compare(ARRAY['plain@7', 'plain@1'], 'visits', 'clicked', 'category') ORDER BY 1;
SELECT moemlora_rename('plain@7', 'own');

-- bad input
SELECT * FROM moemlora_compare(NULL, 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare('{}', 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain', NULL], 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain', 'no such model'], 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain', 'plain@7'], 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain', 'plain@0'], 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain', 'plain@'], 'visits', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain'], 'no_such_table', 'clicked', 'category');
SELECT * FROM moemlora_compare(ARRAY['plain'], 'visits', NULL, 'category');
SELECT * FROM moemlora_compare(ARRAY['plain'], '(SELECT user_id, clicked, category FROM visits)', 'clicked', 'category');
\set VERBOSITY terse
SET moemlora.training_memory = '1MB';
SELECT * FROM moemlora_compare(ARRAY['plain', 'own'], '(SELECT v.* FROM visits AS v, generate_series(1, 200))', 'clicked', 'category');
RESET moemlora.training_memory;
\set VERBOSITY default
SELECT * FROM moemlora_gates('no such model');
SELECT * FROM moemlora_gates(NULL);
SELECT * FROM moemlora_gates('gated', 2);
SELECT * FROM moemlora_gates('gated', 0);
SELECT * FROM moemlora_explain('no such model', 'books', ROW(1));
SELECT * FROM moemlora_explain('gated', 'books', ROW(1));
SELECT * FROM moemlora_explain('plain', 'toys', ROW(1, 'a', NULL, NULL, NULL));
SELECT * FROM moemlora_explain(NULL, 'books', ROW(1));
SELECT * FROM moemlora_explain('gated', NULL, ROW(1));
SELECT * FROM moemlora_explain('gated', 'books', NULL);
SELECT moemlora_tensor('no such model', 'bias');
SELECT moemlora_tensor('gated', 'embedding.user');
SELECT moemlora_tensor('gated', 'weights of everything');
SELECT moemlora_tensor('gated', 'expert.3.tower.0.down');
SELECT moemlora_tensor('gated', 'expert.0.gate.domain');
SELECT moemlora_tensor(NULL, 'bias');
SELECT moemlora_tensor('gated', NULL);
SELECT moemlora_embedding('no such model', 'user_id', 1);
SELECT moemlora_embedding('gated', 'user', 1);
SELECT moemlora_embedding('gated', 'category', 'books');
SELECT moemlora_embedding(NULL, 'user_id', 1);
SELECT moemlora_embedding('gated', NULL, 1);
SELECT moemlora_embedding('gated', 'user_id', 1.5);
SELECT moemlora_embedding('gated', 'user_id', ARRAY[1]);
SELECT moemlora_embedding('gated', 'user_id', now());
SELECT moemlora_embedding('gated', 'price', 'cheap');
SELECT moemlora_embedding('gated', 'price', 'NaN'::real);
SELECT moemlora_embedding('gated', 'price', true);
SELECT moemlora_embedding('gated', 'tags', '{1,2}');
SELECT moemlora_embedding('gated', 'picture', ARRAY[1, 2]::real[]);
SELECT moemlora_embedding('gated', 'domain', 1.5);

-- the right to use the model
CREATE ROLE regress_moemlora_stranger;
SET ROLE regress_moemlora_stranger;
SELECT moemlora_tensor('gated', 'bias');
SELECT moemlora_embedding('gated', 'user_id', 1);
SELECT * FROM moemlora_gates('gated');
SELECT * FROM moemlora_explain('gated', 'books', ROW(1, 'a', NULL, NULL, NULL));
SELECT * FROM moemlora_compare(ARRAY['gated'], 'pg_class', 'relname', 'relkind');
RESET ROLE;
SELECT moemlora_grant('gated', 'regress_moemlora_stranger');
SET ROLE regress_moemlora_stranger;
SELECT array_ndims(moemlora_tensor('gated', 'bias')) AS dimensions, cardinality(moemlora_embedding('gated', 'user_id', 1)) AS numbers;
SELECT * FROM moemlora_compare(ARRAY['gated', 'own'], 'pg_class', 'relname', 'relkind');
SELECT count(*) FROM moemlora_gates('gated');
SELECT count(*) FROM moemlora_explain('gated', 'books', ROW(1, 'a', NULL, NULL, NULL));
RESET ROLE;

SELECT count(*) FROM (SELECT name, moemlora_drop(name) FROM unnest(ARRAY['gated', 'own', 'plain', 'pairs', 'input']) AS name) AS dropped;
DROP ROLE regress_moemlora_stranger;
DROP FUNCTION train, place, logit;
DROP TYPE features;
DROP TABLE visits, compared;
