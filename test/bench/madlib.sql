-- Apache MADlib's multilayer perceptron: the tower 24 -> 256 -> 128 -> 64 -> 2 on 24
-- numbers a row, as it has no embeddings.  Variables: trained, scored: so many rows.
CREATE TABLE bench.madlib_rows AS
SELECT id, x, x[1] + x[2] > 1 AS clicked
FROM (SELECT id::int, array_agg(bench.uniform(9, 24 * id + i) ORDER BY i) AS x
	  FROM generate_series(1, greatest(:trained, :scored)) AS id, generate_series(0, 23) AS i GROUP BY id) AS drawn;
CREATE TABLE bench.madlib_train AS SELECT * FROM bench.madlib_rows WHERE id <= :trained;
CREATE TABLE bench.madlib_score AS SELECT * FROM bench.madlib_rows WHERE id <= :scored;

-- One pass over the rows, in batches of 1024.
CREATE FUNCTION bench.madlib_train() RETURNS void LANGUAGE sql AS $$
	DROP TABLE IF EXISTS bench.madlib_packed, bench.madlib_packed_summary, bench.madlib_packed_standardization,
		bench.madlib_mlp, bench.madlib_mlp_summary, bench.madlib_mlp_standardization;
	SELECT madlib.minibatch_preprocessor('bench.madlib_train', 'bench.madlib_packed', 'clicked', 'x', NULL, 1024);
	SELECT madlib.mlp_classification('bench.madlib_packed', 'bench.madlib_mlp', 'independent_varname', 'dependent_varname',
		ARRAY[256, 128, 64], 'learning_rate_init=0.001, n_iterations=1, n_epochs=1, batch_size=1024, tolerance=0', 'relu');
$$;
CREATE FUNCTION bench.madlib_score() RETURNS void LANGUAGE sql AS $$
	DROP TABLE IF EXISTS bench.madlib_scores;
	SELECT madlib.mlp_predict('bench.madlib_mlp', 'bench.madlib_score', 'id', 'bench.madlib_scores', 'prob');
$$;
