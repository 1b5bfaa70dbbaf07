-- Trains on table interactions of a schema, with one column as domain, and prints
-- the result.  Variables: schema, domain, features (an array), method, recipe,
-- backbone, seed, data_options and options (JSON; the latter win).
\pset footer off
\pset null -

-- A gated model is served by its gate, so that each mode has a column of its own below.
SELECT format('%s by %s', :'schema', :'domain') AS model,
	   jsonb_build_object('method', :'method', 'backbone', :'backbone', 'seed', :seed, 'split_column', 'moemlora_split')
	   || CASE WHEN :'method' = 'moe_mlora' THEN jsonb_build_object('recipe', :'recipe', 'serve', 'gate') ELSE '{}' END
	   || :'data_options' || :'options' AS all_options,
	   -- rows without a domain say nothing about domains
	   format('(SELECT * FROM %I.interactions WHERE %I IS NOT NULL) AS known', :'schema', :'domain') AS all_rows,
	   format('(SELECT * FROM %I.interactions WHERE %I IS NOT NULL AND moemlora_split = ''test'') AS test', :'schema', :'domain') AS test_rows,
	   format('(SELECT * FROM %I.interactions WHERE %I IS NOT NULL AND moemlora_split = ''valid'') AS valid', :'schema', :'domain') AS valid_rows,
	   CASE WHEN :'method' = 'moe_mlora' AND NOT jsonb :'options' ? 'serve' THEN 'gate' ELSE 'served' END AS last_column
\gset

SELECT moemlora_drop(name) FROM moemlora.models WHERE name = :'model'
\g /dev/null
SELECT clock_timestamp() AS start
\gset
CREATE TEMP TABLE phase AS
SELECT row_number() OVER () AS nr, p.*
FROM moemlora_train(:'model', :'all_rows', 'moemlora_label', :'domain', :'features', :'all_options') AS p;
SELECT round(extract(epoch FROM clock_timestamp() - :'start')::numeric, 1) AS seconds,
	   -- trained alone, or the rest of what was trained together with experts
	   CASE WHEN EXISTS (SELECT FROM phase WHERE phase = 'backbone' AND coalesce(note, '') !~ 'not used') THEN 'backbone'
			ELSE 'without experts' END AS first_column,
	   (SELECT round(sum(rows_per_second * p.seconds) / sum(p.seconds)) FROM phase AS p) AS speed
\gset

\echo
\echo 'Domains by' :domain '- training took' :seconds 's,' :speed 'rows/s'
\echo
SELECT format(E'%s rows without %s are left out.\n', count(*), :'domain')
FROM :schema.interactions WHERE :"domain" IS NULL HAVING count(*) > 0
\g (format=unaligned tuples_only=on)
SELECT phase, epochs, rows, round(seconds::numeric, 1) AS seconds, round(rows_per_second) AS "rows/s",
	   round(valid_auc::numeric, 4) AS "valid AUC", round(valid_wauc::numeric, 4) AS "valid WAUC", note
FROM phase ORDER BY nr;

-- Test AUC by domain and mode.
\echo 'AUC on the test rows:'
\echo
SELECT CASE scope WHEN 'domain' THEN t.domain WHEN 'all' THEN 'all rows together' WHEN 'mean' THEN 'mean of the domains'
			WHEN 'weighted' THEN 'WAUC' END AS :"domain",
	   t.rows AS "test rows", t.positives,
	   round(coalesce(backbone_auc, auc)::numeric, 4) AS :"first_column",
	   round(expert_auc::numeric, 4) AS "own expert",
	   round(CASE WHEN :'method' <> 'backbone' THEN auc END::numeric, 4) AS :"last_column"
FROM moemlora_evaluate(:'model', :'test_rows', 'moemlora_label', :'domain') AS t
ORDER BY array_position('{domain,all,mean,weighted}', scope), CASE WHEN t.domain ~ '^\d{1,9}$' THEN t.domain::int END, t.domain;

-- What option serve = auto goes by: all validation rows.
SELECT format('On all validation rows: %s %s, own expert %s, gate %s; "serve": "auto" takes %s.',
			  :'first_column', round(backbone_auc::numeric, 4), round(expert_auc::numeric, 4), round(auc::numeric, 4),
			  CASE greatest(backbone_auc, expert_auc, auc) WHEN backbone_auc THEN 'backbone' WHEN expert_auc THEN 'own' ELSE 'gate' END)
FROM moemlora_evaluate(:'model', :'valid_rows', 'moemlora_label', :'domain') AS v
WHERE scope = 'all' AND expert_auc IS NOT NULL AND :'last_column' = 'gate'
\g (format=unaligned tuples_only=on)
