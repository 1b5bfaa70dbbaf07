-- One run of a comparison: trains on movielens.interactions, split anew by the
-- run's seed, and notes in movielens.result how the served mode does on the test rows.
-- Variables: domain, backbone, method, recipe, seed, options (JSON).
SELECT format('compare %s %s %s %s', :'domain', :'backbone', :'method', :'seed') AS model,
	   jsonb_build_object('method', :'method', 'backbone', :'backbone', 'seed', :seed, 'split_column', 'part')
	   || CASE WHEN :'method' = 'moe_mlora' THEN jsonb_build_object('recipe', :'recipe') ELSE '{}' END
	   || :'options' AS all_options,
	   format('(SELECT user_id, item_id, %I, moemlora_label, movielens.part_of(user_id, item_id, %s) AS part '
			  'FROM movielens.interactions WHERE %1$I IS NOT NULL)', :'domain', :'seed') AS rows
\gset
SELECT format('(SELECT * FROM %s AS known WHERE part = ''test'')', :'rows') AS test_rows
\gset
SELECT count(moemlora_drop(name)) FROM moemlora.models WHERE name = :'model'
\g /dev/null
SELECT clock_timestamp() AS start
\gset
SELECT string_agg(format('%s %s', phase, epochs), ', ') AS phases
FROM moemlora_train(:'model', format('%s AS known', :'rows'), 'moemlora_label', :'domain', '{user_id, item_id}', :'all_options')
\gset
INSERT INTO movielens.result
SELECT :'domain', :'backbone', :'method', :seed, a.auc, w.auc, m.served,
	   extract(epoch FROM clock_timestamp() - :'start'), :'phases'
FROM (SELECT auc FROM moemlora_evaluate(:'model', format('%s AS test', :'test_rows'), 'moemlora_label', :'domain') WHERE scope = 'weighted') AS w,
	 (SELECT auc FROM moemlora_evaluate(:'model', format('%s AS test', :'test_rows'), 'moemlora_label', :'domain') WHERE scope = 'all') AS a,
	 (SELECT served FROM moemlora.versions WHERE model = :'model') AS m
RETURNING format('%s, %s, %s, seed %s: test WAUC %s, AUC %s, served: %s, %s s (%s)', :'domain', :'backbone', :'method', :'seed',
				 round(wauc::numeric, 4), round(auc::numeric, 4), served, round(seconds::numeric, 1), phases)
\g (format=unaligned tuples_only=on)
SELECT moemlora_drop(:'model')
\g /dev/null
