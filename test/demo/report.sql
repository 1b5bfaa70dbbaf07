--
-- report.sql - what the versions 1 (recipe paper) and 2 (recipe gated) of model
-- demo are worth on the test rows.  Run by run.sh, with -v seed_spread=...
--
\pset footer off

-- One row for each version and scope; the true model's AUC is the ceiling.
CREATE TABLE demo.result AS
WITH ceiling AS (
	SELECT place AS domain, count(*) AS rows, moemlora_auc(p, clicked) AS auc
	FROM demo.clicks WHERE split = 'test' GROUP BY place)
SELECT v AS version, e.*,
	   coalesce(c.auc, (SELECT sum(rows * auc) / sum(rows) FROM ceiling)) AS ceiling
FROM generate_series(1, 2) AS v,
	 LATERAL moemlora_evaluate('demo', $$(SELECT * FROM demo.clicks WHERE split = 'test') AS test$$, 'clicked', 'place', v) AS e
	 LEFT JOIN ceiling AS c USING (domain)
WHERE e.scope IN ('domain', 'weighted');

\echo 'AUC for each place; WAUC is their mean weighted by rows:'
\echo
SELECT coalesce(a.domain, 'WAUC') AS place, a.rows, a.positives AS clicked,
	   round(a.backbone_auc::numeric, 4) AS backbone,
	   round(a.expert_auc::numeric, 4) AS "own expert",
	   round(a.auc::numeric, 4) AS "served, paper",
	   round(b.auc::numeric, 4) AS "served, gated",
	   round(a.ceiling::numeric, 4) AS "true model"
FROM demo.result AS a JOIN demo.result AS b ON b.version = 2 AND a.scope = b.scope AND a.domain IS NOT DISTINCT FROM b.domain
WHERE a.version = 1
ORDER BY a.scope, a.rows DESC;

-- The differences to the backbone in ten parts of the test rows: their mean, and
-- its standard error, which tells what may be luck of the rows.
CREATE TABLE demo.gain AS
WITH part AS (
	SELECT k, e1.backbone_auc AS backbone, e1.expert_auc AS own, e1.auc AS paper, e2.auc AS gated
	FROM generate_series(0, 9) AS k,
		 LATERAL format($$(SELECT * FROM demo.clicks WHERE split = 'test' AND row_id %% 10 = %s) AS part$$, k) AS source,
		 LATERAL moemlora_evaluate('demo', source, 'clicked', 'place', 1) AS e1,
		 LATERAL moemlora_evaluate('demo', source, 'clicked', 'place', 2) AS e2
	WHERE e1.scope = 'weighted' AND e2.scope = 'weighted')
SELECT what, nr, avg(difference) AS part_mean, stddev_samp(difference) / sqrt(count(*)) AS error
FROM part,
	 LATERAL (VALUES (1, 'own experts on the converged backbone', own - backbone),
					 (2, 'experts and gate on the converged backbone, as served', paper - backbone),
					 (3, 'backbone, experts and gate trained together, as served', gated - backbone)) AS d(nr, what, difference)
GROUP BY what, nr;

\echo
\echo 'Against the converged backbone, by WAUC:'
\echo
\t on
\pset format unaligned
WITH overall AS (
	SELECT d.*
	FROM demo.result AS a, demo.result AS b,
		 LATERAL (VALUES (1, a.expert_auc - a.backbone_auc), (2, a.auc - a.backbone_auc), (3, b.auc - a.backbone_auc)) AS d(nr, difference)
	WHERE a.version = 1 AND b.version = 2 AND a.scope = 'weighted' AND b.scope = 'weighted')
SELECT format('  %s: %s, standard error %s: %s', what, to_char(difference, 'SG0.0000'), to_char(error, 'FM0.0000'),
			  CASE WHEN abs(difference) <= 2 * error THEN 'nothing that could be told from luck.'
				   WHEN abs(difference) <= :seed_spread THEN 'no more than another seed may bring.'
				   WHEN difference > 0 THEN 'a gain.'
				   ELSE 'a loss.' END)
FROM demo.gain JOIN overall USING (nr) ORDER BY nr;

SELECT format(E'\n  (Backbones that differ in their seed only lie up to %s apart.)', :seed_spread);
\pset format aligned
\t off

-- Ten candidates for one user: score every item, keep the best.
\echo
\echo 'The ten items that user 7 is most likely to click in place search (true: by the model that drew the data):'
\echo
SELECT row_number() OVER best AS rank, item_id, category, brand, price, array_to_string(tags, ', ') AS tags,
	   round(score::numeric, 3) AS predicted, round(p::numeric, 3) AS true, true_rank AS "true rank of 1500"
FROM (SELECT c.*, t.p, rank() OVER (ORDER BY t.p DESC) AS true_rank,
			 moemlora_predict('demo', 'search', c) AS score
	  FROM (SELECT user_id, age, item_id, category, brand, price, tags FROM demo.users, demo.items WHERE user_id = 7) AS c
	  JOIN demo.truth AS t USING (user_id, item_id) JOIN demo.places AS d USING (place_id)
	  WHERE d.place = 'search') AS scored
WINDOW best AS (ORDER BY score DESC, item_id)
ORDER BY rank LIMIT 10;
