-- moemlora_report()
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE TABLE visits AS
SELECT i AS id, i % 37 AS user_id, (i % 23)::text AS item_id, i % 41 * 0.5::real AS price,
	(i % 37 * 7 + i % 23 * 3 + i % 3) % 5 < 2 AS clicked, (ARRAY['books', 'games', 'films'])[i % 3 + 1] AS category,
	CASE WHEN i % 5 = 0 THEN 'test' WHEN i % 5 = 1 THEN 'valid' ELSE 'train' END AS split
FROM generate_series(1, 900) AS i;
CREATE FUNCTION train(model text, options jsonb, source text DEFAULT 'visits') RETURNS boolean LANGUAGE sql AS $$
	SELECT count(*) > 0 FROM moemlora_train(model, source, 'clicked', 'category', ARRAY['user_id', 'item_id', 'price'],
		'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "min_domain_rows": 10, "learning_rate": 0.02}' || options)
$$;
SELECT train('gated', '{"recipe": "paper", "serve": "gate", "split_column": "split"}'), train('own', '{"method": "mlora", "serve": "own"}'),
	train('plain', '{"method": "backbone"}'), train('input', '{"gate": "input", "serve": "gate", "recipe": "gated"}');
CREATE FUNCTION parts(page text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(substring(part, '^\w+') || CASE WHEN part LIKE '%<svg%' THEN '' ELSE ' (no picture)' END, ', ' ORDER BY i)
	FROM unnest(string_to_array(page, '<section id="')) WITH ORDINALITY AS p(part, i) WHERE i > 1
$$;
-- what the page says of the rows that it measures
CREATE FUNCTION rows_of(page text) RETURNS text LANGUAGE sql AS $$
	SELECT (regexp_match(page, '<p class="(?:note|soft)">([^<]*)</p>\n<nav'))[1]
$$;

-- a page of all parts, each with its picture, and a table for each picture
SELECT model, parts(page), (SELECT count(*) FROM regexp_matches(page, 'role="img"', 'g')) AS pictures,
	(SELECT count(*) FROM regexp_matches(page, '<details><summary>The numbers', 'g')) AS tables
FROM unnest(ARRAY['gated', 'gated@1', 'own', 'plain', 'input']) AS model, moemlora_report(model) AS page;
SELECT left(page, 15) AS first, right(page, 8) AS last, page ~ '<title>gated, version 1: moemlora report</title>' AS title,
	(SELECT string_agg(t[1], ', ' ORDER BY i) FROM regexp_matches(page, '<title id="t\d+">([^<]*)', 'g') WITH ORDINALITY AS p(t, i)) AS pictures
FROM moemlora_report('gated') AS page;

-- nothing is loaded and nothing runs; plain ASCII
SELECT model, page ~* '<script|javascript:|\son\w+=|<(iframe|object|embed|link|img|form|base)\M' AS runs,
	page ~* 'https?:|//|\ssrc=|url\(|@import|href="[^#]' AS loads, page ~ '[^\x01-\x7e]' AS is_foreign
FROM unnest(ARRAY['gated', 'own', 'plain', 'input']) AS model, moemlora_report(model) AS page;

-- the figures are those of moemlora_evaluate() on the same rows
SELECT e.domain, strpos(page, format('<th scope="row"><bdi>%s</bdi></th><td><bdi>yes</bdi></td><td class="n">%s</td><td class="n">%s%%</td>'
	|| '<td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td></tr>', e.domain, e.rows,
	round(100.0 * e.positives / e.rows, 1), round(e.backbone_auc::numeric, 4), round(e.expert_auc::numeric, 4), round(e.auc::numeric, 4),
	round(e.calibration::numeric, 3))) > 0 AS same
FROM moemlora_report('gated') AS page, moemlora_evaluate('gated', '(SELECT * FROM visits WHERE split = ''test'')', 'clicked', 'category') AS e
WHERE e.scope = 'domain';
SELECT strpos(page, format('<li><b>%s</b><span>%s, test rows</span></li>', round(figure::numeric, 4), what)) > 0 AS same
FROM moemlora_report('gated') AS page, moemlora_evaluate('gated', '(SELECT * FROM visits WHERE split = ''test'')', 'clicked', 'category') AS e,
	LATERAL (VALUES ('all', 'AUC', auc), ('weighted', 'WAUC', auc), ('all', 'logloss', logloss)) AS f(scope, what, figure)
WHERE e.scope = f.scope;
-- and the weights those of moemlora_gates()
SELECT bool_and(strpos(page, format('<title>%s, %s: %s</title>', domain, expert_domain, round(weight::numeric, 3))) > 0) AS same, count(*)
FROM moemlora_report('gated') AS page, moemlora_gates('gated');

-- and what features are worth, as moemlora_importance() has it
SELECT bool_and(strpos(page, format('<th scope="row"><bdi>%s</bdi></th><td class="n">%s</td><td class="n">%s</td>', i.feature,
	round(i.importance::numeric, 4), round(i.standard_error::numeric, 4))) > 0) AS same, count(*)
FROM moemlora_report('gated') AS page, moemlora_importance('gated', '(SELECT * FROM visits WHERE split = ''test'')', 'clicked', 'category') AS i
WHERE i.domain IS NULL;

-- which rows: test rows where there are any, else all; or those that are given
SELECT rows_of(moemlora_report('gated'));
SELECT rows_of(moemlora_report('own'));
SELECT rows_of(moemlora_report('own', '(SELECT * FROM visits WHERE id > 600)'));
SELECT page ~ '1 domain with 10 rows was not in the training' AS unknown, page ~ '<bdi>toys</bdi></th><td><bdi>no</bdi>' AS told
FROM moemlora_report('own', '(SELECT user_id, item_id, price, clicked, CASE WHEN id <= 10 THEN ''toys'' ELSE category END AS category FROM visits)') AS page;
SELECT page ~ 'not defined' AS one_class, parts(page) FROM moemlora_report('own', '(SELECT * FROM visits WHERE clicked)') AS page;

-- a recorded source that cannot be read: the page says why and has the rest
SELECT train('gone', '{}', '(SELECT * FROM visits) AS v');
ALTER TABLE visits RENAME TO renamed;
SELECT rows_of(page), parts(page) FROM moemlora_report('gone') AS page;
ALTER TABLE renamed RENAME TO visits;
SELECT moemlora_import('imported', moemlora_export('gated'));
SELECT rows_of(page), parts(page), page ~ 'imported by</dt>' AS imported FROM moemlora_report('imported') AS page;
SELECT train('untested', '{"split_column": "split"}', '(SELECT * FROM visits WHERE split <> ''test'')');
SELECT rows_of(page) FROM moemlora_report('untested') AS page;
-- one that is given and cannot be read is an error
SELECT moemlora_report('gated', 'not_there');
SELECT moemlora_report('gated', 'visits; DROP TABLE visits');
SELECT moemlora_report('gated', '(SELECT id, user_id, item_id, price, clicked FROM visits)');
SELECT moemlora_report('imported', 'visits');
SELECT moemlora_report('nothing');
SELECT moemlora_report('gated@7');
SELECT moemlora_report(NULL);
SELECT rows_of(moemlora_report('own', '(SELECT * FROM visits WHERE false)'));

-- names, options and values are text, whatever they hold
CREATE TABLE hostile AS SELECT user_id AS "<script>alert(1)</script>", clicked AS "'""&", category || '<img src=x onerror=alert(1)>' AS "</style>",
	split AS "--></pre>" FROM visits;
SELECT count(*) > 0 AS trained FROM moemlora_train('</title><script>"''&' || U&'\202E\00E9\+01F600', 'hostile /* <b>source</b> */', '''"&', '</style>',
	ARRAY['<script>alert(1)</script>'], '{"epochs": 1, "hidden": [4], "min_domain_rows": 10, "split_column": "--></pre>", "recipe": "paper",
	"columns": {"<script>alert(1)</script>": {"hash": 10}}}');
SELECT page ~* '<(script|img)\M|onerror=alert\(1\)>' AS escaped_badly, page ~ '[^\x01-\x7e]' AS is_foreign,
	page ~ '<h1><bdi>&lt;/title&gt;&lt;script&gt;&quot;&#39;&amp;&#xFFFD;&#xE9;&#x1F600;</bdi></h1>' AS model,
	page ~ '<th scope="row"><bdi>books&lt;img src=x onerror=alert\(1\)&gt;</bdi>' AS domain,
	page ~ '<th scope="row"><bdi>&lt;script&gt;alert\(1\)&lt;/script&gt;</bdi>' AS feature,
	page ~ '<pre>hostile /\* &lt;b&gt;source&lt;/b&gt; \*/</pre>' AS source, page ~ '&quot;split_column&quot;: &quot;--&gt;&lt;/pre&gt;&quot;' AS options
FROM moemlora.models, moemlora_report(name) AS page WHERE name LIKE '</title>%';

-- it is bounded: the largest of many
SELECT train('many', '{"method": "mlora", "min_domain_rows": 2, "lora_rank": 1, "serve": "own", "epochs": 1, "validation": 0.3}',
	'(SELECT user_id, item_id, price, clicked, repeat(''&'', 200) || least(id, 890) AS category FROM visits, generate_series(1, 4))');
SELECT length(page) < 1000000 AS bounded, parts(page), regexp_matches(page, '<p class="soft">([^<]* left out.)</p>', 'g') AS left_out
FROM moemlora_report('many') AS page;
DROP FUNCTION train, parts, rows_of;
SELECT moemlora_drop(name) FROM moemlora.models ORDER BY name;
DROP TABLE visits, hostile;
