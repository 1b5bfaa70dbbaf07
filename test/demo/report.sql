--
-- report.sql - what versions 1 (recipe paper) and 2 (recipe gated) of model demo
-- are worth on the test rows.  Run by run.sh, with -v seed_spread=...
--
\pset footer off
SET client_min_messages = warning;	-- here it does not matter which values are new in the test rows

-- One row for each version, place and the mean of the places weighted by rows.
-- The AUC of the true model is the ceiling.
CREATE TABLE demo.result AS
WITH ceiling AS (
	SELECT place AS domain, count(*) AS rows, moemlora_auc(p, clicked) AS auc
	FROM demo.clicks WHERE split = 'test' GROUP BY place)
SELECT v AS version, e.*,
	   coalesce(c.auc, (SELECT sum(rows * auc) / sum(rows) FROM ceiling)) AS ceiling
FROM generate_series(1, 2) AS v,
	 LATERAL moemlora_evaluate('demo', '(SELECT * FROM demo.clicks WHERE split = ''test'') AS test', 'clicked', 'place', v) AS e
	 LEFT JOIN ceiling AS c USING (domain)
WHERE e.scope IN ('domain', 'weighted');

\echo 'AUC in each place, and their mean weighted by rows (WAUC).  Served: by the mode that was best on the'
\echo 'validation rows.  The true model is the ceiling: how well the clicks can be known at all.'
\echo
SELECT served AS paper_mode FROM moemlora.versions WHERE model = 'demo' AND version = 1
\gset
SELECT served AS gated_mode FROM moemlora.versions WHERE model = 'demo' AND version = 2
\gset
SELECT format('paper, served: %s', :'paper_mode') AS paper_title, format('gated, served: %s', :'gated_mode') AS gated_title
\gset
SELECT coalesce(a.domain, 'WAUC') AS place, a.rows, a.positives AS clicked,
	   round(a.backbone_auc::numeric, 4) AS backbone,
	   round(a.expert_auc::numeric, 4) AS "own expert",
	   round(a.auc::numeric, 4) AS :"paper_title",
	   round(b.auc::numeric, 4) AS :"gated_title",
	   round(a.ceiling::numeric, 4) AS "true model"
FROM demo.result AS a
JOIN demo.result AS b ON b.version = 2 AND a.scope = b.scope AND a.domain IS NOT DISTINCT FROM b.domain
WHERE a.version = 1
ORDER BY a.scope, a.rows DESC;

\echo 'In bots there is nothing to learn: what differs from 0.5 there is luck.  In kiosk so few rows are left to test that'
\echo 'its figures say little.'
\echo

-- Luck of the rows: the same differences in ten parts of the test rows, and the
-- standard error of their mean.  Luck of the seed: measured before, by seeds.sh.
CREATE TABLE demo.gain AS
WITH part AS (
	SELECT e1.backbone_auc AS backbone, e1.expert_auc AS own, e1.auc AS paper, e2.auc AS gated
	FROM generate_series(0, 9) AS k,
		 LATERAL format('(SELECT * FROM demo.clicks WHERE split = ''test'' AND row_id %% 10 = %s) AS part', k) AS source,
		 LATERAL moemlora_evaluate('demo', source, 'clicked', 'place', 1) AS e1,
		 LATERAL moemlora_evaluate('demo', source, 'clicked', 'place', 2) AS e2
	WHERE e1.scope = 'weighted' AND e2.scope = 'weighted'),
overall AS (
	SELECT a.backbone_auc AS backbone, a.expert_auc AS own, a.auc AS paper, b.auc AS gated
	FROM demo.result AS a, demo.result AS b
	WHERE a.version = 1 AND a.scope = 'weighted' AND b.version = 2 AND b.scope = 'weighted')
SELECT what, overall.gain, stddev_samp(part.gain) / sqrt(count(*)) AS error, nr
FROM (VALUES (1, 'each place''s own expert added to it'),
			 (2, 'experts and gate added to it, as served'),
			 (3, 'all trained together, as served')) AS w(nr, what),
	 LATERAL (SELECT (ARRAY[own, paper, gated])[nr] - backbone AS gain FROM part) AS part,
	 LATERAL (SELECT (ARRAY[own, paper, gated])[nr] - backbone AS gain FROM overall) AS overall
GROUP BY what, nr, overall.gain;

\echo 'Did experts and gate bring anything?  Against the WAUC of the converged backbone:'
\echo
\t on
\pset format unaligned
SELECT format('  %s %s (standard error %s): %s', rpad(what || ':', 42), to_char(gain, 'SG0.0000'), to_char(error, 'FM0.0000'),
			  CASE WHEN abs(gain) <= 2 * error THEN 'no difference that could be told from luck.'
				   WHEN abs(gain) <= :seed_spread THEN 'more than luck of the rows, no more than another seed of the backbone may bring.'
				   WHEN gain > 0 THEN 'a gain.'
				   ELSE 'a loss.' END)
FROM demo.gain ORDER BY nr;
\pset format aligned
\t off

-- One run is one draw; what seeds.sh found with four seeds of training on the data of seed 42.
\echo
\echo 'Trained with four seeds (test/demo/seeds.sh, measured when this demo was written), WAUC from worst to best:'
\echo '  backbone 0.7320 to 0.7361, and the same with three times the patience; experts and gate added to it 0.7320 to 0.7367,'
\echo '  a difference of 0.0000 to +0.0006; all trained together 0.7366 to 0.7388, +0.0027 to +0.0052.'

-- Score every item for one user and keep the best: the current version is the second.
\echo
\echo 'The ten items that user 7 is most likely to click in place search, out of 1500 (true: by the model that drew the data):'
\echo
SELECT row_number() OVER (ORDER BY score DESC, item_id) AS rank, item_id, category, brand, price::numeric(9,2),
	   array_to_string(tags, ', ') AS tags, round(score::numeric, 3) AS predicted,
	   round(p::numeric, 3) AS true, true_rank AS "true rank"
FROM (SELECT c.*, t.p, rank() OVER (ORDER BY t.p DESC) AS true_rank,
			 moemlora_predict('demo', 'search', c) AS score
	  FROM (SELECT user_id, age, item_id, category, brand, price, tags FROM demo.users, demo.items WHERE user_id = 7) AS c
	  JOIN demo.truth AS t USING (user_id, item_id) JOIN demo.places AS d USING (place_id)
	  WHERE d.place = 'search') AS scored
ORDER BY rank LIMIT 10;
