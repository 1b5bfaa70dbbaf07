-- The three models of a size, of the same shape and seven domains.  Variables: features, width.
SELECT (SELECT array_agg('f' || f ORDER BY f) FROM generate_series(1, :features) AS f) AS columns,
	   jsonb_build_object('backbone', 'mlp', 'embedding_dim', :width, 'epochs', 1, 'validation', 0) AS options
\gset
SELECT count(*) FROM moemlora_train('bench', 'bench.random', 'clicked', 'domain', :'columns', :'options'::jsonb || '{"method": "backbone"}')
\g /dev/null
SELECT count(*)
FROM (VALUES ('domain'), ('input')) AS g (gate),
	 LATERAL moemlora_train('bench ' || gate, 'bench.random', 'clicked', 'domain', :'columns',
							:'options'::jsonb || jsonb_build_object('recipe', 'paper', 'serve', 'gate', 'gate', gate))
\g /dev/null
